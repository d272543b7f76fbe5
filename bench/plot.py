"""The picture of bench/README.md: every peer's median in every class, on a logarithmic scale."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.fences import FENCE_CLASSES
from bench.measurement import PeerResult, Report
from bench.peers.roster import OURS

_OURS_COLOUR = "#c2410c"
_PEER_COLOURS = (
    "#1d4ed8",
    "#0f766e",
    "#7c3aed",
    "#4d7c0f",
    "#a16207",
    "#0369a1",
    "#be185d",
    "#57534e",
    "#111827",
    "#65a30d",
)
_MARKERS = "osD^vPX<>h"


def draw(report: Report, path: Path) -> None:
    """Draw one panel for each number of cameras."""
    mpl.rcParams["svg.hashsalt"] = "geodispatch"  # else every run names its parts anew
    figure = Figure(figsize=(5.2 * len(report.sizes), 5.2), layout="constrained")
    panels = figure.subplots(1, len(report.sizes), sharey=True, squeeze=False)[0]
    for panel, size in zip(panels, report.sizes, strict=True):
        others = 0
        for peer in report.of_size(size):
            if not peer.classes:
                continue
            if peer.title == OURS:
                _line(panel, peer, _OURS_COLOUR, "*", 3.0)
            else:
                _line(panel, peer, _PEER_COLOURS[others], _MARKERS[others], 1.2)
                others += 1
        ours = next(peer for peer in report.of_size(size) if peer.title == OURS)
        limits_s = [result.touched_bytes / report.bandwidth_bytes_per_s for result in ours.classes.values()]
        panel.plot(list(ours.classes), limits_s, color="#9ca3af", linestyle=":", label="memory bandwidth")
        panel.set_yscale("log")
        panel.set_title(f"{size:,} cameras")
        panel.set_xlabel("class of fences")
        panel.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("seconds for one fence, median")
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _line(panel: mpl.axes.Axes, peer: PeerResult, colour: str, marker: str, width: float) -> None:
    letters = [kind.letter for kind in FENCE_CLASSES if kind.letter in peer.classes]
    medians_s = [peer.classes[letter].ids.median_s for letter in letters]
    panel.plot(letters, medians_s, color=colour, marker=marker, linewidth=width, label=peer.title)
