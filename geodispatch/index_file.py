"""Index file: camera rows on disk, laid out so that opening is mapping.

    0       header   68 bytes   magic, version, counts, layout, checksums (see _HEADER), little-endian
    4096    lon_e7   64 l       each column starts on a page; l leaves of 16 rows, the last filled up
            lat_e7   64 l
            box      16 m
            camera_id 8 n
            cell     8 c
            cell_start 8 (c + 1)

A file is written beside its place, flushed, then renamed over it: whoever opens the path finds a whole file, old or
new, and whoever has the old one mapped keeps it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch.camera_rows import CameraRows
from geodispatch.errors import InvalidIndexFile
from geodispatch_kernels.box_tree import CHILDREN_PER_NODE, ROWS_PER_LEAF, SIDES, Rows, level_starts, padded_count

_MAGIC = b"GEODISPX"
_VERSION = 3
_PAGE_BYTES = 4096
_HEADER = struct.Struct("<8sIIIIQQ6II")
_COLUMN_NAMES = ("lon_e7", "lat_e7", "box", "camera_id", "cell", "cell_start")


class _Column(NamedTuple):
    dtype: str
    item_count: int
    offset: int
    byte_count: int


def _layout(row_count: int, cell_count: int) -> tuple[list[_Column], int]:
    """Return the columns in file order and the size of the file."""
    node_count = int(level_starts(row_count)[-1])
    columns = []
    offset = _PAGE_BYTES
    for dtype, count in (
        ("<i4", padded_count(row_count)),
        ("<i4", padded_count(row_count)),
        ("<i4", SIDES * node_count),
        ("<u8", row_count),
        ("<u8", cell_count),
        ("<i8", cell_count + 1),
    ):
        byte_count = count * int(dtype[2])
        columns.append(_Column(dtype, count, offset, byte_count))
        offset += -(-byte_count // _PAGE_BYTES) * _PAGE_BYTES
    return columns, offset


def _pack_header(row_count: int, cell_count: int, crc32: list[int]) -> bytes:
    fields = (_MAGIC, _VERSION, _PAGE_BYTES, ROWS_PER_LEAF, CHILDREN_PER_NODE, row_count, cell_count, *crc32)
    checked = _HEADER.pack(*fields, 0)[:-4]
    return checked + struct.pack("<I", zlib.crc32(checked))


def write_index_file(path: Path, cameras: CameraRows) -> None:
    """Write cameras to a file, wholly or not at all.

    Errors: OSError from the file system, with the path as it was before.
    Cost:   O(n), 17 bytes a camera.
    """
    rows = cameras.rows
    arrays: list[NDArray[Any]] = [
        rows.lon_e7,
        rows.lat_e7,
        rows.box,
        cameras.camera_id,
        cameras.cell,
        cameras.cell_start,
    ]
    columns, _ = _layout(len(cameras), cameras.cell.size)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with beside.open("xb") as file:
            crc32 = [zlib.crc32(array.data.cast("B")) if array.size else 0 for array in arrays]
            file.write(_pack_header(len(cameras), cameras.cell.size, crc32))
            for column, array in zip(columns, arrays, strict=True):
                _pad(file)
                assert file.tell() == column.offset
                array.tofile(file)
            _pad(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _PAGE_BYTES))


def open_index_file(path: Path, *, verify: bool) -> CameraRows:
    """Map a file; the pages are shared with every process that maps it.

    verify  read the whole file and compare its checksums, instead of the header alone

    Errors: InvalidIndexFile.
    Cost:   O(1); with verify O(n).
    """
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER.size)
            row_count, cell_count, crc32, size = _check_header(path, start, os.fstat(file.fileno()).st_size)
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InvalidIndexFile(str(path), error.strerror or str(error)) from error
    arrays: list[NDArray[np.generic]] = []
    for name, column, expected in zip(_COLUMN_NAMES, _layout(row_count, cell_count)[0], crc32, strict=True):
        array = np.frombuffer(mapped, column.dtype, column.item_count, column.offset)
        if verify and column.item_count and zlib.crc32(array.data.cast("B")) != expected:
            raise InvalidIndexFile(str(path), f"damaged: the checksum of {name} is wrong")
        arrays.append(array)
    lon_e7, lat_e7, box, camera_id, cell, cell_start = arrays
    return CameraRows(
        Rows(lon_e7.view(np.int32), lat_e7.view(np.int32), box.view(np.int32), level_starts(row_count), row_count),
        camera_id.view(np.uint64),
        cell.view(np.uint64),
        cell_start.view(np.int64),
    )


def _check_header(path: Path, start: bytes, size: int) -> tuple[int, int, tuple[int, ...], int]:
    if start[: len(_MAGIC)] != _MAGIC:
        raise InvalidIndexFile(str(path), "not a geodispatch index")
    if len(start) < _HEADER.size:
        raise InvalidIndexFile(str(path), "truncated in its header")
    fields = _HEADER.unpack(start)
    version = fields[1]
    if version != _VERSION:
        raise InvalidIndexFile(str(path), f"of format version {version}; this is version {_VERSION}: build it again")
    row_count, cell_count, *crc32 = fields[5:13]
    if start != _pack_header(row_count, cell_count, crc32):
        raise InvalidIndexFile(str(path), "damaged: its header's checksum or layout is wrong")
    expected = _layout(row_count, cell_count)[1]
    if size != expected:
        state = "truncated" if size < expected else "too long"
        raise InvalidIndexFile(str(path), f"{state}: {size} bytes instead of {expected}")
    return row_count, cell_count, tuple(crc32), size
