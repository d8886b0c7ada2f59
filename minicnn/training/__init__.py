"""From a compiled model to a trained one: the loop, its batches, and what may happen between them.

    loop.py               fit, evaluate and predict                          <- read first
    fit_arguments.py      what the three take, and the checks of it
    inputs.py             arrays that may be inputs, and their range
    batches.py            batches of arrays, in order or shuffled
    callbacks/            what is called during training: early stopping, checkpoints, logs, the user's own
    averaging.py          the moving average of the weights
    progressive.py        small images first
    finder.py             the learning rate from one short run
    checkpoints.py        a training that was interrupted goes on; checkpoint_schema.py: what the file holds
    history.py            the numbers of every epoch
    progress.py           what is printed meanwhile

One step of training is `Sequential.train_step` in model.py.  Called by `Sequential.fit`.
"""
