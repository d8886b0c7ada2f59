"""The README's own Python runs as it stands, on a small folder of synthetic images."""

import re
import shutil

import pytest


def test_the_library_example_runs_and_its_model_can_predict(root, drawn, tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "photos").symlink_to(drawn, target_is_directory=True)
    shutil.copy(next(drawn.rglob("cat*.png")), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    answer = names["predict"]("photo.jpg")
    assert list(answer) == ["cat", "dog"] and sum(answer.values()) == pytest.approx(1)


def test_the_front_page_is_one_page(root):
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
