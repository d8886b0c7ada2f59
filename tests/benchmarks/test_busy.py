"""The page and the chart of busy.py, from measurements made by hand."""

from PIL import Image


def test_shares_are_formed_within_a_round_and_drawn(programs, tmp_path):
    busy = programs("busy")
    speeds = {"alone": [100, 50], "neighbour": [60, 20], "twice": [40, 30]}
    report = {"machine": "a machine", "network": "two-block", "rounds": 2, "notes": ["x did not run: y"]}
    report["tasks"] = {"training, batch 32": {"minicnn fast": speeds, "ONNX Runtime": speeds}}
    assert busy.shares(speeds, "neighbour") == [0.6, 0.4]
    assert "| training, batch 32 | minicnn fast | 0.50 | 0.50 |" in busy.short_table(report)
    text = busy.text(report)
    assert "| ONNX Runtime | 75 (50 to 100) | 0.5 (0.4 to 0.6) | 0.5 (0.4 to 0.6) |" in text
    assert "- x did not run: y" in text
    busy.draw(report, tmp_path / "busy.png")
    with Image.open(tmp_path / "busy.png") as image:
        assert min(image.size) > 300


def test_the_neighbour_waits_until_it_is_let_go_and_ends_with_the_block(programs):
    with programs("busy").neighbour() as process:
        assert process.poll() is None
    assert process.poll() is not None
