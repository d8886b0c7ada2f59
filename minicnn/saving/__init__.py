"""Saving models to disk and loading them.

    model_file.py       what a model file holds, and how it is written     <- read first
    loading.py          from a file to a model
    serialization.py    named arrays and a description in the safetensors format
    files.py            atomic writes and paths
    locks.py            a lock on a folder of results

Loading a file never runs or imports anything that the file names.
"""
