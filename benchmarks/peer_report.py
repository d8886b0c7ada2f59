"""The tables of a run of peers.py, from its JSON; the chart is peer_chart.py's.

    python benchmarks/peer_report.py [FOLDER]       writes both again from the peers.json in the folder

A figure is the median of the rounds with its least and most.  A ratio is taken within each round, and its
median stated, because the machine's speed drifts from round to round by more than the frameworks' does.
"""

import json
import statistics
import sys
from pathlib import Path

import measuring
from measuring import table

OURS = "minicnn fast"
KERAS = "Keras/TensorFlow"
BARS = {  # else 1.0
    "two-block training": 3.0, "four-block training": 2.5,
    "two-block prediction, batch 32": 1.2, "four-block prediction, batch 32": 1.2,
}  # fmt: skip


def ratios(entry: dict, name: str) -> list[float]:
    """How many times as fast as `name` we were, round by round."""
    speeds = entry["speeds"]
    return [ours / theirs for ours, theirs in zip(speeds[OURS], speeds[name], strict=True)]


def fastest_peer(entry: dict) -> str | None:
    """The peer that we beat by least; None if we were alone."""
    names = [name for name in entry["speeds"] if not name.startswith("minicnn")]
    return min(names, key=lambda name: statistics.median(ratios(entry, name)), default=None)


def bar(entry: dict) -> float:
    """The ratio that is asked for."""
    return BARS.get(f"{entry['network']} {entry['task']}", 1.0)


def speed_table(entry: dict) -> str:
    """One task on one network: every framework, the fastest first."""
    speeds = entry["speeds"]
    rows = []
    for name, values in sorted(speeds.items(), key=lambda item: -statistics.median(item[1])):
        speed = [f"{statistics.median(values):.0f}", f"{min(values):.0f} to {max(values):.0f}"]
        rows.append([name, *speed, *_ratio(ratios(entry, name))])
    heading = ["framework", "pictures a second", "least to most", f"{OURS} against it", "least to most"]
    title = (
        f"{entry['task'].capitalize()}, {entry['network']}, {entry['pixels']} px, {len(speeds[OURS])} rounds:"
    )
    return f"{title}\n\n{table(heading, rows)}\n"


def summary_table(report: dict) -> str:
    """Every task and network: the fastest peer, and what was asked for."""
    rows = []
    for entry in report["speeds"]:
        peer = fastest_peer(entry)
        if peer:
            what = [entry["task"], f"{entry['network']}, {entry['pixels']} px", peer]
            rows.append([*what, *_ratio(ratios(entry, peer)), f"{bar(entry)}x"])
    heading = ["task", "network", "fastest peer", "times as fast", "least to most", "asked for"]
    return table(heading, rows) + "\n"


def memory_table(memory: dict) -> str:
    """Peak memory: the framework's own, and with training."""
    keras = memory["MB"].get(KERAS, {}).get("trained", float("nan"))
    rows = [
        [name, f"{row['imported']:.0f}", f"{row['trained']:.0f}", f"{row['trained'] / keras:.2f}"]
        for name, row in sorted(memory["MB"].items(), key=lambda item: item[1]["trained"])
    ]
    heading = ["framework", "MB when imported", "MB when trained", f"against {KERAS}"]
    title = f"Peak memory of training {memory['network']}, batch 32; asked for: at most 0.5 of {KERAS}'s:"
    note = "minicnn's kernels came compiled from the disk; compiling them the first time takes more memory."
    return f"{title}\n\n{table(heading, rows)}\n\n{note}\n"


def _ratio(values):
    """Median and spread, as they stand in two columns."""
    return f"{statistics.median(values):.2f}x", f"{min(values):.2f} to {max(values):.2f}"


def write(report: dict, folder: Path) -> None:
    """peers.md and peers.json, and peers.png if there is somebody to be compared with."""
    versions = "".join(f", {name} {version}" for name, version in report["versions"].items())
    restless = max(entry["out of turn"] for entry in report["speeds"])
    parts = [
        f"{report['machine']}{versions}. Float32, batch {report['batch']} unless said; medians of "
        f"{report['rounds']} rounds, ratios taken within each round. No framework used more than "
        f"{100 * restless:.2f} % of a core out of its turn.\n",
        summary_table(report),
        *(speed_table(entry) for entry in report["speeds"]),
    ]
    if "memory" in report:
        parts.append(memory_table(report["memory"]))
    if report["notes"]:
        parts.append("\n".join(f"- {note}" for note in report["notes"]) + "\n")
    measuring.write(folder, "peers", "\n".join(parts), report)
    if any(fastest_peer(entry) for entry in report["speeds"]):
        import peer_chart  # which needs matplotlib

        peer_chart.draw(report, folder / "peers.png")


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else measuring.RESULTS
    write(json.loads((place / "peers.json").read_text(encoding="utf-8")), place)
