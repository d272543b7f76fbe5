"""Posts: what agencies tell the public, and which asks nobody for anything."""

from __future__ import annotations

from geodispatch.authority import Action
from geodispatch.errors import IdempotencyKeyReused, NotFound, RulesBroken
from geodispatch.post import CorrectionInput, NewPost
from geodispatch.publication import PublishedPost
from geodispatch.web.call import BODY_ERRORS, INT64, PREFIX, Call, Reply, Route


async def publish_post(call: Call) -> Reply:
    """Publish a safety notice, a tip or an event, at once and for good."""
    post = await call.service.posts.publish(
        call.caller, call.body, call.origin, idempotency_key=call.headers["Idempotency-Key"]
    )
    return Reply(post, location=f"{PREFIX}/public/posts/{post.id}")


async def correct_post(call: Call) -> Reply:
    """Append a correction to a post of the agency; the post's own words stay."""
    return Reply(await call.service.posts.correct(call.caller, call.number("post"), call.body, call.origin))


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "posts",
        publish_post,
        Action.PUBLISH_POST,
        body=NewPost,
        reply=PublishedPost,
        status=201,
        header_names=("Idempotency-Key",),
        errors=(*BODY_ERRORS, RulesBroken, IdempotencyKeyReused),
    ),
    Route(
        "POST",
        "posts/{id}/corrections",
        correct_post,
        Action.PUBLISH_POST,
        body=CorrectionInput,
        reply=PublishedPost,
        status=201,
        id_schema=INT64,
        errors=(*BODY_ERRORS, RulesBroken, NotFound),
    ),
)
