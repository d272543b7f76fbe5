"""Every route asks the table of who may do what: each is called by everyone, and refuses whom the table does."""

from __future__ import annotations

import re

from geodispatch.accounts import Role, StaffRole
from geodispatch.authority import ALLOWED, Part, is_open, is_personal
from geodispatch.web.api import ROUTES
from geodispatch.web.app import create_app
from geodispatch.web.call import PREFIX, Route
from tests.clients import PASSWORD, Client
from tests.people import People
from tests.services import Town

# What is served beside the API: by an action in the table, or open because it shows nothing of anybody.
BESIDE = {
    "/openapi.json",
    "/problems/{slug}",
    "/api/v1/record/tile/{path}",
    "/healthz",
    "/readyz",
    "/unsubscribe/{token}",
    "/sign-in/provider",
    "/sign-in/provider/back",
    "/{path}",  # what says that nothing is there
    # Pages of what is public, and a form that flags it.
    "/feed",
    "/agencies",
    "/agencies/{slug}",
    "/agencies/{slug}/reports/{year}",
    "/documents/{id}",
    "/requests/{id}",
    "/posts/{id}",
    "/requests/{id}/flags",
    "/posts/{id}/flags",
}


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


async def test_every_route_refuses_whom_the_table_refuses(people: People) -> None:
    callers: dict[Part, Client] = {Part.EVERYBODY: await people.stranger()}
    for role in Role:
        callers[Part(role.value)] = await people.member(f"{role}@springfield.example", role)
    for staff_role in StaffRole:
        callers[Part(staff_role.value)] = await people.staff(f"{staff_role}@city.example", staff_role)
    callers[Part.ENTERING] = entering = await people.stranger()
    await entering.call("POST", "session", {"email": "viewer@springfield.example", "password": PASSWORD})
    owner = await people.stranger()
    owner.http.headers["Authorization"] = f"Bearer {await people.town.token('owner-1')}"
    callers[Part.OWNER] = owner
    asked = 0
    for part, client in callers.items():
        # Signing out comes last, an owner's leaving too: it ends what the others need.
        last = "DELETE owner" if part is Part.OWNER else "DELETE session"
        for route in sorted(ROUTES, key=lambda each: named(each) == last):
            if is_open(route.action) or (route.stream_type and part is Part.OWNER):
                continue
            status = (await client.call(route.method, re.sub(r"{\w+}", "0", route.path))).status
            may = part in ALLOWED[route.action]
            assert (status not in (401, 403)) == may, (part, named(route), status)
            assert (status == 401) == (part is Part.EVERYBODY), (part, named(route), status)
            assert status < 500, (part, named(route), status)
            asked += 1
    assert asked > 200


async def test_no_key_opens_what_takes_a_person(town: Town) -> None:
    for route in ROUTES:
        if is_personal(route.action):
            for key in (town.agency_key, town.operator_key, await town.token("owner-1")):
                path = re.sub(r"{\w+}", "0", route.path)
                assert (await town.call(route.method, path, key)).status == 403


async def test_nothing_is_served_that_is_neither_in_the_table_nor_plainly_open(town: Town) -> None:
    app = create_app(town.service)
    served = {resource.canonical for resource in app.router.resources()}
    in_table = {f"{PREFIX}/{route.path}" for route in ROUTES}
    pages = {path for path in served if path.startswith("/static/") or re.fullmatch(r"/[a-z-]*", path)}
    assert served - in_table - pages == BESIDE - pages
    async with town.http.get(f"{town.url}/metrics") as response:
        assert response.status == 401
