"""Refuse the words that docs/glossary.md replaces by others: python .ci/check_words.py [FILE ...].

Reads the words in `code` from the right column of the glossary's first table, and looks for them in the prose, names
and messages of every file that git knows (or in the files named), as whole words; an underscore or a digit ends one.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"
LEFT_OUT = ("benchmarks/results/", "docs/glossary.md", "LICENSE")  # measured output, and the table itself
READ = {".py", ".md", ".cfg", ".toml", ".yml", ".sh", ".html", ".js", ".css", ""}


def refused() -> dict[str, str]:
    """From each refused word to what the glossary says in its place."""
    table = GLOSSARY.read_text(encoding="utf-8").split("\n## ")[0]
    words = {}
    for line in table.splitlines():
        if line.startswith("| ") and line.count("|") == 3:
            _, say, instead, _ = line.split("|")
            words |= {word: say.strip() for word in re.findall(r"`([^`]+)`", instead)}
    return words


def main(names: list[str]) -> int:
    """Print each refused word with its place; the exit status is 1 if there is one."""
    words = refused()
    letters = "|".join(
        re.escape(word).replace(r"\ ", r"[\s_]+") for word in sorted(words, key=len, reverse=True)
    )
    pattern = re.compile(rf"(?<![A-Za-z])({letters})(?![A-Za-z])", re.IGNORECASE)
    listed = names or subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    found = 0
    for name in listed:
        path = ROOT / name
        if (
            name.startswith(LEFT_OUT)
            or path.suffix not in READ
            or not path.is_file()
            or path == Path(__file__)
        ):
            continue
        text = path.read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            word = re.sub(r"[\s_]+", " ", match[0].lower())
            print(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}: say {words[word]}")
            found += 1
    if found:
        print(f"{found} words that docs/glossary.md replaces", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
