"""The tables of README.md, docs/ and benchmarks/results agree with the measurements, and a changed number is found."""

import json
import re
import shutil

import pytest

PAGES = "results", "ablations", "speed", "reliability"  # docs/NAME.md


@pytest.fixture
def tables(programs):
    return programs("tables")


@pytest.fixture
def project(root, tmp_path):
    """A copy of docs/ and of the results, to be changed."""
    for name in PAGES:
        (tmp_path / "docs").mkdir(exist_ok=True)
        shutil.copy(root / "docs" / f"{name}.md", tmp_path / "docs")
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    for path in (root / "benchmarks" / "results").glob("*.*"):
        if path.suffix in (".json", ".md"):
            shutil.copy(path, tmp_path / "benchmarks" / "results")
    return tmp_path


def check(tables, project):
    return tables.main(["--check"], project, project / "benchmarks" / "results")


def test_the_pages_agree_with_the_measurements(tables, capsys):
    assert tables.main(["--check"]) == 0, capsys.readouterr().err


def test_a_changed_number_in_a_table_is_found_and_written_again(tables, project, capsys):
    page = project / "docs" / "results.md"
    right = page.read_text(encoding="utf-8")
    assert "98.4 ± 0.2 %" in right
    page.write_text(right.replace("98.4 ± 0.2 %", "99.4 ± 0.2 %"), encoding="utf-8")
    assert check(tables, project) == 1
    assert "docs/results.md: table accuracy" in capsys.readouterr().err
    assert tables.main([], project, project / "benchmarks" / "results") == 0
    assert page.read_text(encoding="utf-8") == right and check(tables, project) == 0


def test_a_changed_measurement_is_found(tables, project, capsys):
    path = project / "benchmarks" / "results" / "peers.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["speeds"][0]["speeds"]["minicnn fast"] = [1.0] * report["rounds"]
    path.write_text(json.dumps(report), encoding="utf-8")
    assert check(tables, project) == 1
    said = capsys.readouterr().err
    assert "docs/speed.md: table speed-networks" in said and "peers.md: differs from peers.json" in said


def test_a_value_in_a_sentence_is_checked_and_written(tables, project, capsys):
    page = project / "README.md"
    page.write_text("It reaches <!-- value: two-block accuracy -->81 %<!-- end --> here.", encoding="utf-8")
    assert check(tables, project) == 1
    assert "README.md: value two-block accuracy" in capsys.readouterr().err
    tables.main([], project, project / "benchmarks" / "results")
    assert "-->80.8 ± 0.9 %<!-- end --> here." in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["results", "speed"])
def test_the_tables_of_the_first_page_have_four_rows(tables, name):
    assert len(tables.tables(tables.RESULTS)[name]().splitlines()) == 2 + 4


def test_every_table_can_be_made(tables):
    for name, make in tables.tables(tables.RESULTS).items():
        heading, _, *rows = make().splitlines()
        assert rows and all(row.count("|") == heading.count("|") for row in rows), name


def test_a_page_without_tables_is_left_as_it_is(tables, project):
    page = project / "README.md"
    page.write_text("# minicnn\n", encoding="utf-8")
    assert check(tables, project) == 0
    tables.main([], project, project / "benchmarks" / "results")
    assert page.read_text(encoding="utf-8") == "# minicnn\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- table: speeed -->\n<!-- end -->", "table speeed"),
        ("<!-- value: two-block acuracy -->1<!-- end -->", "value two-block acuracy"),
        ("<!-- value: no-such-file accuracy -->1<!-- end -->", "value no-such-file accuracy"),
        ("<!-- table: speed -->\n", "has no <!-- end -->"),
        ("text <!-- end -->", "has no <!-- end -->"),
        ("<!-- table: speed -->\n<!-- table: results -->\n<!-- end -->", "has no <!-- end -->"),
    ],
)
def test_a_wrong_marker_is_named_and_the_page_is_left_as_it_is(tables, project, capsys, text, said):
    page = project / "README.md"
    page.write_text(text, encoding="utf-8")
    for arguments in (["--check"], []):
        assert tables.main(arguments, project, project / "benchmarks" / "results") == 1
        assert said in capsys.readouterr().err
        assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", PAGES)
def test_the_files_that_a_page_links_to_exist(root, name):
    page = root / "docs" / f"{name}.md"
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith("https://")]
    assert local and not [link for link in local if not (page.parent / link).exists()]
