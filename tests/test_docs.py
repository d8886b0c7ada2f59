"""The Python blocks of docs/*.md run as they stand, in order on each page; pages, options and links are complete.

A block with >>> is a session, and must print what the page shows.  Any other block must only run.  Each page has a
folder of its own, with a few synthetic images in `photos/cat` and `photos/dog`, and one of them as `photo.jpg`.
README.md is run by test_readme.py.
"""

import doctest
import importlib
import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from minicnn.cli import COMMANDS, options
from minicnn.runtime import threads

BLOCK = re.compile(r"^```(?:python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


@pytest.fixture(scope="session")
def photos_folder(drawn, tmp_path_factory):
    """The images of `drawn` with one folder per class, and `photo.jpg`."""
    folder = tmp_path_factory.mktemp("docs")
    for path in drawn.glob("*.png"):
        target = folder / "photos" / path.name.split(".")[0]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    with Image.open(drawn / "cat.0.png") as image:
        image.save(folder / "photo.jpg")
    return folder


def blocks(page):
    """(lines before the block, its code) for each Python block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in BLOCK.finditer(text)]


def run(page):
    """Run the blocks of a page with common names.  Tracebacks name the page and its line."""
    names = {"__name__": "__main__"}
    for line, code in blocks(page):
        if not code.startswith(">>>"):
            exec(compile("\n" * line + code, str(page), "exec"), names)
            continue
        session = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), line)
        session.globs, report = names, []
        failed = (
            doctest.DocTestRunner(verbose=False).run(session, out=report.append, clear_globs=False).failed
        )
        assert not failed, "".join(report)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, photos_folder, tmp_path, monkeypatch):
    shutil.copytree(photos_folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(threads, "_threads", threads.get_threads())  # a page may set the number of threads
    run(page)


@pytest.mark.parametrize(
    ("code", "error"),
    [("1 / 0", ZeroDivisionError), (">>> 1 + 1\n3", AssertionError), (">>> 1 / 0", AssertionError)],
)
def test_a_page_with_a_fault_fails(code, error, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n```python\nx = 1\n```\n\n```python\n{code}\n```\n", encoding="utf-8")
    with pytest.raises(error):
        run(page)


def test_the_site_has_every_page(root):
    navigation = (root / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert sorted(re.findall(r"[\w-]+\.md", navigation)) == [page.name for page in PAGES]


def test_the_reference_names_modules_that_exist(root):
    modules = re.findall(r"^::: (\S+)", (root / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert modules
    for module in modules:
        assert importlib.import_module(module).__doc__


def test_the_page_of_the_command_line_has_every_option_and_no_other(root):
    text = (root / "docs" / "command-line.md").read_text(encoding="utf-8")
    subparsers = next(
        action for action in options.parser("minicnn")._actions if action.dest == "command"
    ).choices
    known = {
        option
        for parser in subparsers.values()
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)) == known | {"--version"}
    assert set(subparsers) == set(COMMANDS) and all(f"minicnn {name}" in text for name in COMMANDS)


@pytest.fixture
def check_links(root):
    specification = importlib.util.spec_from_file_location("check_links", root / ".ci" / "check_links.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_links_are_checked(check_links, tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("# Other page\n\n## A & b: `c`\n\n## Same\n\n## Same\n")
    page = tmp_path / "README.md"
    page.write_text(
        "[a](docs/other.md) [b](docs/other.md#a--b-c) [c](docs/other.md#same-1) [d](#here)\n"
        "![image](docs/none.png)\n"
        "# Here\n"
        "`[code](nowhere.md)` <https://example.org/a> [web](https://example.org/b_(c))\n"
        "[x][ref] [bad](docs/other.md#absent) [up](../secret.md) [none](https://) [abs](/etc/passwd)\n"
        "\n[ref]: docs/absent.md\n"
        "```\n[in a block](nowhere.md)\n```\n"
    )
    assert check_links.main([str(page)], tmp_path) == 1
    found = [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert found == ["README.md:2", "README.md:5", "README.md:5", "README.md:5", "README.md:5", "README.md:7"]
    page.write_text("[a](docs/other.md#other-page)\n")
    assert check_links.main([str(page)], tmp_path) == 0
