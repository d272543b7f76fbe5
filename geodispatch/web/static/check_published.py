"""Check all that a geodispatch server shows beside requests against its public record, without trusting the server.

    python3 check_published.py https://city.example 'city.example/record+1a2b3c4d+AQ…'

check_record.py lies beside it, and compares requests, as check_law.py does the law. Posts and corrections, flags and
outcomes, documents, donations and statements are read as everybody reads them: each must be a leaf, and each leaf of
theirs must be shown. Exit code 1, and a line, for the first thing that is wrong.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from check_record import check, get, read_checkpoint, read_leaves

LONG = {"document_version", "report_statement"}  # of their texts, leaves have the hashes
BESIDE = {"id", "outcomes", "replaced_by"}  # what is shown in a thing and is not of its leaf
SHOWN = {"publication", "post", "correction", "flag", "flag_outcome", "donation", *LONG}


def written(fact: dict[str, Any]) -> str:  # the same for the same fact, however its numbers are written
    fact = {"kind": fact["kind"], "subject": fact["subject"]} if fact["kind"] == "publication" else fact
    return json.dumps(json.loads(json.dumps(fact), parse_int=float), sort_keys=True)


def see(kind: str, subject: str, thing: dict[str, Any], /, **more: Any) -> None:
    said = {name: value for name, value in thing.items() if name not in BESIDE}
    if kind in LONG:
        text = said.pop("text")
        said["text_sha256"] = text and hashlib.sha256(text.encode()).hexdigest()
    shown[written({"kind": kind, "subject": subject, **said, **more})] += 1


def pages(path: str, member: str, cursor: str) -> Iterator[dict[str, Any]]:
    last: Any = ""
    while last is not None:
        page = json.loads(get(f"public/{path}?limit=200{last and f'&{cursor}={last}'}"))
        yield from page[member]
        last = page[f"next_{cursor}"]


shown: Counter[str] = Counter()
early_size, early_root = read_checkpoint()
for item in pages("feed", "items", "before"):
    check(item["post"] or item["request"], f"place {item['id']} of the feed is empty")
    kind, thing = ("post", item["post"]) if item["post"] else ("request", item["request"])
    name = f"{kind}/{thing['id']}"
    published = {member: thing[member] for member in thing.keys() - {"corrections", "flags"}}
    see("post" if kind == "post" else "publication", name, {kind: published})
    for correction in thing.get("corrections", ()):
        see("correction", name, correction)
    for flag in thing["flags"]:
        see("flag", f"flag/{flag['id']}", flag, thing=name)
        for outcome in flag["outcomes"]:
            see("flag_outcome", f"flag/{flag['id']}", outcome)
for slug in [agency["slug"] for agency in pages("agencies", "agencies", "after")]:
    profile = json.loads(get(f"public/agencies/{slug}?limit=1"))
    replaces = {donation["replaced_by"]: donation["id"] for donation in profile["donations"]}
    for donation in profile["donations"]:
        see("donation", f"donation/{donation['id']}", donation, agency=slug, replaces=replaces.get(donation["id"]))
    for each in profile["documents"]:
        document = json.loads(get(f"public/documents/{each['id']}"))
        for version in document["versions"]:
            about = {"agency": document["agency"]["slug"], "document_kind": document["kind"]}
            see("document_version", f"document/{document['id']}", version, **about)
    for year in profile["report_years"]:
        said = json.loads(get(f"public/agencies/{slug}/reports/{year}"))["statements"]
        for section, statement in [(section, each) for section, statements in said.items() for each in statements]:
            name = f"report_statement/{statement['id']}"
            see("report_statement", name, statement, agency=slug, year=year, section=section)

told = read_leaves(early_size, early_root)
signed = Counter(written(fact) for fact in told if fact["kind"] in SHOWN)
early = Counter(written(fact) for fact in told[:early_size] if fact["kind"] in SHOWN)
for wrong, what in ((shown - signed, "no leaf says what is shown"), (early - shown, "not shown as its leaf says")):
    check(not wrong, f"{what}: {next(iter(wrong), '')}")
print(f"{shown.total()} facts beside requests, all as they were signed")
