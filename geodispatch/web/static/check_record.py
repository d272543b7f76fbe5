"""Check the public record of a geodispatch server, and all requests that it shows, without trusting the server.

    python3 check_record.py https://city.example 'city.example/record+1a2b3c4d+AQ…'

The key is the operator's, as you got it from elsewhere. It takes Python 3.11 and `cryptography`, and no file of ours.
The tree (RFC 6962) is computed from the leaves and compared with every hash that is kept (c2sp.org/tlog-tiles), signed
(c2sp.org/tlog-checkpoint). Exit code 1, and a line, for the first thing that is wrong. What else is public is compared
with its leaves by check_published.py and check_law.py, served beside.
"""

import base64
import hashlib
import json
import sys
import urllib.request
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check(is_right: bool, what: str) -> None:
    if not is_right:
        sys.exit(f"WRONG: {what}")


def get(path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"{sys.argv[1].rstrip('/')}/api/v1/{path}", timeout=60) as reply:
            return bytes(reply.read())
    except OSError as error:
        sys.exit(f"NOT READ: {path}: {error}")


def read_checkpoint() -> tuple[int, str]:
    name, key_id, key = sys.argv[2].split("+", 2)
    text, signatures = get("record/checkpoint").decode().rsplit("\n\n", 1)
    ours = [line.split(" ")[2] for line in signatures.splitlines() if line.split(" ")[1] == name]
    signed = [each[4:] for each in map(base64.b64decode, ours) if each[:4].hex() == key_id]
    check(len(signed) == 1, f"the checkpoint is not signed with the key {name}+{key_id}")
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(signed[0], f"{text}\n".encode())
    check(text.startswith(f"{name}\n"), f"the checkpoint is about {text}")
    return int(text.split("\n")[1]), text.split("\n")[2]


def tree_of(leaves: list[bytes]) -> list[list[bytes]]:  # the last node of an odd row stands in the next one as it is
    rows = [[hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]]
    while len(row := rows[-1]) > 1:
        pairs = zip(row[::2], row[1::2], strict=False)
        rows.append([hashlib.sha256(b"\1" + left + right).digest() for left, right in pairs] + row[len(row) & ~1 :])
    return rows


def read_tiles(what: str, count: int) -> list[bytes]:
    parts = [(f"{n:09}", f".p/{count % 256}" if count < (n + 1) * 256 else "") for n in range(-(-count // 256))]
    names = [f"x{n[:3]}/x{n[3:6]}/{n[6:]}{width}".removeprefix("x000/").removeprefix("x000/") for n, width in parts]
    return [get(f"record/tile/{what}/{name}") for name in names]


def read_leaves(early_size: int, early_root: str) -> list[dict[str, Any]]:
    size, root = read_checkpoint()
    leaves, entries, stop = [], b"".join(read_tiles("entries", size)), 0
    while (start := stop + 2) < len(entries):
        stop = start + int.from_bytes(entries[start - 2 : start])
        leaves.append(entries[start:stop])
    check(len(leaves) == size > 0, f"there are {len(leaves)} leaves, and {size} are signed")
    for signed, count in ((root, size), (early_root, early_size)):
        computed = base64.b64encode(tree_of(leaves[:count])[-1][0]).decode()
        check(computed == signed, f"the first {count} leaves make the root {computed}, and {signed} is signed")
    for level, row in enumerate(tree_of(leaves)[::8]):
        whole = row[: size >> 8 * level]
        check(b"".join(read_tiles(str(level), len(whole))) == b"".join(whole), f"a hash of the tiles at level {level}")
    return [json.loads(leaf) for leaf in leaves]


if __name__ == "__main__":
    added = {"state", "closed_at", "close_reason", "leaf_index", "waits_for", "refusal"}
    early_size, early_root = read_checkpoint()
    shown, before = {}, 2**62
    while before:
        page = json.loads(get(f"public/requests?limit=200&before={before}"))
        shown.update({f"request/{request['id']}": request for request in page["requests"]})
        before = page["next_before"]
    told = read_leaves(early_size, early_root)
    justified = {(fact["subject"], "exigency"): fact["exigency"] for fact in told if fact["kind"] == "justification"}
    for fact in told[:early_size]:
        request = shown.get(fact["subject"], {})
        check(fact.get("exigency") in (None, request.get("exigency")), f"not justified so: {fact}")
        states = {"publication": ("open", "closed"), "closing": ("closed",)}.get(fact["kind"])
        check(states is None or request.get("state") in states, f"not shown as its leaf says: {fact}")
    ends = {fact["subject"]: (fact["closed_at"], fact["reason"]) for fact in told if fact["kind"] == "closing"}
    for subject, request in shown.items():
        fact = told[request["leaf_index"]] if request["leaf_index"] in range(len(told)) else {}
        check((fact.get("kind"), fact.get("subject")) == ("publication", subject), f"{subject} has no leaf of its own")
        check(request.keys() - fact["request"].keys() == added, f"the leaf of {subject} does not say all of it")
        changed = [n for n, v in fact["request"].items() if request[n] not in (v, justified.get((subject, n), v))]
        check(not changed, f"{subject} is not what was published: {changed}")
        is_ended = ends.get(subject) == (request["closed_at"], request["close_reason"])
        check(is_ended or request["state"] == "open", f"{subject} did not end as its leaf says")
    print(f"{len(told)} leaves and {len(shown)} requests, all as they were signed")
