"""Fail unless the source distribution holds every file that git knows: check_sdist.py ARCHIVE."""

import subprocess
import sys
import tarfile
from pathlib import Path

root = Path(__file__).resolve().parents[1]
tracked = set(subprocess.check_output(["git", "ls-files"], cwd=root, text=True).splitlines())
with tarfile.open(sys.argv[1]) as archive:
    packed = {name.partition("/")[2] for name in archive.getnames()}
missing = sorted(tracked - packed - {".gitignore"})
if missing:
    sys.exit(f"{sys.argv[1]}: {len(missing)} files are missing, such as {', '.join(missing[:5])}")
print(f"all {len(tracked)} files are in {Path(sys.argv[1]).name}")
