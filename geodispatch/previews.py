"""Previews: what an agency is told while it draws and writes, by all rules, as of a moment ago."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import repeat
from typing import NamedTuple

from geodispatch.accounts import AgencyCaller
from geodispatch.errors import Breach, RequestsEnded
from geodispatch.estimate import Estimates, Told
from geodispatch.geofence import Geofence
from geodispatch.grounds import Grounds
from geodispatch.opening import draft_of, is_left_to_supervisor, near_items
from geodispatch.preview import Preview, PreviewInput, Violation
from geodispatch.rules.draft import Draft, Ground, check_draft
from geodispatch.rules.ordinance import touching
from geodispatch.rules.sensitive import reviewers_needed
from geodispatch.turn import Turn
from geodispatch_db.grounds import Mark


class _Asked(NamedTuple):
    caller: AgencyCaller
    given: PreviewInput
    ground: Ground
    mark: Mark


class _Looked(NamedTuple):
    """A preview, and its fence if the histogram has to be read for it first."""

    preview: Preview
    uncounted: Geofence | None


class Previews:
    """Previews of requests, over the grounds of agencies and the estimates of a histogram."""

    def __init__(
        self, grounds: Grounds, estimates: Estimates, clock: Callable[[], datetime], sensitive_distance_m: float
    ) -> None:
        self._grounds = grounds
        self._estimates = estimates
        self._clock = clock
        self._sensitive_distance_m = sensitive_distance_m
        self._looks = Turn(self._look)

    async def preview(self, caller: AgencyCaller, given: PreviewInput) -> Preview:
        """Tell which rules a request breaks, what its fence measures, and how many owners it reaches.

        Errors: RequestsEnded; InvalidInput with where in the fence; Unavailable.
        """
        ground, mark = await self._grounds.lately(caller.agency_id, given.case_number)
        if mark.are_requests_ended:
            raise RequestsEnded
        preview, uncounted = await self._looks(_Asked(caller, given, ground, mark))
        if uncounted is not None:
            preview.band, preview.band_note = await self._estimates.band(uncounted, mark.epoch)
        return preview

    def _look(self, together: list[_Asked]) -> list[_Looked]:
        """Look at many drafts, at one thing of all after the other.

        Errors: InvalidInput with where in the fence.
        """
        now = self._clock()
        drafts = [draft_of(asked.given) for asked in together]
        breaches = [
            check_draft(draft, asked.ground, asked.mark.case_request_count, now)
            for asked, draft in zip(together, drafts, strict=True)
        ]
        told = list(map(self._tell, together, drafts, breaches))
        return list(map(self._sum_up, together, drafts, breaches, told, repeat(now)))

    def _tell(self, asked: _Asked, draft: Draft, breaches: tuple[Breach, ...]) -> Told | None:
        if draft.fence is None or any(breach.pointer.startswith("/fence") for breach in breaches):
            return None, None
        return self._estimates.known_band(draft.fence.geofence, asked.mark.epoch)

    def _sum_up(
        self, asked: _Asked, draft: Draft, breaches: tuple[Breach, ...], told: Told | None, now: datetime
    ) -> _Looked:
        caller, given, ground, mark = asked
        if draft.fence is None:
            geofence, area_m2, vertex_count, binding, near = None, None, None, [], []
        else:
            geofence, area_m2, _ = draft.fence
            vertex_count = geofence.vertex_count
            binding = touching(geofence, ground.ordinances)
            near = ground.sensitive.near(geofence, self._sensitive_distance_m)
        band, band_note = told or (None, None)
        preview = Preview(
            area_m2=area_m2,
            vertex_count=vertex_count,
            band=band,
            band_note=band_note,
            allowed=not breaches,
            violations=[*map(Violation.of, breaches)],
            rule_version=ground.version,
            needs_approval=is_left_to_supervisor(caller, binding, now),
            reviewers_needed=reviewers_needed(
                near, is_exigent=given.exigent_reason is not None, are_all_reviewed=mark.are_all_reviewed
            ),
            sensitive_places=near_items(near),
        )
        return _Looked(preview, geofence if told is None else None)
