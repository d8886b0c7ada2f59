"""The runs of docs/results.md: their options, their tables, and the baselines next to them."""

import pytest

from minicnn.cli import options
from minicnn.models.recipes import settings

FORMER = {
    "warmup": "warm_up",
    "ema": "average",
    "save": "keep",
    "tta": "flip",
}  # in reports written before 0.1.0


@pytest.fixture
def main_job(programs):
    return programs("main_job")


def test_the_command_of_each_run_means_the_settings_that_its_report_recorded(main_job):
    """So a changed recipe cannot silently make the recorded results those of another recipe."""
    reports = main_job.reports()
    assert set(reports) == set(main_job.RUNS)
    for name, report in reports.items():
        given = options.parser("minicnn").parse_args(["train", *main_job.RUNS[name]])
        recipe = options.choose(given, report["training_images"])
        assert (recipe.network, given.seed) == (report["network"], report["seed"])
        for key in settings():
            recorded = report.get(key, report.get(FORMER.get(key)))
            if recorded is not None:
                value = getattr(recipe, key)
                assert (list(map(list, value)) if key == "progressive" else value) == recorded, (name, key)


def test_weights_of_the_last_epoch_are_not_called_best(main_job):
    run = {"best_epoch": 3, "epochs": 9}
    assert main_job.best_epoch(run | {"save": "best"}) == "3 of 9"
    for key in ("save", "keep"):
        assert main_job.best_epoch(run | {key: "last"}) == "last of 9"


def test_a_short_table_names_other_kernels_and_other_seeds(main_job):
    run = {
        "network": "n", "training_images": 2000, "image_size": 64, "seconds": 600, "kernels": "im2col",
        "accuracy": 0.9, "accuracy_standard_error": 0.01, "command": ["minicnn", "train", "--data", "PHOTOS"],
    }  # fmt: skip
    found = {"catdog-small": run, "catdog-small-seed-1": run | {"accuracy": 0.8}}
    _, _, row = main_job.short_table(found, ["catdog-small"]).splitlines()
    start = "| `n` | 2,000 photos, 64 px | 10 min (kernels `im2col`) | 90.0 ± 1.0 % (other seeds: 80.0 %)"
    assert row.startswith(start)


def test_published_accuracies_name_their_framework_and_their_differences(main_job):
    published = main_job.PUBLISHED
    assert "97.4 % of 5,000" in published["catdog-hour-and-a-half"]
    assert "Caffe under NVIDIA DIGITS" in published["catdog-hour-and-a-half"]
    assert "RMSprop" in published["four-block"]
    assert set(published) == {name.partition("-seed-")[0] for name in main_job.RUNS}
