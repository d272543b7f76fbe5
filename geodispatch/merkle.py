"""The Merkle tree of RFC 6962: hashes of leaves and subtrees, what proves what, and the checking of proofs.

A subtree is a stretch of leaves (start, stop). Hashes are kept of whole subtrees of 256^level leaves only, as tiles
have them; all others are made of those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

Subtree = tuple[int, int]
"""The first leaf, and the one after the last."""
Stretch = tuple[int, int, int]
"""A level of tiles, the first of its hashes, and the one after the last."""

EMPTY_ROOT = hashlib.sha256().digest()


def hash_leaf(entry: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def hash_pair(left: bytes, right: bytes) -> bytes:
    """Hash the node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(subtrees: Sequence[bytes]) -> bytes:
    """Return the root of a tree by its whole subtrees, the largest first."""
    if not subtrees:
        return EMPTY_ROOT
    *others, root = subtrees
    for subtree in reversed(others):
        root = hash_pair(subtree, root)
    return root


# ---- what proves what


def inclusion_path(index: int, size: int) -> list[Subtree]:
    """Return the subtrees whose hashes prove that a leaf is in a tree, the lowest first.

    Wants:  0 <= index < size.
    Source: RFC 6962, 2.1.1.
    """
    path: list[Subtree] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _left_size(stop - start)
        if index < middle:
            path.append((middle, stop))
            stop = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_path(old_size: int, size: int) -> list[Subtree]:
    """Return the subtrees whose hashes prove that a tree begins with an older one.

    Edges:  a tree begins with itself and with the empty one, which nothing has to prove.
    Wants:  0 <= old_size <= size.
    Source: RFC 6962, 2.1.2.
    """
    if old_size in (0, size):
        return []
    path: list[Subtree] = []
    start, stop = 0, size
    while old_size != stop:
        middle = start + _left_size(stop - start)
        if old_size <= middle:
            path.append((middle, stop))
            stop = middle
        else:
            path.append((start, middle))
            start = middle
    if start:  # otherwise the old tree is this very subtree, and its root is known
        path.append((start, stop))
    return path[::-1]


def _left_size(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


# ---- hashes of subtrees, out of those that are kept


def stretches_of(subtrees: Iterable[Subtree]) -> list[Stretch]:
    """Return the kept hashes that these subtrees are made of."""
    return [(height // TILE_HEIGHT, *_below(height, place)) for each in subtrees for height, place in _whole_in(each)]


def subtree_hash(subtree: Subtree, kept: Mapping[tuple[int, int], bytes]) -> bytes:
    """Return the hash of a subtree out of kept hashes by level and position.

    Errors: KeyError for one that is missing.
    """
    return root_of([_whole_hash(height, place, kept) for height, place in _whole_in(subtree)])


def _whole_in(subtree: Subtree) -> Iterator[tuple[int, int]]:
    """Yield the height and the place of each whole subtree that one is made of, from left to right."""
    start, stop = subtree
    while start < stop:
        height = (stop - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def _below(height: int, place: int) -> tuple[int, int]:
    up = height % TILE_HEIGHT
    return place << up, place + 1 << up


def _whole_hash(height: int, place: int, kept: Mapping[tuple[int, int], bytes]) -> bytes:
    row = [kept[height // TILE_HEIGHT, position] for position in range(*_below(height, place))]
    while len(row) > 1:
        row = [hash_pair(row[n], row[n + 1]) for n in range(0, len(row), 2)]
    return row[0]


# ---- checking


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a path proves that the leaf of this hash is in the tree with this root.

    Source: RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    node, place, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = hash_pair(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = hash_pair(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def proves_consistency(old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Tell whether a path proves that the tree with this root begins with the older one.

    Source: RFC 9162, 2.1.4.2.
    """
    if old_size == size:
        return not path and old_root == root
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    if not 0 < old_size < size:
        return False
    nodes = list(path)
    if old_size & (old_size - 1) == 0:
        nodes.insert(0, old_root)
    if not nodes:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_node = node = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old_node, node = hash_pair(sibling, old_node), hash_pair(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = hash_pair(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old_node == old_root and node == root
