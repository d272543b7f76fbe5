"""The desk that prompts are moved over: a server of our own that keeps its word, owners with wishes, open requests."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import numpy as np
from numpy.typing import NDArray

from geodispatch.database import Database, open_database
from geodispatch.settings import Settings
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.migrate import migrate

SEED = 20_260_701
NOW = datetime(2026, 7, 1, 17, tzinfo=UTC)  # noon in Chicago
BATCH_COUNT = 4000  # what a sender claims at once as it comes
_ZONES = ("America/Chicago", "America/New_York", "America/Denver", "America/Los_Angeles", "America/Phoenix")
_SERVER = {"shared_buffers": "512MB"}  # fsync and synchronous_commit stay on, for everybody


@dataclass
class Desk:
    """A server with owners who have a camera each, and one open request after another.

    camera_id  (n,)  i8  all cameras; the owner of each has the same id
    """

    database: Database
    connection: asyncpg.Connection
    settings: Settings
    camera_id: NDArray[np.int64]
    request_id: int = 0

    async def open_request(self) -> None:
        """Forget all prompts and open a request that nobody has been asked for."""
        await self.connection.execute("truncate prompt, lost_attempt, answer, agency_hour")
        self.request_id += 1
        await self.connection.execute(
            """insert into request (id, agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body,
                   contact_name, contact_email, window_start, window_end, fence, area_m2, state, opened_at, expires_at,
                   rule_version)
               overriding system value
               values ($1, 1, 1, $1::bigint::text, '', 'c', 'theft', 'b', 'n', 'e', $2, $3, '{}', 1, 'open', $3,
                       $4, 1)""",
            self.request_id,
            NOW - timedelta(hours=1),
            NOW,
            NOW + timedelta(days=7),
        )
        await self.settle_down("owner")

    async def settle_down(self, table: str) -> None:
        """Let no round pay for what the one before has left behind: vacuum, statistics, checkpoint."""
        await self.connection.execute(f"vacuum analyze {table}")
        await self.connection.execute("checkpoint")

    async def count(self, table: str, condition: str = "true") -> int:
        """Count a table's rows."""
        return int(await self.connection.fetchval(f"select count(*) from {table} where {condition}"))

    async def new_database(self, name: str) -> str:
        """Make an empty database on the same server and return its address."""
        await self.connection.execute(f'drop database if exists "{name}" with (force)')
        await self.connection.execute(f'create database "{name}"')
        return urlunsplit(urlsplit(self.database.dsn)._replace(path=f"/{name}"))


@asynccontextmanager
async def open_desk(owner_count: int) -> AsyncIterator[Desk]:
    """Start the server, with every owner's wishes set, one way or another."""
    with tempfile.TemporaryDirectory(prefix="gd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with embedded_postgres(folder, settings=_SERVER) as dsn:
            await migrate(dsn)
            settings = Settings(
                database_url=dsn, random_delay_s=0, channel_rates={"webhook": 1e7}, send_batch_count=BATCH_COUNT
            )
            async with open_database(settings) as database, database.patient_connection() as connection:
                await _fill(connection, owner_count)
                yield Desk(database, connection, settings, np.arange(1, owner_count + 1))


async def _fill(connection: asyncpg.Connection, owner_count: int) -> None:
    """Add an agency with a quota, and owners with a camera each and with wishes that let every prompt through."""
    await connection.execute(
        "insert into agency (id, slug, name, kind, day_quota) overriding system value "
        "values (1, 'pd', 'PD', 'municipal_police', 100000000);"
        "insert into member (id, agency_id, name, role) overriding system value values (1, 1, 'Rossi', 'requester');"
        "insert into webhook (id, url, secret) overriding system value values (1, 'http://127.0.0.1:9/', 'whsec_')"
    )
    await connection.execute(
        """insert into owner (id, external_id, webhook_id, muted_agency_ids, muted_offences, week_max, quiet_start,
               quiet_end)
           overriding system value
           select n, 'owner-' || n, 1, case when n % 3 = 0 then array[2, 3] else '{}' end,
                  case when n % 4 = 0 then array['arson'] else '{}' end, case when n % 5 = 0 then 1 end,
                  case when n % 6 = 0 then 1200 end, case when n % 6 = 0 then 600 end
           from generate_series(1, $1) n""",
        owner_count,
    )
    await connection.execute(
        """insert into camera (id, external_id, owner_id, lon_e7, lat_e7, zone) overriding system value
           select n, 'camera-' || n, n, 0, 0, ($2::text[])[1 + n % $3] from generate_series(1, $1) n""",
        owner_count,
        list(_ZONES),
        len(_ZONES),
    )
    await connection.execute("vacuum analyze")
