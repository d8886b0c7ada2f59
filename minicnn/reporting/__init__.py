"""Reports on a training run.

    reports.py   metrics for JSON and for a table, and the choice of what to plot     <- read first
    plots.py     draws the plots; the only file that imports matplotlib

Called by minicnn/cli/; `History.plot` also calls plots.py.
"""
