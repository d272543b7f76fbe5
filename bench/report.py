"""The whole comparison: every peer, every class of fences, every size; tables and a plot for bench/README.md.

`python -m bench.report`, or `make bench-report`. Peers that are not installed get a row that says so.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.bandwidth import measure_bandwidth
from bench.fences import FENCE_CLASSES, FenceClass
from bench.machine import describe_machine, describe_software
from bench.measurement import ClassResult, PeerResult, Report
from bench.peer_process import ONE_THREAD, PeerFailed, PeerProcess
from bench.peers.peer import PeerAbsent
from bench.peers.roster import OURS, ROSTER, Entry
from bench.questions import Questions
from bench.table import render

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
PLOT = FOLDER / "report.svg"
MEASURED = FOLDER / "report.json"
_GENERATED = re.compile(r"(<!-- generated -->\n).*(<!-- end -->)", re.DOTALL)

_BUILD_LIMIT_S = 240.0
_CLASS_LIMIT_S = 60.0
_BATCH_CLASS = FENCE_CLASSES[0]
# The H3 recipe takes a cell's border for straight where it is an arc of a great circle, so it may lose a camera there.
_MAY_DIFFER = {"H3 recipe"}


class AnswersDiffer(Exception):
    """A peer whose answers must equal ours has others."""


class Run:
    """One peer after another, on cameras and fences in a folder."""

    def __init__(
        self, folder: Path, check_limit_s: float, clock_limit_s: float, on_step: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._check_limit_s = check_limit_s
        self._clock_limit_s = clock_limit_s
        self._on_step = on_step

    def try_peer(self, entry: Entry, camera_count: int, versions: dict[str, str]) -> PeerResult:
        """Build a peer, put it to all classes, and note whatever it cannot do.

        Errors: AnswersDiffer; PeerFailed, of ours alone.
        """
        result = PeerResult(entry.title, camera_count)
        with PeerProcess(entry, self._folder) as process:
            try:
                self._on_step(f"{entry.title}: build")
                result.build_s, result.bytes_per_camera, result.is_stored = process.call(
                    "build", limit_s=_BUILD_LIMIT_S
                )
            except PeerAbsent as absence:
                result.notes.append(f"absent: {absence}")
                return result
            except PeerFailed as failure:
                if entry.title == OURS:
                    raise
                result.notes.append(f"not built: {failure}")
                return result
            if version := process.call("version", limit_s=_CLASS_LIMIT_S):
                versions[entry.title] = version
            for kind in FENCE_CLASSES:
                self._on_step(f"{entry.title}: class {kind.letter}")
                self._try_class(process, kind, result)
                if kind is _BATCH_CLASS:
                    self._try_batch(process, result)
            if process.is_alive():
                self._on_step(f"{entry.title}: with changes")
                if changed := process.call("measure_changed", self._clock_limit_s, limit_s=_CLASS_LIMIT_S):
                    result.change_s, result.changed = changed
                self._on_step(f"{entry.title}: open")
                result.open_s = process.call("measure_open", limit_s=_CLASS_LIMIT_S)
        return result

    def _try_class(self, process: PeerProcess, kind: FenceClass, result: PeerResult) -> None:
        if not process.is_alive():
            result.notes.append(f"class {kind.letter} not tried any more")
            return
        limits = (self._check_limit_s, self._clock_limit_s)
        try:
            answer: ClassResult = process.call("measure", kind.letter, *limits, limit_s=_CLASS_LIMIT_S)
        except PeerFailed as failure:
            if result.title == OURS:
                raise
            result.notes.append(f"class {kind.letter}: {failure}")
            return
        if answer.differing and result.title not in _MAY_DIFFER:
            raise AnswersDiffer(f"{result.title}, class {kind.letter}: {answer.differing} ids")
        result.classes[kind.letter] = answer
        if answer.differing:
            result.notes.append(f"class {kind.letter}: {answer.differing:,} ids of {answer.found:,} differ")
        if answer.fence_count < kind.fence_count:
            result.notes.append(f"class {kind.letter}: {answer.fence_count:,} of {kind.fence_count:,} fences")

    def _try_batch(self, process: PeerProcess, result: PeerResult) -> None:
        """Time the batch of a peer that was compared on all its fences."""
        if (answer := result.classes.get(_BATCH_CLASS.letter)) and answer.fence_count == _BATCH_CLASS.fence_count:
            arguments = (_BATCH_CLASS.letter, self._clock_limit_s)
            try:
                result.batch_s = process.call("measure_batch", *arguments, limit_s=_CLASS_LIMIT_S)
            except PeerFailed as failure:
                if result.title == OURS:
                    raise
                result.notes.append(f"batch: {failure}")


def run_all(
    sizes: list[int], entries: list[Entry], check_limit_s: float, clock_limit_s: float, console: Console
) -> Report:
    """Try every peer at every size, under a progress bar.

    Errors: AnswersDiffer.
    """
    os.environ.update(ONE_THREAD)
    peers: list[PeerResult] = []
    versions = describe_software()
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("memory bandwidth", total=len(sizes) * (1 + len(entries)))
        bandwidth_bytes_per_s = measure_bandwidth()
        for size in sizes:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                progress.update(task, description=f"{size:,} cameras")
                folder.chmod(0o711)  # PostgreSQL runs under another account, in a folder of its own in there
                Questions(folder).write(size)
                progress.advance(task)
                run = Run(folder, check_limit_s, clock_limit_s, partial(_describe, progress, task, size))
                for entry in entries:
                    peers.append(run.try_peer(entry, size, versions))
                    progress.advance(task)
    return Report(describe_machine(), versions, bandwidth_bytes_per_s, peers)


def _describe(progress: Progress, task: TaskID, size: int, step: str) -> None:
    progress.update(task, description=f"{size:,}, {step}")
    if not progress.console.is_terminal:
        progress.console.print(f"{size:,}, {step}")


def main(
    cameras: Annotated[list[int] | None, typer.Option(help="How many cameras; may be given again.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="A part of a title; ours always takes part.")] = None,
    check_limit_s: Annotated[
        float, typer.Option(help="Seconds for comparing a class; the rest of it is left out.")
    ] = 8.0,
    clock_limit_s: Annotated[
        float, typer.Option(help="Seconds for timing a class; further rounds are left out.")
    ] = 5.0,
    redraw: Annotated[bool, typer.Option(help="Measure nothing; write anew what the last run measured.")] = False,
    write: Annotated[bool, typer.Option(help="Write to bench/, else only to the screen.")] = True,
) -> None:
    """Compare all peers and write bench/README.md's tables and plot."""
    if redraw:
        report = Report.from_json(MEASURED.read_text())
    else:
        entries = [
            entry
            for entry in ROSTER
            if not peer or entry.title == OURS or any(part.lower() in entry.title.lower() for part in peer)
        ]
        report = run_all(
            cameras or [1_000_000, 10_000_000], entries, check_limit_s, clock_limit_s, Console(stderr=True)
        )
    print(render(report))
    if write:
        from bench.plot import draw  # matplotlib comes with the peers, and the screen needs none

        MEASURED.write_text(report.to_json())
        README.write_text(_GENERATED.sub(lambda match: f"{match[1]}\n{render(report)}\n{match[2]}", README.read_text()))
        draw(report, PLOT)


if __name__ == "__main__":
    typer.run(main)
