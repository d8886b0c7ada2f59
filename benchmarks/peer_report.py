"""The tables of a run of peers.py, from its JSON; the chart is peer_chart.py's.

    python benchmarks/peer_report.py [FOLDER]       writes both again from the peers.json in the folder

A figure is the median of the rounds with its least and most.  A ratio is taken within each round, and its
median stated, because the machine's speed drifts from round to round by more than the frameworks' does.
"""

import json
import statistics
import sys
from pathlib import Path

OURS = "minicnn fast"
KERAS = "Keras/TensorFlow"
BARS = {"two-block training": 3.0, "four-block training": 2.5, "prediction, batch 32": 1.2}  # else 1.0


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
    return BARS.get(f"{entry['network']} {entry['task']}", BARS.get(entry["task"], 1.0))


def speed_table(entry: dict) -> str:
    """Markdown, the fastest first."""
    speeds = entry["speeds"]
    lines = [
        f"{entry['task'].capitalize()}, {entry['network']}, {entry['pixels']} px, {len(speeds[OURS])} rounds:",
        "",
        f"| framework | pictures a second | least to most | {OURS} against it | least to most |",
        "|---|---|---|---|---|",
    ]
    for name, values in sorted(speeds.items(), key=lambda item: -statistics.median(item[1])):
        against = ratios(entry, name)
        lines.append(
            f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} to {max(values):.0f} "
            f"| {statistics.median(against):.2f}x | {min(against):.2f} to {max(against):.2f} |"
        )
    return "\n".join(lines) + "\n"


def summary_table(report: dict) -> str:
    """Every figure that has a bar, beside its bar."""
    lines = [
        "| task | network | fastest peer | times as fast | least to most | asked for |",
        "|---|---|---|---|---|---|",
    ]
    for entry in report["speeds"]:
        peer = fastest_peer(entry)
        if peer:
            against = ratios(entry, peer)
            lines.append(
                f"| {entry['task']} | {entry['network']}, {entry['pixels']} px | {peer} "
                f"| {statistics.median(against):.2f}x | {min(against):.2f} to {max(against):.2f} "
                f"| {bar(entry)}x |"
            )
    return "\n".join(lines) + "\n"


def memory_table(memory: dict) -> str:
    """Peak memory: the framework's own, and what training adds."""
    keras = memory["MB"].get(KERAS, {}).get("trained", float("nan"))
    lines = [
        f"Peak memory of training {memory['network']}, batch 32 (asked for: at most 0.5 of Keras's):",
        "",
        "| framework | MB when imported | MB when trained | against Keras/TensorFlow |",
        "|---|---|---|---|",
    ]
    for name, row in sorted(memory["MB"].items(), key=lambda item: item[1]["trained"]):
        lines.append(
            f"| {name} | {row['imported']:.0f} | {row['trained']:.0f} | {row['trained'] / keras:.2f} |"
        )
    return "\n".join(lines) + "\n"


def write(report: dict, folder: Path) -> None:
    """peers.md, and peers.png if there is somebody to be compared with."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    restless = max(entry["out of turn"] for entry in report["speeds"])
    parts = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; {versions}. Float32, batch "
        f"{report['batch']} unless said; medians of {report['rounds']} rounds, ratios taken within each round. "
        f"No framework used more than {100 * restless:.2f} % of a core out of its turn.\n",
        summary_table(report),
        *(speed_table(entry) for entry in report["speeds"]),
    ]
    if "memory" in report:
        parts.append(memory_table(report["memory"]))
    if report["notes"]:
        parts.append("\n".join(f"- {note}" for note in report["notes"]) + "\n")
    (folder / "peers.md").write_text("\n".join(parts), encoding="utf-8")
    if any(fastest_peer(entry) for entry in report["speeds"]):
        import peer_chart  # which needs matplotlib

        peer_chart.draw(report, folder / "peers.png")


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent / "results")
    write(json.loads((place / "peers.json").read_text(encoding="utf-8")), place)
