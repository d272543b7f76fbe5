"""The queue beside PostgreSQL's own limits and two job queues; tables for bench/dispatch.md.

`python -m bench.dispatch.report`, or `make bench-dispatch`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.dispatch.contest import hold
from bench.dispatch.desk import open_desk
from bench.dispatch.job_queues import PGQUEUER_BATCH_COUNTS, open_pgqueuer, open_procrastinate
from bench.dispatch.large_request import ask_everybody
from bench.dispatch.limits import bare_claim, bare_claim_and_settle, raw_copy
from bench.dispatch.ours import claim_deliver_settle, enqueue
from bench.dispatch.table import Report, render
from bench.machine import describe_machine, describe_software

PAGE = Path(__file__).parent.parent / "dispatch.md"
_GENERATED = re.compile(r"(<!-- generated -->\n).*(<!-- end -->)", re.DOTALL)
_TOOK_PART = ("asyncpg", "numpy", "pgqueuer", "procrastinate", "psycopg")


async def run_all(
    prompt_count: int,
    job_count: int,
    owner_count: int,
    round_count: int,
    job_round_count: int,
    on_step: Callable[[str], None],
) -> Report:
    """Hold all contests on one server."""
    on_step(f"a server with {prompt_count:,} owners")
    async with open_desk(prompt_count) as desk, AsyncExitStack() as stack:
        enqueued = await hold([raw_copy(desk), enqueue(desk)], prompt_count, round_count, on_step)
        claiming = [bare_claim(desk), bare_claim_and_settle(desk), claim_deliver_settle(desk, prompt_count)]
        claimed = await hold(claiming, prompt_count, round_count, on_step)
        others = [open_pgqueuer(desk, job_count, batch_count) for batch_count in PGQUEUER_BATCH_COUNTS]
        others.append(open_procrastinate(desk, job_count))
        queues = [claim_deliver_settle(desk, job_count), *[await stack.enter_async_context(each) for each in others]]
        done = await hold(queues, job_count, job_round_count, on_step)
        versions = describe_software(_TOOK_PART)
        versions["PostgreSQL"] = str(await desk.connection.fetchval("show server_version"))
        large = await ask_everybody(desk, owner_count, on_step) if owner_count else None
        return Report(describe_machine(), versions, enqueued, claimed, done, large)


def main(
    prompts: Annotated[int, typer.Option(help="How many are queued and sent.")] = 100_000,
    jobs: Annotated[int, typer.Option(help="How many each of the job queues moves.")] = 40_000,
    owners: Annotated[int, typer.Option(help="How many one large request asks; 0: leave it out.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="Rounds beside the limits.")] = 5,
    job_rounds: Annotated[int, typer.Option(help="Rounds beside the job queues, which are slow.")] = 3,
    write: Annotated[bool, typer.Option(help="Write to bench/dispatch.md, else only to the screen.")] = True,
) -> None:
    """Measure the queue and write bench/dispatch.md's tables."""
    console = Console(stderr=True, highlight=False)
    report = asyncio.run(run_all(prompts, jobs, owners, rounds, job_rounds, console.print))
    print(render(report))
    if write:
        PAGE.write_text(_GENERATED.sub(lambda match: f"{match[1]}\n{render(report)}\n{match[2]}", PAGE.read_text()))


if __name__ == "__main__":
    typer.run(main)
