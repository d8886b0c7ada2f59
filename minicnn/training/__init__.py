"""Train, evaluate and predict with a compiled model.

    loop.py                   fit, evaluate and predict                          <- read first
    fit_arguments.py          checks of their arguments
    inputs.py                 checks of input arrays and their range
    batches.py                batches of arrays, in order or shuffled
    callbacks/                early stopping, saved models, logs, and the user's own callbacks
    ema.py                    exponential moving average of the weights
    progressive_resizing.py   training on small images first
    lr_finder.py              learning-rate range test
    checkpoints.py            saving and resuming a run; checkpoint_schema.py checks the file
    history.py                the numbers of every epoch
    progress.py               progress bar and lines on the terminal

One training step is `Sequential.train_step` in model.py.  Called by `Sequential.fit`.
"""
