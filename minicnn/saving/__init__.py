"""Models on disk.

    model_file.py       what a model file says, and writing one     <- read first
    loading.py          from a file to a model
    serialization.py    named arrays and a description in the safetensors format
    files.py            files that are whole or not there: atomic writes, locks, paths

Nothing in a file is ever run or imported.
"""
