"""Networks that are ready to be trained (networks.py), how (recipes.py), and one that is trained (pretrained.py)."""
