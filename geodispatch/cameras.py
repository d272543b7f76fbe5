"""Cameras on their way in: checked one by one, taken in bulk, the refused ones named with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from geodispatch.database import Database
from geodispatch.request import Line
from geodispatch.zone import zone_at
from geodispatch_db import cameras, owners
from geodispatch_kernels.degrees import E7_PER_DEGREE

_BATCH_COUNT = 20_000

Identifier = Annotated[Line, StringConstraints(min_length=1, max_length=128)]


class CameraInput(BaseModel):
    """A camera as its app or a register names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Identifier
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False, description="degrees")]
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, description="degrees")]
    owner: Identifier


class RefusedCamera(BaseModel):
    """One that was not taken; `place` says which: "line 7", "feature 3"."""

    place: str
    reason: str


class CameraReport(BaseModel):
    """What became of a delivery of cameras."""

    taken_count: int = Field(description="cameras that are now known as delivered")
    changed_count: int = Field(description="of these, how many were new or had moved")
    refused_count: int
    refused: list[RefusedCamera] = Field(description="the first 1,000 of the refused")


REFUSED_LISTED_COUNT = 1000


@dataclass(frozen=True)
class Place:
    """Where in a delivery something stands: ("line", 7)."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


Entry = tuple[Place, CameraInput | str]
"""A camera, or why there is none."""


def reason_of(error: ValidationError) -> str:
    """Say in one line what is wrong with a camera."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'camera'}: {fault['msg']}" for fault in faults)


async def take_cameras(
    database: Database,
    entries: Iterable[Entry],
    *,
    webhook_id: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> CameraReport:
    """Write cameras and their owners, in transactions of 20,000; writing the same again changes nothing.

    `progress` is called with the number of entries read since its last call.

    Edges:  an id that comes twice is taken once and refused the second time: which one is right cannot be told.
    Errors: Unavailable, with all batches before it written; the same call again completes the rest.
    """
    taken_count = changed_count = refused_count = 0
    refused: list[RefusedCamera] = []
    first_place: dict[str, Place] = {}
    stream = iter(entries)

    def read() -> list[tuple[Place, CameraInput | str]]:
        return list(islice(stream, _BATCH_COUNT))

    # Reading means parsing: in a thread, so that a server goes on answering, and ahead of the writing.
    batch = await asyncio.to_thread(read)
    while batch:
        ahead = asyncio.create_task(asyncio.to_thread(read))
        new: list[CameraInput] = []
        for place, entry in batch:
            if isinstance(entry, CameraInput):
                first = first_place.setdefault(entry.id, place)
                if first is place:
                    new.append(entry)
                    continue
                reason = f"the id {entry.id!r} stands at {first} already"
            else:
                reason = entry
            refused_count += 1
            if len(refused) < REFUSED_LISTED_COUNT:
                refused.append(RefusedCamera(place=str(place), reason=reason))
        try:
            changed_count += await _write(database, new, webhook_id)
        finally:
            read_count, batch = len(batch), await ahead
        taken_count += len(new)
        progress(read_count)
    return CameraReport(
        taken_count=taken_count, changed_count=changed_count, refused_count=refused_count, refused=refused
    )


async def _write(database: Database, new: list[CameraInput], webhook_id: int | None) -> int:
    if not new:
        return 0
    zones = await asyncio.to_thread(lambda: [zone_at(camera.lon, camera.lat) for camera in new])
    async with database.transaction() as connection:
        await owners.upsert(connection, sorted({camera.owner for camera in new}), webhook_id)
        return await cameras.upsert(
            connection,
            [camera.id for camera in new],
            [camera.owner for camera in new],
            _e7([camera.lon for camera in new]),
            _e7([camera.lat for camera in new]),
            zones,
        )


def _e7(degrees: list[float]) -> list[int]:
    rounded: list[int] = np.rint(np.array(degrees) * E7_PER_DEGREE).astype(np.int32).tolist()
    return rounded


def read_lines(lines: Iterable[bytes]) -> Iterator[tuple[Place, bytes]]:
    """Number the lines that hold something, from 1; empty ones count."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield Place("line", number), line


def read_ndjson(lines: Iterable[bytes]) -> Iterator[Entry]:
    """Read one camera, a JSON object, a line."""
    for place, line in read_lines(lines):
        try:
            yield place, CameraInput.model_validate_json(line)
        except ValidationError as error:
            yield place, reason_of(error)
