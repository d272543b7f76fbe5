"""A program that uses the embedded server in FOLDER until it is told to end: `python embedded_user.py FOLDER`.

It prints the DSN once the server answers.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from geodispatch_db.embedded import embedded_postgres


async def main(folder: Path | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        async with embedded_postgres(folder, settings={"shared_buffers": "64MB"}) as dsn:
            print(dsn, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
