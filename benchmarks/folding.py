"""Measure how much faster prediction becomes with `fold_batchnorm` and with `Predictor`.

    python benchmarks/folding.py [--rounds 9]

The networks are the bundled model and the networks of peer_networks.py that have batch normalizations.  Before anything
is timed, all must give the same predictions.  They take turns, and ratios are formed within a round.
Writes folding.md and folding.json into benchmarks/results, in two minutes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import RESULTS, machine, seconds_per_call, spread, table, write
from peer_frameworks import MiniCNN
from peer_networks import NETWORKS, draw_weights

import minicnn as mc
from minicnn.models.pretrained import pretrained

BATCHES = (32, 1)
TURN = 0.3  # seconds


def models() -> Iterator[tuple[str, mc.Sequential]]:
    """Each network with its name."""
    yield "catdog", pretrained()
    for name in ("residual", "mini-Xception"):
        weights = draw_weights(NETWORKS[name], np.random.default_rng(0))
        yield name, MiniCNN(NETWORKS[name], weights, "fast").model


def measure(model: mc.Sequential, batch: int, rounds: int, turn: float = TURN) -> dict[str, list[float]]:
    """Images per second in each round: of the model as trained, folded, and in a Predictor."""
    x = np.random.default_rng(1).random((batch, *model.input_shape), np.float32)
    forms = {"as trained": model, "folded": mc.fold_batchnorm(model), "Predictor": mc.Predictor(model)}
    for form in forms.values():
        np.testing.assert_allclose(form.predict(x), model.predict(x), rtol=1e-3, atol=1e-4)
    speeds = {name: [] for name in forms}
    for number in range(rounds):
        for name in sorted(forms, reverse=number % 2 == 1):
            seconds = seconds_per_call(lambda form=forms[name]: form.predict(x, batch_size=batch), turn)
            speeds[name].append(round(batch / seconds, 1))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="folder for the results")
    options = parser.parse_args()
    report = {"machine": machine(), "results": []}
    for name, model in models():
        for batch in BATCHES:
            speeds = measure(model, batch, options.rounds)
            what = {"network": name, "pixels": model.input_shape[0], "batch": batch}
            report["results"].append(what | {"images_per_second": speeds})
    print(text(report))
    write(options.results, "folding", text(report), report)


def text(report: dict) -> str:
    """The report in Markdown."""
    rounds = len(report["results"][0]["images_per_second"]["as trained"])
    return f"""Prediction as trained, with batch normalizations folded into the convolutions, and in a `Predictor`, \
which also packs the weights once: median (smallest to largest) of {rounds} rounds.

{speed_table(report)}

{report["machine"]}.
"""


def speed_table(report: dict) -> str:
    """The speed as trained, and how many times as fast the other forms are."""
    rows = []
    for one in report["results"]:
        before, *others = one["images_per_second"].values()
        ratios = [[b / a for a, b in zip(before, after, strict=True)] for after in others]
        what = [f"{one['network']}, {one['pixels']} px", str(one["batch"]), spread(before)]
        rows.append([*what, *(f"{spread(values)}" for values in ratios)])
    heading = ["network", "batch", "images per second as trained", "folded: times as fast"]
    return table([*heading, "`Predictor`: times as fast"], rows)


if __name__ == "__main__":
    main()
