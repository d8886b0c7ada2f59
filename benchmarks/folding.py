"""What a network that only predicts gains by `fold_batchnorm` and `Predictor`: they take turns with it as trained.

    python benchmarks/folding.py [--rounds 9]

The networks are the one that ships and those with normalisations in peer_networks.py.  First all must answer alike.
Writes folding.md and folding.json into benchmarks/results, in two minutes; ratios are taken within a round.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import RESULTS, machine, seconds_per_call, spread, table, write
from peer_frameworks import MiniCNN
from peer_networks import NETWORKS, draw_weights

import minicnn as mc

SHIPPED = Path(__file__).resolve().parents[1] / "examples" / "catdog.safetensors"
BATCHES = (32, 1)
TURN = 0.3  # seconds


def models() -> Iterator[tuple[str, mc.Sequential]]:
    """Each network with its name."""
    yield "catdog", mc.load_model(SHIPPED)
    for name in ("residual", "mini-Xception"):
        weights = draw_weights(NETWORKS[name], np.random.default_rng(0))
        yield name, MiniCNN(NETWORKS[name], weights, "fast").model


def measure(model: mc.Sequential, batch: int, rounds: int, turn: float = TURN) -> dict[str, list[float]]:
    """Pictures a second, round by round, as the model is, folded, and of its Predictor."""
    x = np.random.default_rng(1).random((batch, *model.input_shape), np.float32)
    ways = {"as trained": model, "folded": mc.fold_batchnorm(model), "Predictor": mc.Predictor(model)}
    for way in ways.values():
        np.testing.assert_allclose(way.predict(x), model.predict(x), rtol=1e-3, atol=1e-4)
    speeds = {name: [] for name in ways}
    for number in range(rounds):
        for name in sorted(ways, reverse=number % 2 == 1):
            seconds = seconds_per_call(lambda way=ways[name]: way.predict(x, batch_size=batch), turn)
            speeds[name].append(round(batch / seconds, 1))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the table goes")
    options = parser.parse_args()
    rows, report = [], {}
    for name, model in models():
        for batch in BATCHES:
            speeds = report[f"{name}, batch {batch}"] = measure(model, batch, options.rounds)
            before, *others = speeds.values()
            gains = [[b / a for a, b in zip(before, after, strict=True)] for after in others]
            size = f"{model.input_shape[0]} px"
            rows.append(
                [f"{name}, {size}", str(batch), spread(before), *(f"{spread(gain)}x" for gain in gains)]
            )
    heading = [
        "network",
        "batch",
        "pictures a second as trained",
        "folded, times as fast",
        "Predictor, times as fast",
    ]
    text = f"""Prediction with batch normalisations, with them in the weights before them, and with these weights laid \
out once: median (least to most) of {options.rounds} rounds.

{table(heading, rows)}

{machine()}.
"""
    print(text)
    write(options.results, "folding", text, report)


if __name__ == "__main__":
    main()
