"""How owners wish to be asked."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.authority import Action
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.owner import Preferences, PreferencesInput
from geodispatch.reach import BrowserInput, Text
from geodispatch.web.call import BODY_ERRORS, Call, Reply, Route


class PushKey(BaseModel):
    """The public half of the server's VAPID key."""

    key: str | None = Field(description="`applicationServerKey`, base64url; null where web push is not set up")


class BrowserList(BaseModel):
    """The browsers in which an owner is notified."""

    endpoints: list[str]


class BrowserQuery(BaseModel):
    """Which of the owner's browsers."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Text


async def read_preferences(call: Call) -> Reply:
    """Return how, by whom and whether the owner wishes to be asked."""
    return Reply(await call.service.owners.read_preferences(call.caller))


async def write_preferences(call: Call) -> Reply:
    """Replace what the owner wishes; it is in force when the reply arrives."""
    return Reply(await call.service.owners.write_preferences(call.caller, call.body))


async def leave(call: Call) -> Reply:
    """Leave for good: the token ends, and all that is known of the owner is deleted."""
    await call.service.departures.leave(call.caller)
    return Reply(None)


async def push_key(call: Call) -> Reply:
    """Return the key with which a browser subscribes to notifications (VAPID)."""
    return Reply(PushKey(key=call.service.reach.application_server_key()))


async def list_browsers(call: Call) -> Reply:
    """Return the browsers in which the owner is notified, so that one can find out whether it is among them."""
    return Reply(BrowserList(endpoints=await call.service.reach.list_browsers(call.caller)))


async def add_browser(call: Call) -> Reply:
    """Notify the owner in a browser, too."""
    await call.service.reach.add_browser(call.caller, call.body)
    return Reply(None)


async def remove_browser(call: Call) -> Reply:
    """Notify the owner in a browser no more."""
    await call.service.reach.remove_browser(call.caller, call.query.endpoint)
    return Reply(None)


ROUTES: tuple[Route, ...] = (
    Route("GET", "preferences", read_preferences, Action.SET_PREFERENCES, reply=Preferences),
    Route(
        "PUT",
        "preferences",
        write_preferences,
        Action.SET_PREFERENCES,
        body=PreferencesInput,
        reply=Preferences,
        errors=BODY_ERRORS,
    ),
    Route("DELETE", "owner", leave, Action.SET_PREFERENCES, status=204),
    Route("GET", "push/key", push_key, Action.READ_PUBLIC, reply=PushKey),
    Route("GET", "push/subscriptions", list_browsers, Action.SET_PREFERENCES, reply=BrowserList),
    Route(
        "POST",
        "push/subscriptions",
        add_browser,
        Action.SET_PREFERENCES,
        body=BrowserInput,
        status=204,
        errors=(*BODY_ERRORS, NotFound),
    ),
    Route(
        "DELETE",
        "push/subscriptions",
        remove_browser,
        Action.SET_PREFERENCES,
        query=BrowserQuery,
        status=204,
        errors=(InvalidInput, NotFound),
    ),
)
