"""The contract: valid OpenAPI 3.1, the copy in git is what the code says, and every route is in it."""

from __future__ import annotations

from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from geodispatch.web import openapi
from geodispatch.web.api import ROUTES
from geodispatch.web.call import PREFIX
from tests.services import Town

CONTRACT = Path(openapi.__file__).with_name("openapi.json")


def test_the_copy_in_git_is_current() -> None:
    assert CONTRACT.read_text() == openapi.text(), "run `make openapi` and commit the difference"


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(openapi.document()).validate()


def test_it_has_what_was_promised() -> None:
    operations = {f"{method.upper()} {path}" for path, item in openapi.document()["paths"].items() for method in item}
    promised = {
        "POST /api/v1/requests",
        "GET /api/v1/requests/{id}",
        "POST /api/v1/preview",
        "PUT /api/v1/cameras",
        "DELETE /api/v1/cameras/{id}",
        "GET /api/v1/prompts",
        "POST /api/v1/prompts/{id}/answer",
        "GET /api/v1/public/requests",
        "GET /api/v1/public/agencies/{slug}",
        "GET /api/v1/record/checkpoint",
        "GET /api/v1/record/proof/inclusion/{id}",
        "GET /api/v1/record/proof/consistency/{id}",
    }
    assert promised <= operations


async def test_the_server_serves_it(town: Town) -> None:
    async with town.http.get(f"{town.url}/openapi.json") as response:
        assert await response.json() == openapi.document()


async def test_nothing_public_can_be_edited_or_deleted(town: Town) -> None:
    request = (await town.submit()).json
    for path in ("requests", f"requests/{request['id']}", "public/requests", f"public/requests/{request['id']}"):
        for method in ("PUT", "PATCH", "DELETE"):
            reply = await town.call(method, path, town.agency_key, {})
            assert reply.status in (404, 405)
    assert (await town.call("GET", "public/requests")).json["requests"] == [request]


async def test_health_and_readiness(town: Town) -> None:
    for path, text in (("healthz", "ok"), ("readyz", "ready")):
        async with town.http.get(f"{town.url}/{path}") as response:
            assert (response.status, (await response.text()).strip()) == (200, text)


async def test_only_the_operator_reads_the_counters(town: Town) -> None:
    """Read before and after a request, they would tell an agency how many owners it reached."""
    for key, status in ((None, 401), (town.agency_key, 403), (town.operator_key, 200)):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with town.http.get(f"{town.url}/metrics", headers=headers) as response:
            assert response.status == status
            assert ("geodispatch_prompts_queued_total" in await response.text()) == (status == 200)


def test_every_route_of_the_server_is_in_it() -> None:
    documented = {(m.upper(), path) for path, item in openapi.document()["paths"].items() for m in item}
    served = {(route.method, f"{PREFIX}/{route.path}") for route in ROUTES}
    assert documented == served
