"""A process that appends to the record until it is killed, each leaf with a fact of its own in one transaction.

    python -m tests.record_writer DSN NAME

A database that went away is waited for. Whether a transaction committed whose end was not heard of, the tables tell.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count

from geodispatch import record
from geodispatch.record import Fact, Kind
from geodispatch_db.pool import open_connection


async def write(dsn: str, name: str) -> None:
    """Append until killed."""
    numbers = count()
    while True:
        connection = None
        try:
            connection = await open_connection(dsn)
            for number in numbers:
                async with connection.transaction():
                    await connection.execute("insert into fact (writer, number) values ($1, $2)", name, number)
                    # Of this kind the audit asks for no table of ours.
                    await record.append(connection, Fact(Kind.DELETION, name, {"number": number}))
        except Exception as error:  # of a server killed at any moment the driver says this and that
            print("connecting again:", type(error).__name__)
            await asyncio.sleep(0.1)
        finally:
            if connection is not None:
                connection.terminate()


if __name__ == "__main__":
    asyncio.run(write(*sys.argv[1:]))
