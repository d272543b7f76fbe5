"""Publishing posts: at once, by members who may; for good. What was wrong is corrected by an addition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from geodispatch import record
from geodispatch.accounts import AgencyCaller
from geodispatch.audit import Event, Origin, actor_of, note
from geodispatch.authority import Action, require
from geodispatch.database import Database
from geodispatch.errors import IdempotencyKeyReused, NotFound, RulesBroken
from geodispatch.idempotency import check_idempotency_key
from geodispatch.post import Correction, CorrectionInput, NewPost, read_area
from geodispatch.publication import PublishedPost, published_posts
from geodispatch.rules.text import check_post_text
from geodispatch_db import posts


@dataclass(frozen=True)
class Posts:
    """All of it, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def publish(
        self, caller: AgencyCaller, post: NewPost, origin: Origin, *, idempotency_key: str
    ) -> PublishedPost:
        """Publish a post. The same key with the same post returns the same, however often.

        Errors: NotAllowed, InvalidInput, RulesBroken, IdempotencyKeyReused.
        """
        require(caller, Action.PUBLISH_POST, caller.agency_id)
        check_idempotency_key(idempotency_key)
        if breaches := (*check_post_text(post.title, "/title"), *check_post_text(post.text, "/text")):
            raise RulesBroken(breaches)
        now = self.clock()
        new = posts.NewPost(
            agency_id=caller.agency_id,
            member_id=caller.member_id,
            idempotency_key=idempotency_key,
            body_sha256=post.sha256(),
            kind=post.kind,
            title=post.title,
            body=post.text,
            area=read_area(post.area),
            starts_at=post.starts_at,
            ends_at=post.ends_at,
            published_at=now,
        )
        async with self.database.acting_for(caller) as connection:
            post_id = await posts.insert(connection, new)
            is_new = post_id is not None
            if post_id is None:
                earlier = await posts.find_by_idempotency_key(connection, caller.agency_id, idempotency_key)
                assert earlier is not None
                post_id, body_sha256 = earlier
                if body_sha256 != new.body_sha256:
                    raise IdempotencyKeyReused("post", post_id)
            else:
                await note(connection, now, Event.POST_PUBLISHED, actor_of(caller), origin, f"post {post_id}")
            published = (await published_posts(connection, [post_id]))[post_id]
            if is_new:
                await record.append(connection, record.post(published))
        return published

    async def correct(
        self, caller: AgencyCaller, post_id: int, correction: CorrectionInput, origin: Origin
    ) -> PublishedPost:
        """Append a correction to a post of the caller's agency.

        Errors: NotAllowed, NotFound, RulesBroken.
        """
        require(caller, Action.PUBLISH_POST, caller.agency_id)
        if breaches := check_post_text(correction.text, "/text"):
            raise RulesBroken(breaches)
        now = self.clock()
        async with self.database.acting_for(caller) as connection:
            # Another agency's post is public, and still none that this caller could correct.
            if not await posts.correct(connection, post_id, caller.agency_id, caller.member_id, correction.text, now):
                raise NotFound("post of your agency", str(post_id))
            await note(connection, now, Event.POST_CORRECTED, actor_of(caller), origin, f"post {post_id}")
            published = (await published_posts(connection, [post_id]))[post_id]
            await record.append(
                connection, record.correction(f"post/{post_id}", Correction(text=correction.text, published_at=now))
            )
        return published

    async def find(self, post_id: int) -> PublishedPost:
        """Return a post, to everybody.

        Errors: NotFound.
        """
        async with self.database.connection() as connection:
            found = (await published_posts(connection, [post_id])).get(post_id)
        if found is None:
            raise NotFound("post", str(post_id))
        return found
