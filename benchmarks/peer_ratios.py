"""Ratios between minicnn and its peers, from the speeds that peers.py measured.

Called by peer_report.py, peer_chart.py and tables.py.
"""

import statistics

OURS = "minicnn fast"
KERAS = "Keras/TensorFlow"


def ratios(entry: dict, name: str) -> list[float]:
    """How many times as fast as the framework `name` minicnn is, one ratio per round."""
    speeds = entry["speeds"]
    return [ours / theirs for ours, theirs in zip(speeds[OURS], speeds[name], strict=True)]


def ratio(entry: dict) -> float:
    """The median ratio to the fastest peer."""
    return statistics.median(ratios(entry, fastest_peer(entry)))


def fastest_peer(entry: dict) -> str | None:
    """The framework with the smallest ratio; None if minicnn ran alone."""
    names = [name for name in entry["speeds"] if not name.startswith("minicnn")]
    return min(names, key=lambda name: statistics.median(ratios(entry, name)), default=None)
