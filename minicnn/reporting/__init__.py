"""What a run looked like: `reports.py` for the numbers, `plots.py` for the pictures, the only file that draws."""
