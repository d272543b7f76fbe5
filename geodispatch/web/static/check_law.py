"""Check the law that a geodispatch server shows against its public record, without trusting the server.

    python3 check_law.py https://city.example 'city.example/record+1a2b3c4d+AQ…'

check_record.py lies beside it. Areas with their borders, assignments of agencies to areas, ordinances, and whether
requests are taken are read as everybody reads them, and compared with their leaves. Exit code 1, and a line, for the
first thing that is wrong.

Not shown, and so not seen from here: the rules; the limits and reasons of ordinances, and those that are over; why the
programme was switched, and who reviews; sensitive places. Their leaves are signed like all others, and whether the
operator's tables still say the same, `geodispatch record verify` tells the operator.
"""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from check_record import check, get, read_checkpoint, read_leaves

OF_AREAS = {"jurisdiction", "assignment", "assignment_end"}
OF_LAW = {"ordinance", "programme"}


def written(fact: dict[str, Any]) -> str:
    return json.dumps(fact, sort_keys=True)


def see(kind: str, subject: str, **said: Any) -> None:
    shown[written({"kind": kind, "subject": subject, **said})] += 1


shown: Counter[str] = Counter()
early_size, early_root = read_checkpoint()
area_count, after = 0, ""
while after is not None:
    page = json.loads(get(f"public/jurisdictions?limit=200{after and f'&after={after}'}"))
    for area in page["jurisdictions"]:
        border = hashlib.sha256(get(f"public/jurisdictions/{area['slug']}/boundary")).hexdigest()
        said = {"name": area["name"], "entered_at": area["entered_at"], "boundary_sha256": border}
        see("jurisdiction", f"jurisdiction/{area['slug']}", **said)
        for each in area["assignments"]:
            name, who = f"assignment/{each['id']}", {"agency": each["agency"], "jurisdiction": area["slug"]}
            see("assignment", name, from_at=each["from_at"], **who)
            if each["until_at"] is not None:
                see("assignment_end", name, until_at=each["until_at"], **who)
    area_count, after = area_count + len(page["jurisdictions"]), page["next_after"]
law = json.loads(get("public/law"))

told = read_leaves(early_size, early_root)
signed = Counter(written(fact) for fact in told if fact["kind"] in OF_AREAS)
early = Counter(written(fact) for fact in told[:early_size] if fact["kind"] in OF_AREAS)
for wrong, what in ((shown - signed, "no leaf says what is shown"), (early - shown, "not shown as its leaf says")):
    check(not wrong, f"{what}: {next(iter(wrong), '')}")
if OF_LAW.isdisjoint(fact["kind"] for fact in told[early_size:]):  # or it was changed while it was read
    newest = {fact["subject"]: fact for fact in told if fact["kind"] in OF_LAW}
    switched = newest.pop("programme")
    check((law["requests"], law["requests_since"]) == (switched["requests"], switched["entered_at"]), f"not {switched}")
    for each in law["ordinances"]:
        fact = newest.pop(f"ordinance/{each['slug']}", {"jurisdiction": None})
        same = {"jurisdiction": each["area"]} | {n: each[n] for n in ("rule", "reference", "from_at", "until_at")}
        check(same.items() <= fact.items(), f"not what its newest leaf says: {each}")
    now = datetime.now(UTC).isoformat()
    hidden = [fact for fact in newest.values() if fact["rule"] == "authorisation" or (fact["until_at"] or now) >= now]
    check(not hidden, f"ordinances that are not shown: {hidden}")
print(f"{area_count} areas and {len(law['ordinances'])} ordinances, all as they were signed")
