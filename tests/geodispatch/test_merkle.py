"""The record's tree: roots, proofs and tiles are those of RFC 6962 as the naive text has them, at every small size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodispatch import merkle
from tests.geodispatch import naive_merkle as naive

LEAVES = [b"leaf %d" % number for number in range(600)]
SIZES = [*range(1, 70), 127, 128, 129, 255, 256, 257, 300, 511, 512, 513, 600]


def kept_of(size: int) -> dict[tuple[int, int], bytes]:
    """Return what a database of so many leaves keeps: of whole subtrees of 256^level leaves."""
    leaves = {(0, index): naive.mth([leaf]) for index, leaf in enumerate(LEAVES[:size])}
    whole = {(1, place): naive.mth(LEAVES[place * 256 : place * 256 + 256]) for place in range(size // 256)}
    return leaves | whole


def root_of(size: int) -> bytes:
    return merkle.subtree_hash((0, size), kept_of(size))


def hashes(subtrees: list[merkle.Subtree], size: int) -> list[bytes]:
    kept = kept_of(size)
    wanted = {(level, at) for level, start, stop in merkle.stretches_of(subtrees) for at in range(start, stop)}
    return [merkle.subtree_hash(each, {place: kept[place] for place in wanted}) for each in subtrees]


def test_vectors_of_other_implementations() -> None:
    """The leaves and roots with which Google's and other logs test themselves."""
    leaves = [bytes.fromhex(each) for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    }
    for size, root in roots.items():
        kept = {(0, index): merkle.hash_leaf(leaf) for index, leaf in enumerate(leaves[:size])}
        assert merkle.subtree_hash((0, size), kept).hex() == root == naive.mth(leaves[:size]).hex()
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.subtree_hash((0, 0), {}) == merkle.EMPTY_ROOT == naive.mth([])


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof_is_the_rfcs(size: int) -> None:
    root = naive.mth(LEAVES[:size])
    assert root_of(size) == root
    for index in {*range(min(size, 40)), size // 2, *range(max(size - 40, 0), size)}:
        path = hashes(merkle.inclusion_path(index, size), size)
        assert path == naive.path(index, LEAVES[:size])
        assert naive.verify_inclusion(LEAVES[index], index, size, path, root)
        assert merkle.proves_inclusion(merkle.hash_leaf(LEAVES[index]), index, size, path, root)


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_proof_is_the_rfcs(size: int) -> None:
    root = naive.mth(LEAVES[:size])
    for old_size in {*range(1, min(size, 40) + 1), *range(max(size - 20, 1), size + 1)}:
        path = hashes(merkle.consistency_path(old_size, size), size)
        assert path == naive.proof(old_size, LEAVES[:size])
        old_root = naive.mth(LEAVES[:old_size])
        assert merkle.proves_consistency(old_size, old_root, size, root, path)
        assert old_size == size or naive.verify_consistency(old_size, size, old_root, root, path)
    assert merkle.consistency_path(0, size) == []
    assert merkle.proves_consistency(0, merkle.EMPTY_ROOT, size, root, [])


CASE = st.integers(1, 80).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


@given(CASE, st.integers(0, 80), st.integers(0, 80), st.data())
def test_nothing_else_proves_an_inclusion(case: tuple[int, int], index: int, size: int, data: st.DataObject) -> None:
    true_size, true_index = case
    path = naive.path(true_index, LEAVES[:true_size])
    root = naive.mth(LEAVES[:true_size])
    leaf = naive.mth([LEAVES[true_index]])
    assert naive.verify_inclusion(LEAVES[true_index], index, size, path, root) == merkle.proves_inclusion(
        leaf, index, size, path, root
    )
    changed = data.draw(st.sampled_from(["leaf", "root", "shorter", "longer", *range(len(path))]))
    assert not merkle.proves_inclusion(
        flip(leaf) if changed == "leaf" else leaf,
        true_index,
        true_size,
        spoil(path, changed),
        flip(root) if changed == "root" else root,
    ) or (changed == "shorter" and not path)


@given(CASE, st.integers(0, 80), st.integers(0, 80), st.data())
def test_nothing_else_proves_a_consistency(
    case: tuple[int, int], old_size: int, size: int, data: st.DataObject
) -> None:
    true_size, before = case
    true_old_size = before + 1
    path = naive.proof(true_old_size, LEAVES[:true_size])
    old_root, root = naive.mth(LEAVES[:true_old_size]), naive.mth(LEAVES[:true_size])
    if 0 < old_size < size:
        assert merkle.proves_consistency(old_size, old_root, size, root, path) == naive.verify_consistency(
            old_size, size, old_root, root, path
        )
    changed = data.draw(st.sampled_from(["old root", "root", "longer", *range(len(path))]))
    assert not merkle.proves_consistency(
        true_old_size,
        flip(old_root) if changed == "old root" else old_root,
        true_size,
        flip(root) if changed == "root" else root,
        spoil(path, changed),
    )


def flip(node: bytes) -> bytes:
    return bytes([node[0] ^ 1]) + node[1:]


def spoil(path: list[bytes], changed: str | int) -> list[bytes]:
    if changed == "shorter":
        return path[:-1]
    if changed == "longer":
        return [*path, flip(path[0]) if path else bytes(32)]
    return [flip(node) if number == changed else node for number, node in enumerate(path)]
