"""What an app tells of its cameras and their owners."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.authority import Action
from geodispatch.cameras import CameraInput, CameraReport, read_ndjson
from geodispatch.errors import NotFound
from geodispatch.web.call import BODY_ERRORS, Call, Reply, Route


class CamerasQuery(BaseModel):
    """How the owners of these cameras are reached."""

    model_config = ConfigDict(extra="forbid")

    webhook: Annotated[int | None, Field(ge=1, lt=2**63, description="id of a registered webhook")] = None


class TokenReply(BaseModel):
    """A new token; it is not shown again."""

    token: str


class MailAddressInput(BaseModel):
    """Where an owner reads mail."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, Field(min_length=3, max_length=254)]


async def put_cameras(call: Call) -> Reply:
    """Take cameras, one JSON object a line; the same again changes nothing."""
    return Reply(
        await call.service.registry.put_cameras(
            read_ndjson(call.body.splitlines()), webhook_id=call.query.webhook, caller=call.caller, origin=call.origin
        )
    )


async def remove_camera(call: Call) -> Reply:
    """Forget a camera."""
    await call.service.registry.remove_camera(call.path["id"], call.caller, call.origin)
    return Reply(None)


async def add_owner_token(call: Call) -> Reply:
    """Make a token with which an owner reads and answers prompts."""
    return Reply(
        TokenReply(token=await call.service.registry.add_owner_token(call.path["id"], call.caller, call.origin))
    )


async def put_mail_address(call: Call) -> Reply:
    """Reach an owner by mail; the caller has made sure that the address is the owner's."""
    await call.service.registry.put_mail_address(call.path["id"], call.body.address, call.caller, call.origin)
    return Reply(None)


async def remove_mail_address(call: Call) -> Reply:
    """Forget an owner's mail address."""
    await call.service.registry.remove_mail_address(call.path["id"], call.caller, call.origin)
    return Reply(None)


async def remove_owner(call: Call) -> Reply:
    """Let an owner leave for good, with all cameras: what is known of the owner is deleted."""
    await call.service.departures.remove(call.path["id"], call.caller, call.origin)
    return Reply(None)


ROUTES: tuple[Route, ...] = (
    Route(
        "PUT",
        "cameras",
        put_cameras,
        Action.FEED_CAMERAS,
        query=CamerasQuery,
        ndjson=CameraInput,
        reply=CameraReport,
        errors=(*BODY_ERRORS, NotFound),
    ),
    Route("DELETE", "cameras/{id}", remove_camera, Action.FEED_CAMERAS, status=204, errors=(NotFound,)),
    Route(
        "POST",
        "owners/{id}/token",
        add_owner_token,
        Action.REACH_OWNERS,
        reply=TokenReply,
        status=201,
        errors=(NotFound,),
    ),
    Route(
        "PUT",
        "owners/{id}/mail",
        put_mail_address,
        Action.REACH_OWNERS,
        body=MailAddressInput,
        status=204,
        errors=(*BODY_ERRORS, NotFound),
    ),
    Route("DELETE", "owners/{id}", remove_owner, Action.REACH_OWNERS, status=204, errors=(NotFound,)),
    Route("DELETE", "owners/{id}/mail", remove_mail_address, Action.REACH_OWNERS, status=204, errors=(NotFound,)),
)
