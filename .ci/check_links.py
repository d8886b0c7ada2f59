"""Fail if a link in README.md, CONTRIBUTING.md or docs/*.md leads nowhere: python .ci/check_links.py [FILE ...].

A relative link must name a file or folder of this repository, and its #anchor must be a heading there, as GitHub writes
it.  Links to the web are checked for their form only; nothing is fetched.  Links in code are not links.

mkdocs.yml names this file as a hook, too: the site has only the pages in docs/, so every other file that a page links
to is copied into the site, under files/, and the link points to the copy.
"""

import posixpath
import re
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^(```|~~~).*?^\1[`~]*[ ]*$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}|\t).*\n)+")
CODE = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`)", re.DOTALL)  # within a paragraph
LINK = re.compile(
    r"(?<=\]\()[^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?=[)\s])|(?<=\n)\[[^\]\n]+\]: +(\S+)|<(https?:[^>\s]*)>"
)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def blank(match: re.Match) -> str:
    """The same number of characters and lines, with nothing in them."""
    return re.sub(r"[^\n]", " ", match[0])


def links(text: str) -> Iterator[tuple[int, int, str]]:
    """(first, last, target) of each link, where text[first:last] is the target; code is left out."""
    for code in (FENCE, INDENTED, CODE):
        text = code.sub(blank, text)
    for match in LINK.finditer(text):
        group = match.lastindex or 0
        yield *match.span(group), match[group]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(FENCE.sub(blank, text)):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)  # of a link, only its text
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        again = found.get(anchor)
        found[anchor] = 0 if again is None else again + 1
        if again is not None:
            found[f"{anchor}-{again + 1}"] = 0
    return set(found)


def fault(page: Path, target: str, root: Path) -> str | None:
    """What is wrong with a link on a page, or None."""
    parts = urllib.parse.urlsplit(target)
    if parts.scheme or parts.netloc:
        known = parts.scheme in ("http", "https") and parts.netloc
        return None if known or (parts.scheme == "mailto" and "@" in parts.path) else "is no address"
    path = Path(page.parent, urllib.parse.unquote(parts.path)).resolve() if parts.path else page
    if not parts.path and not parts.fragment:
        return "is empty"
    if parts.path.startswith("/") or not path.is_relative_to(root):
        return "leaves the repository"
    if not path.exists():
        return "does not exist"
    if not parts.fragment:
        return None
    if path.suffix != ".md":
        return "has an anchor, but is no page"
    return None if parts.fragment in anchors(path.read_text(encoding="utf-8")) else "has no such heading"


def main(names: list[str], root: Path = ROOT) -> int:
    """Print each faulty link with its place; the exit status is 1 if there is one."""
    pages = [Path(name).resolve() for name in names]
    pages = pages or [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").glob("*.md"))]
    faults = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for first, _, target in links(text):
            if what := fault(page, target, root):
                line = text.count("\n", 0, first) + 1
                print(f"{page.relative_to(root)}:{line}: the link {target!r} {what}")
                faults += 1
    if faults:
        print(f"{faults} links lead nowhere", file=sys.stderr)
    return 1 if faults else 0


# --------------------------------------------------------------------------------- hooks of mkdocs
def _copy_of(page: str, target: str) -> str | None:
    """Where the site has a file that is not a page: its path under files/; None for all other targets."""
    parts = urllib.parse.urlsplit(target)
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), parts.path))
    if parts.scheme or parts.netloc or path.startswith("docs/") or not (ROOT / path).is_file():
        return None
    return f"files/{path}" + ".txt" * path.endswith(".md")  # a page of its own, but not of this site


def on_files(files, config):
    """Add the files outside docs/ that pages link to."""
    from mkdocs.structure.files import File

    for page in list(files.documentation_pages()):
        for _, _, target in links(page.content_string):
            copy = _copy_of(page.src_uri, target)
            if copy is not None and files.get_file_from_path(copy) is None:
                original = ROOT / copy.removeprefix("files/")
                original = original if original.is_file() else original.with_suffix("")
                files.append(File.generated(config, copy, abs_src_path=str(original)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let the links point to the copies; a link to a folder becomes its text, because the site shows no folders."""
    for first, last, target in reversed(list(links(markdown))):
        if copy := _copy_of(page.file.src_uri, target):
            new = posixpath.relpath(copy, posixpath.dirname(page.file.src_uri) or ".")
            markdown = markdown[:first] + new + markdown[last:]
        elif (ROOT / "docs" / page.file.src_uri).parent.joinpath(target).is_dir():
            start = markdown.rindex("[", 0, first)
            markdown = markdown[:start] + markdown[start + 1 : first - 2] + markdown[last + 1 :]
    return markdown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
