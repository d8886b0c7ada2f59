"""The README's own Python runs as it stands, on a small folder of drawn animals."""

import re

from minicnn import data


def test_the_library_example_runs_and_its_model_can_predict(root, drawn, tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "photos").symlink_to(drawn, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    model = names["model"]
    assert model.class_names == ["cat", "dog"] and model.optimizer is None  # the one that was loaded
    assert 0 <= model.predict(data.to_float(names["picture"])[None]).item() <= 1
