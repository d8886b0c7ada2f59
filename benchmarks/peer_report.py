"""The tables of a run of peers.py, from its JSON; peer_chart.py draws the chart.

    python benchmarks/peer_report.py [FOLDER]       write peers.md and peers.png again from FOLDER/peers.json

A speed is the median of the rounds, with its range.  A ratio is formed within each round, and the median of these
ratios is reported, because the speed of the machine changes more from round to round than the frameworks differ.
"""

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

import measuring
from measuring import table
from peer_ratios import KERAS, OURS, fastest_peer, ratios


def speed_table(entry: dict) -> str:
    """One task with one network: every framework, the fastest first."""
    speeds = entry["speeds"]
    rows = []
    for name, values in sorted(speeds.items(), key=lambda item: -statistics.median(item[1])):
        speed = [f"{statistics.median(values):.0f}", f"{min(values):.0f} to {max(values):.0f}"]
        rows.append([name, *speed, *_ratio(ratios(entry, name))])
    heading = ["framework", "images per second", "range", f"{OURS}: times as fast", "range"]
    title = (
        f"{entry['task'].capitalize()}, {entry['network']}, {entry['pixels']} px, {len(speeds[OURS])} rounds:"
    )
    return f"{title}\n\n{table(heading, rows)}\n"


def summary_table(entries: Iterable[dict]) -> str:
    """Each task with each network: minicnn and the fastest peer."""
    rows = []
    for entry in entries:
        peer = fastest_peer(entry)
        if peer:
            ours, theirs = (f"{statistics.median(entry['speeds'][name]):.0f}" for name in (OURS, peer))
            what = [entry["task"], f"{entry['network']}, {entry['pixels']} px", ours, peer, theirs]
            rows.append([*what, *_ratio(ratios(entry, peer))])
    heading = ["task", "network", "minicnn, images per second", "fastest peer", "its images per second"]
    return table([*heading, "times as fast", "range"], rows)


def network_table(entries: Iterable[dict]) -> str:
    """One row per network: how many times as fast as the fastest peer minicnn is in each task."""
    tasks = ("training", "prediction, batch 32", "prediction, batch 1")
    cells: dict[str, dict[str, str]] = {}
    for entry in entries:
        if peer := fastest_peer(entry):
            median, spread = _ratio(ratios(entry, peer))
            network = f"{entry['network']}, {entry['pixels']} px"
            cells.setdefault(network, {})[entry["task"]] = f"{median} {peer} ({spread})"
    return table(
        ["network", *tasks], [[name, *(row.get(t, "") for t in tasks)] for name, row in cells.items()]
    )


def short_table(entries: Iterable[dict]) -> str:
    """The same for a first page, in fewer columns."""
    rows = []
    for entry in entries:
        peer = fastest_peer(entry)
        ours, theirs = (f"{statistics.median(entry['speeds'][name]):.0f}" for name in (OURS, peer))
        what = [entry["task"], f"`{entry['network']}`, {entry['pixels']} px", ours, f"{theirs} ({peer})"]
        rows.append([*what, "{} ({})".format(*_ratio(ratios(entry, peer)))])
    heading = ["task", "network", "minicnn, images per second", "fastest other framework"]
    return table([*heading, "times as fast (range)"], rows)


def memory_table(memory: dict) -> str:
    """Peak memory of each framework: after its import, and after training."""
    keras = memory["MB"].get(KERAS, {}).get("trained", float("nan"))
    rows = [
        [name, f"{row['imported']:.0f}", f"{row['trained']:.0f}", f"{row['trained'] / keras:.2f}"]
        for name, row in sorted(memory["MB"].items(), key=lambda item: item[1]["trained"])
    ]
    return table(["framework", "MB after import", "MB after training", f"relative to {KERAS}"], rows)


def _ratio(values):
    """Median and range, for two columns."""
    return f"{statistics.median(values):.2f}x", f"{min(values):.2f} to {max(values):.2f}"


def text(report: dict) -> str:
    """The report in Markdown."""
    versions = "".join(f", {name} {version}" for name, version in report["versions"].items())
    restless = max(entry["out of turn"] for entry in report["speeds"])
    parts = [
        f"{report['machine']}{versions}. Float32, batch {report['batch']} unless the task names another; medians of "
        f"{report['rounds']} rounds, ratios formed within each round. While another framework was timed, no framework "
        f"used more than {100 * restless:.2f} % of a core.\n",
        summary_table(report["speeds"]) + "\n",
        *(speed_table(entry) for entry in report["speeds"]),
    ]
    if "memory" in report:
        parts += [
            f"Peak memory of training {report['memory']['network']}, batch {report['batch']}:\n",
            memory_table(report["memory"]) + "\n",
            "minicnn's kernels were read from the disk; compiling them, the first time, takes more memory.\n",
        ]
    if report["notes"]:
        parts.append("\n".join(f"- {note}" for note in report["notes"]) + "\n")
    return "\n".join(parts)


def write(report: dict, folder: Path) -> None:
    """Write peers.md and peers.json, and peers.png if there is a peer."""
    measuring.write(folder, "peers", text(report), report)
    if any(fastest_peer(entry) for entry in report["speeds"]):
        import peer_chart  # needs matplotlib

        peer_chart.draw(report, folder / "peers.png")


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else measuring.RESULTS
    write(measuring.read("peers", place), place)
