"""The tables of bench/README.md, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.fences import FENCE_CLASSES
from bench.measurement import ROUNDS, ClassResult, PeerResult, Report, Spread
from bench.peers.roster import OURS

LETTERS = tuple(kind.letter for kind in FENCE_CLASSES)
_FENCE_COUNTS = {kind.letter: kind.fence_count for kind in FENCE_CLASSES}


def render(report: Report) -> str:
    """Write everything that was measured."""
    parts = [_provenance(report)]
    parts += [part for size in report.sizes for part in _size(report, size)]
    parts += _growth(report)
    parts += _changes(report)
    return "\n\n".join(parts) + "\n"


def best_ids_s(peers: Iterable[PeerResult], letter: str) -> tuple[float, str] | None:
    """Return the shortest median of all others that were asked every fence of the class, and whose it is."""
    medians = [
        (peer.classes[letter].ids.median_s, peer.title)
        for peer in peers
        if peer.title != OURS and letter in peer.classes and _is_whole(peer, letter)
    ]
    return min(medians, default=None)


def _best_batch_s(peers: Iterable[PeerResult]) -> tuple[float, str] | None:
    batches = [(peer.batch_s, peer.title) for peer in peers if peer.title != OURS and peer.batch_s is not None]
    return min(batches, default=None)


def _is_whole(peer: PeerResult, letter: str) -> bool:
    return peer.classes[letter].fence_count == _FENCE_COUNTS[letter]


def _ours(peers: Iterable[PeerResult]) -> PeerResult:
    return next(peer for peer in peers if peer.title == OURS)


def _provenance(report: Report) -> str:
    machine = ", ".join(report.machine.values())
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    bandwidth = report.bandwidth_bytes_per_s / 1e9
    return f"{machine}; one thread copies {bandwidth:.1f} GB/s, read and written. {versions}."


def _size(report: Report, camera_count: int) -> Iterable[str]:
    peers = report.of_size(camera_count)
    yield f"### {camera_count:,} cameras"
    yield "Median of a fence, except where the head says otherwise; ° of a part of the fences, see the notes."
    head = ["", "build", "bytes/camera", "a", "a, min", "a, p99", "b", "c", "d", "batch of a"]
    yield _table(head, [*_peer_rows(peers), *_ratio_rows(peers), _limit_row(report, peers)])
    yield "\n".join(_notes(peers))


def _notes(peers: Sequence[PeerResult]) -> Iterable[str]:
    for peer in peers:
        few = [f"{key} {result.round_count}" for key, result in peer.classes.items() if result.round_count < ROUNDS]
        notes = [*peer.notes, f"rounds {', '.join(few)}"] if few else peer.notes
        if notes:
            yield f"- {peer.title}: {'; '.join(notes)}."


def _peer_rows(peers: Sequence[PeerResult]) -> Iterable[list[str]]:
    for peer in peers:
        if peer.build_s is None:
            yield [peer.title, "absent" if not peer.classes else "", *[""] * 8]
            continue
        stored = " on disk" if peer.is_stored else ""
        yield [
            f"**{peer.title}**" if peer.title == OURS else peer.title,
            duration(peer.build_s),
            f"{peer.bytes_per_camera:.1f}{stored}",
            *_class_cells(peer, lambda result: result.ids),
            duration(peer.batch_s) if peer.batch_s is not None else "",
        ]
        if any(result.count for result in peer.classes.values()):
            yield [f"**{peer.title}**, count", "", "", *_class_cells(peer, lambda result: result.count), ""]


def _class_cells(peer: PeerResult, spread_of: Callable[[ClassResult], Spread | None]) -> Iterable[str]:
    for letter in LETTERS:
        spread = spread_of(peer.classes[letter]) if letter in peer.classes else None
        figures = (spread.median_s, spread.min_s, spread.p99_s) if spread else ()
        part = "" if figures and _is_whole(peer, letter) else "°"
        cells = [duration(figure) + part for figure in figures] or ["-"] * 3
        yield from cells if letter == "a" else cells[:1]


def _ratio_rows(peers: Sequence[PeerResult]) -> Iterable[list[str]]:
    ours = _ours(peers)
    best = {letter: best_ids_s(peers, letter) for letter in LETTERS}
    batch = _best_batch_s(peers)
    tree = next((peer.build_s for peer in peers if peer.title.startswith("STRtree")), None)

    def times(rival: tuple[float, str] | None, own_s: float | None) -> str:
        return f"{rival[0] / own_s:.1f}x" if rival and own_s else "-"

    ids = [times(best[letter], ours.classes[letter].ids.median_s) for letter in LETTERS]
    counts = [
        times(best[letter], spread.median_s if (spread := ours.classes[letter].count) else None) for letter in LETTERS
    ]
    names = [rival[1] if (rival := best[letter]) else "-" for letter in LETTERS]
    build = f"{tree / ours.build_s:.1f}x STRtree" if tree and ours.build_s else "-"
    yield ["best peer", "", "", names[0], "", "", *names[1:], batch[1] if batch else "-"]
    yield ["best peer / ours", build, "", ids[0], "", "", *ids[1:], times(batch, ours.batch_s)]
    yield ["best peer's ids / our count", "", "", counts[0], "", "", *counts[1:], ""]


def _limit_row(report: Report, peers: Sequence[PeerResult]) -> list[str]:
    ours = _ours(peers)
    limits = [ours.classes[letter].touched_bytes / report.bandwidth_bytes_per_s for letter in LETTERS]
    cells = [
        f"{duration(limit_s)}, {ours.classes[letter].ids.median_s / limit_s:.0f}x away"
        for letter, limit_s in zip(LETTERS, limits, strict=True)
    ]
    return ["limit of memory bandwidth", "", "", cells[0], "", "", *cells[1:], ""]


def _growth(report: Report) -> Iterable[str]:
    if len(report.sizes) < 2:
        return
    small, large = (_ours(report.of_size(size)) for size in (report.sizes[0], report.sizes[-1]))
    yield f"### Growth from {small.camera_count:,} to {large.camera_count:,} cameras, same fences"
    rows = []
    for letter in LETTERS:
        few, many = small.classes[letter], large.classes[letter]
        count = f"{many.count.median_s / few.count.median_s:.2f}x" if many.count and few.count else "-"
        ids = f"{many.ids.median_s / few.ids.median_s:.2f}x"
        rows.append([letter, f"{few.found:,}", f"{many.found:,}", f"{many.found / few.found:.1f}x", ids, count])
    yield _table(["class", "ids before", "ids after", "answer grows", "match grows", "count grows"], rows)
    yield "\n".join(
        f"A saved index of {peer.camera_count:,} cameras is open and has answered its first fence after "
        f"{duration(peer.open_s)}."
        for peer in (small, large)
        if peer.open_s is not None
    )


def _changes(report: Report) -> Iterable[str]:
    rows = []
    for size in report.sizes:
        ours = _ours(report.of_size(size))
        if ours.change_s is None:
            continue
        times = [f"{ours.changed[letter]:.2f}x" for letter in LETTERS]
        rows.append([f"{size:,}", f"{size // 100:,} in {duration(ours.change_s)}", *times])
    if rows:
        yield "### With one camera in a hundred moved, changes not yet merged, against a clean index"
        yield _table(["cameras", "moved at once, the first time", *LETTERS], rows)


def duration(seconds: float) -> str:
    """Write seconds with three digits and the unit that suits them."""
    for unit, per_second in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * per_second >= 1.0 or unit == "µs":
            value = seconds * per_second
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    raise AssertionError("the loop ends with a return")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
