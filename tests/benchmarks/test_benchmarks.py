"""The benchmarks of kernels and of scaling: a wrong kernel is never timed, fits are right, the programs run."""

import doctest
import json
import subprocess
import sys

import numpy as np
import pytest

from minicnn.kernels import fast, reference


def run(root, program, *arguments):
    command = [sys.executable, str(root / "benchmarks" / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def small_case(programs):
    return next(case for case in programs("kernel_cases").CASES if str(case).startswith("ReLU, 31 px"))


def slightly_wrong(right):
    return lambda *arrays: right(*arrays) * 1.00002


def one_image_missing(right):
    def wrong(*arrays):
        result = right(*arrays)
        result[17] = 0
        return result

    return wrong


def not_a_number(right):
    def wrong(*arrays):
        result = right(*arrays)
        result.flat[-1] = np.nan
        return result

    return wrong


def test_correct_kernels_agree(programs):
    errors = programs("kernels").check(small_case(programs))["errors"]
    assert len(errors) == 4 and max(errors.values()) == 0


@pytest.mark.parametrize("wrong", [slightly_wrong, one_image_missing, not_a_number])
@pytest.mark.parametrize("which", ["relu_forward", "relu_backward"])
def test_a_wrong_kernel_ends_the_benchmark_before_anything_is_timed(
    programs, monkeypatch, capsys, wrong, which
):
    monkeypatch.setattr(fast, which, wrong(getattr(fast, which)))
    monkeypatch.setattr(sys, "argv", ["kernels.py", "--only", str(small_case(programs))])
    assert programs("kernels").main() == 1
    said = capsys.readouterr()
    assert "fast, ReLU" in said.err and "Nothing is timed" in said.err and "round" not in said.out


def test_the_result_of_two_images_gives_the_result_of_a_batch_that_repeats_them(programs, rng):
    """Compared with `reference` on the whole batch."""
    repeat = programs("kernel_cases").repeat
    x, weight, bias = rng.random((2, 5, 4, 3)), rng.random((3, 2, 3, 4)), rng.random(4)
    dy, window = rng.random((2, 3, 3, 4)), ((1, 1), ((0, 0), (0, 0)))

    def both(a):
        dx, dweight, dbias = reference.conv2d_backward(a["dy"], a["x"], weight, *window)
        y = reference.conv2d_forward(a["x"], weight, bias, *window)
        return {"y": y, "dx": dx, "dweight": dweight, "dbias": dbias}

    repeated, found = repeat(both({"x": x, "dy": dy})), both(repeat({"x": x, "dy": dy}))
    assert len(found["y"]) > 2
    for name in found:
        np.testing.assert_allclose(repeated[name], found[name], rtol=1e-12, atol=1e-12)


def test_kernels_runs_and_writes_its_results(root, tmp_path):
    assert "ReLU, backward" in run(
        root, "kernels.py", "--rounds", "1", "--only", "ReLU, 31 px", "--out", str(tmp_path)
    )
    report = json.loads((tmp_path / "kernels.json").read_text(encoding="utf-8"))
    for row in report["kernels"]:
        assert row["bound"] == "memory" and row["roof"] > 0 and all(map(len, row["seconds"].values()))
    assert report["peak"] >= max(np.median(values) for values in report["operations_per_second"].values())
    assert (tmp_path / "kernels.md").read_text(encoding="utf-8").count("| ReLU, ") == 2
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")


def test_scaling_measures_each_point_in_a_process_of_its_own(programs):
    pytest.importorskip("resource")
    scaling = programs("scaling")
    answers = [scaling.measure(scaling.Point("two-block", 2, 12, threads)) for threads in (1, 2)]
    for answer in answers:
        assert answer["seconds"] > 0 and 50 < answer["megabytes"] < 2000
    assert answers[0]["loss"] == answers[1]["loss"]


def test_the_fitted_line_and_its_error_are_those_of_numpy(programs, rng):
    scaling = programs("scaling")
    x, y = rng.random(9), rng.random(9)
    (slope, intercept), covariance = np.polyfit(x, y, 1, cov=True)
    got = scaling.straight_line(x, y)
    np.testing.assert_allclose(got, (slope, np.sqrt(covariance[0, 0]), intercept), rtol=1e-9)


def test_a_loss_that_depends_on_threads_is_refused(programs):
    scaling = programs("scaling")
    one, two = (scaling.Point("two-block", 2, 12, threads) for threads in (1, 2))
    scaling.same_losses({one: [{"loss": 0.5}], two: [{"loss": 0.5}]})
    with pytest.raises(RuntimeError, match="two-block"):
        scaling.same_losses({one: [{"loss": 0.5}], two: [{"loss": np.nextafter(0.5, 1)}]})


@pytest.mark.parametrize("name", ["ablations", "main_job", "measuring", "peer_networks", "scaling", "tables"])
def test_examples_in_docstrings_are_right(programs, name):
    result = doctest.testmod(programs(name))
    assert result.attempted and not result.failed
