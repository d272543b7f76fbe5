"""The tables of dispatch.md, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.dispatch.contest import Rounds
from bench.dispatch.large_request import LargeRequest

_Relate = Callable[[float, float], str]


@dataclass(frozen=True)
class Report:
    """All of a run. The first of `enqueue` and `claim` is the limit, of `jobs` it is ours."""

    machine: dict[str, str]
    versions: dict[str, str]
    enqueue: Sequence[Rounds]
    claim: Sequence[Rounds]
    jobs: Sequence[Rounds]
    large: LargeRequest | None


def render(report: Report) -> str:
    """Write everything that was measured."""
    machine, versions = ", ".join(report.machine.values()), ", ".join(f"{k} {v}" for k, v in report.versions.items())
    parts = [f"{machine}. {versions}."]
    parts += [_contest("of the limit", group, _share) for group in (report.enqueue, report.claim)]
    parts.append(_contest("times ours", report.jobs, _times))
    if report.large is not None:
        parts.append(_large(report.large))
    return "\n\n".join(parts) + "\n"


def _share(first: float, other: float) -> str:
    return f"{first / other:.0%}"


def _times(first: float, other: float) -> str:
    return f"{other / first:.1f}x"


def _contest(relation: str, group: Sequence[Rounds], relate: _Relate) -> str:
    first = group[0]
    head = [f"{first.row_count:,} rows", "best", "median", "rows a second", f"{relation}: best", "median", "pairs"]
    rows = [
        [
            rounds.title,
            f"{rounds.best_s:.3f} s",
            f"{rounds.median_s:.3f} s",
            f"{rounds.row_count / rounds.median_s:,.0f}",
            *_relations(first, rounds, relate),
        ]
        for rounds in group
    ]
    return _table(head, rows)


def _relations(first: Rounds, rounds: Rounds, relate: _Relate) -> list[str]:
    if rounds is first:
        return ["", "", ""]
    pairs = [one / other for one, other in zip(first.seconds, rounds.seconds, strict=True)]
    return [relate(first.best_s, rounds.best_s), relate(first.median_s, rounds.median_s), relate(median(pairs), 1.0)]


def _large(large: LargeRequest) -> str:
    (server_before, server_most), (sender_before, sender_most) = large.server_mb, large.sender_mb
    rows = [
        ["the server's answer, HTTP and match included", f"{large.answer_s:.2f} s"],
        ["all prompts queued, from the request on", f"{large.fan_out_s:.1f} s"],
        ["the server's memory before, and the most", f"{server_before:.0f} MB, {server_most:.0f} MB"],
        ["the sender's memory before, and the most", f"{sender_before:.0f} MB, {sender_most:.0f} MB"],
    ]
    return _table([f"one request to {large.owner_count:,} owners", ""], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
