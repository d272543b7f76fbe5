"""Loader of named SQL: `queries/<family>.sql` becomes a mapping from name to query.

A file is a row of blocks, one a query. Comments above the first name belong to the file and are dropped:

    -- name: claim_prompts
    -- Take up to $1 queued prompts that are due at $2.
    -- $1 int: how many; $2 timestamptz: now.
    UPDATE prompt SET …

Each query keeps its family and name as its first line, so that a server's log and `pg_stat_activity` say which it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from geodispatch_db.errors import InvalidQueryFile

QUERIES = files("geodispatch_db") / "queries"

_NAME = re.compile(r"--\s*name:\s*(?P<name>.*?)\s*")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


def load(family: str, folder: Traversable = QUERIES) -> Mapping[str, str]:
    """Read the queries of one family, by name, in the file's order.

    Errors: InvalidQueryFile with the line: a name that is empty, used twice or not snake_case; a query without SQL; SQL
            above the first name.
    """
    file = f"{family}.sql"
    lines_of: dict[str, list[str]] = {}
    starts: dict[str, int] = {}
    current: list[str] | None = None
    for number, line in enumerate((folder / file).read_text(encoding="utf-8").splitlines(), start=1):
        if head := _NAME.fullmatch(line):
            name = head["name"]
            if not _IDENTIFIER.fullmatch(name):
                raise InvalidQueryFile(file, number, f"{name!r} is not a snake_case name")
            if name in lines_of:
                raise InvalidQueryFile(file, number, f"{name!r} is already the query at line {starts[name]}")
            current = lines_of[name] = []
            starts[name] = number
        elif line.lstrip().startswith("--") and not (current and any(current)):
            continue  # the sentence and the parameters, for the reader of the file
        elif current is not None:
            current.append(line)
        elif line.strip():
            raise InvalidQueryFile(file, number, "SQL stands above the first '-- name:'")
    queries = {name: "\n".join(lines).strip() for name, lines in lines_of.items()}
    for name, sql in queries.items():
        if not re.sub(r"--.*", "", sql).strip(" \n;"):
            raise InvalidQueryFile(file, starts[name], f"{name!r} has no SQL")
    return MappingProxyType({name: f"-- {family}.{name}\n{sql}" for name, sql in queries.items()})
