"""Prediction with a trained model.

    predictor.py    from files, bytes and arrays to labels            <- read first
    tta.py          test-time augmentation: the mean over an image and its mirror image
    calibration.py  temperature scaling, which makes confidences match the accuracy
    folding.py      merges batch normalisation and rescaling into the weights of neighbouring layers

`calibrate` changes the last weights of the given model; the others work on copies.  `Sequential.predict`, which returns
the plain outputs, is in model.py.
"""
