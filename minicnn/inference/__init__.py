"""From a trained model to answers.

    predictor.py    files, bytes and arrays to labels            <- read first
    calibration.py  confidences that match how often answers are right: one temperature
    folding.py      batch normalisation and rescaling, put into the weights before or after them

`calibrate` changes the last weights of the model that it is given; the others work on copies.
"""
