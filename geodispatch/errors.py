"""Everything that geodispatch refuses, as one tree of exceptions.

A leaf is named for what happened and carries data, never a sentence; `str(error)` writes the sentence. Which HTTP
status a leaf becomes stands in one table, `geodispatch/web/errors.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass
class GeodispatchError(Exception):
    """The root: catch this to catch all that geodispatch raises on purpose."""

    def __post_init__(self) -> None:
        # Exception pickles and prints by args; a dataclass sets only fields.
        self.args = tuple(vars(self).values())


@dataclass
class InvalidGeofence(GeodispatchError):
    """A geofence that cannot be used. `where` is a JSON pointer into it ("/coordinates/0/3"), or "" for the whole."""

    where: str


@dataclass
class UnreadableGeofence(InvalidGeofence):
    """Not GeoJSON, WKB, a shapely geometry or anything with `__geo_interface__`."""

    reason: str

    def __str__(self) -> str:
        return f"the geofence cannot be read: {self.reason}"


@dataclass
class UnsupportedGeometry(InvalidGeofence):
    """A geometry that is neither Polygon nor MultiPolygon."""

    kind: str

    def __str__(self) -> str:
        return f"a geofence is a Polygon or a MultiPolygon, not {self.kind}"


@dataclass
class EmptyGeofence(InvalidGeofence):
    """Null, without rings, or with a ring of fewer than three different points."""

    def __str__(self) -> str:
        return "the geofence is empty"


@dataclass
class UnclosedRing(InvalidGeofence):
    """The last position of a ring is not its first (RFC 7946, section 3.1.6)."""

    def __str__(self) -> str:
        return "the ring is not closed: its last position must repeat its first"


@dataclass
class CoordinateOutOfRange(InvalidGeofence):
    """A longitude outside ±180, a latitude outside ±90, or not a finite number."""

    lon: float
    lat: float

    def __str__(self) -> str:
        return f"longitude {self.lon}, latitude {self.lat} is not on Earth (±180, ±90; longitude first)"


@dataclass
class TooManyVertices(InvalidGeofence):
    """More vertices than the caller's limit."""

    count: int
    limit: int

    def __str__(self) -> str:
        return f"{self.count} vertices; the limit is {self.limit}"


@dataclass
class InvalidTopology(InvalidGeofence):
    """A ring that crosses itself or another, in GEOS's words, and the place in degrees where it does."""

    reason: str
    lon: float
    lat: float

    def __str__(self) -> str:
        return f"{self.reason} at longitude {self.lon:.7f}, latitude {self.lat:.7f}"


@dataclass
class InvalidCameras(GeodispatchError):
    """Arrays of cameras that cannot be indexed; `row` is the first bad row, or -1 for the arrays as a whole."""

    row: int
    reason: str

    def __str__(self) -> str:
        return self.reason if self.row < 0 else f"camera at row {self.row}: {self.reason}"


@dataclass
class InvalidFences(GeodispatchError):
    """Fences that cannot be indexed together; `row` is the first bad one, or -1 for all of them."""

    row: int
    reason: str

    def __str__(self) -> str:
        return self.reason if self.row < 0 else f"fence at row {self.row}: {self.reason}"


@dataclass
class InvalidIndexFile(GeodispatchError):
    """A file that is not an index, is of another version, or is damaged."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with an input: where (a JSON pointer, or a header's name) and why."""

    pointer: str
    detail: str


@dataclass(frozen=True)
class Span:
    """A range of characters (Unicode code points) of a text, `stop` not included."""

    start: int
    stop: int


@dataclass(frozen=True)
class Breach(Fault):
    """A rule that a request breaks: what was seen, what is allowed, and what would make it pass.

    rule    the rule's stable name, one of `geodispatch.rules.rule.Rule`
    span    where in the text, if it concerns a text
    """

    rule: str
    seen: str
    limit: str
    remedy: str
    span: Span | None = None


@dataclass
class InvalidInput(GeodispatchError):
    """An input that does not have the form asked for."""

    faults: tuple[Fault, ...]

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """Make one of a single fault."""
        return cls((Fault(pointer, detail),))

    def __str__(self) -> str:
        return "; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in self.faults)


@dataclass
class RulesBroken(GeodispatchError):
    """A request in the right form that the rules do not allow; every rule it breaks, at once."""

    faults: tuple[Breach, ...]

    def __str__(self) -> str:
        return "; ".join(fault.detail for fault in self.faults)


@dataclass
class NotInReview(GeodispatchError):
    """A request that is not waiting for a supervisor: it was approved, or taken back, or reviewers have it."""

    request_id: int

    def __str__(self) -> str:
        return f"request {self.request_id} is not waiting for approval"


@dataclass
class ReviewOver(GeodispatchError):
    """A request that waits for no reviewer any more: it was passed, refused, or taken back."""

    request_id: int

    def __str__(self) -> str:
        return f"request {self.request_id} waits for no reviewer any more"


@dataclass
class ReviewedAlready(GeodispatchError):
    """A reviewer who has let the request pass already; where it takes two, the other is somebody else."""

    request_id: int

    def __str__(self) -> str:
        return f"you have let request {self.request_id} pass already; the other reviewer is somebody else"


@dataclass
class AccessNotGranted(GeodispatchError):
    """Access to an owner's data that nobody else of the staff has granted yet."""

    access_id: int

    def __str__(self) -> str:
        return f"access {self.access_id} waits for another member of the staff to grant it"


@dataclass
class AccessOver(GeodispatchError):
    """Access to an owner's data that has ended; whoever still needs it asks again."""

    access_id: int

    def __str__(self) -> str:
        return f"access {self.access_id} is over"


@dataclass
class NotExigent(GeodispatchError):
    """A request that was not published as exigent, so that there is nothing to justify."""

    request_id: int

    def __str__(self) -> str:
        return f"request {self.request_id} was not published as exigent"


@dataclass
class JustifiedAlready(GeodispatchError):
    """The request has its justification, which is public and never changes."""

    request_id: int

    def __str__(self) -> str:
        return f"request {self.request_id} is justified already"


@dataclass
class JustificationLate(GeodispatchError):
    """The time to justify an exigent request is over; it was withdrawn."""

    request_id: int
    justify_by: datetime

    def __str__(self) -> str:
        return f"request {self.request_id} was to be justified before {self.justify_by:%Y-%m-%d %H:%M} UTC"


@dataclass
class RequestsEnded(GeodispatchError):
    """The programme takes no requests any more, from nobody; posts, which ask for nothing, are still possible."""

    def __str__(self) -> str:
        return "requests have ended here; no agency can ask owners for footage any more"


@dataclass
class AgencyRefused(GeodispatchError):
    """An agency of a kind that may not join, whatever it calls itself."""

    faults: tuple[Fault, ...]

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """Make one of a single fault."""
        return cls((Fault(pointer, detail),))

    def __str__(self) -> str:
        return "; ".join(f"{fault.pointer}: {fault.detail}" for fault in self.faults)


@dataclass
class SignInRefused(GeodispatchError):
    """The address or the password is wrong; it is not told which."""

    def __str__(self) -> str:
        return "the address or the password is wrong"


@dataclass
class TooManyFailures(GeodispatchError):
    """So many tries failed that no further one is looked at for a while, right or wrong."""

    retry_after_s: int

    def __str__(self) -> str:
        return f"too many tries failed; try again in {self.retry_after_s} s"


@dataclass
class TooManyFlags(GeodispatchError):
    """So many flags came from one address that no further one is taken for a while."""

    retry_after_s: int

    def __str__(self) -> str:
        return f"too many flags came from your address; try again in {self.retry_after_s} s"


@dataclass
class AccountDisabled(GeodispatchError):
    """The password is right, and the account is closed: by an admin, or because nobody used it for half a year."""

    def __str__(self) -> str:
        return "this account is disabled; an admin of your agency, or the operator, can enable it again"


@dataclass
class CodeRefused(GeodispatchError):
    """A code of the second factor that is wrong, or was used before."""

    faults: tuple[Fault, ...] = (Fault("/code", "this code is wrong, or was used already; wait for the next one"),)

    def __str__(self) -> str:
        return self.faults[0].detail


@dataclass
class SecondFactorNeeded(GeodispatchError):
    """The password was right, and the second factor is still to come."""

    def __str__(self) -> str:
        return "give the second factor first"


@dataclass
class SecondFactorSet(GeodispatchError):
    """There is a second factor already, and it is not replaced by whoever knows the password alone."""

    def __str__(self) -> str:
        return "this account has a second factor already; an admin's new invitation sets it anew"


@dataclass
class SessionOver(GeodispatchError):
    """The session has ended, or never was."""

    def __str__(self) -> str:
        return "the session has ended: sign in again"


@dataclass
class ForeignPage(GeodispatchError):
    """A change that a browser was made to ask for by a page that is not ours."""

    def __str__(self) -> str:
        return "a change by a signed-in browser needs the header X-CSRF-Token with the session's csrf_token"


@dataclass
class InvitationOver(GeodispatchError):
    """An invitation that was accepted, taken back, has lapsed, or never was."""

    reason: str

    def __str__(self) -> str:
        return f"this invitation {self.reason}; ask for a new one"


@dataclass
class AccountExists(GeodispatchError):
    """Somebody signs in by this address already."""

    email: str

    def __str__(self) -> str:
        return f"there is already an account of {self.email}"


@dataclass
class LastAdmin(GeodispatchError):
    """The change would leave an agency without an admin, or all of it without an operator."""

    def __str__(self) -> str:
        return "an agency keeps at least one admin, and the staff an operator; let there be another one first"


@dataclass
class ProviderRefused(GeodispatchError):
    """The identity provider did not say who signs in, or names somebody without an account here."""

    reason: str

    def __str__(self) -> str:
        return f"the sign-in provider: {self.reason}"


@dataclass
class UnknownKey(GeodispatchError):
    """No key was given, or nobody holds the one that was."""

    def __str__(self) -> str:
        return "sign in, or give a valid key: Authorization: Bearer gd_…"


@dataclass
class NotAllowed(GeodispatchError):
    """The caller is known, and this is not for them."""

    needed: str

    def __str__(self) -> str:
        return f"this is for {self.needed}"


@dataclass
class NotFound(GeodispatchError):
    """There is nothing of this name that the caller may know of."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"there is no {self.kind} {self.name!r} here"


@dataclass
class IdempotencyKeyReused(GeodispatchError):
    """The same Idempotency-Key came with another body."""

    kind: str
    id: int

    def __str__(self) -> str:
        return f"this Idempotency-Key belongs to {self.kind} {self.id}, which was submitted with another body"


@dataclass
class AgencyExists(GeodispatchError):
    """The slug is taken."""

    slug: str

    def __str__(self) -> str:
        return f"there is already an agency {self.slug!r}"


@dataclass
class JurisdictionExists(GeodispatchError):
    """The slug is taken."""

    slug: str

    def __str__(self) -> str:
        return f"there is already a jurisdiction {self.slug!r}; one never changes, so give the new one another slug"


@dataclass
class AlreadyAnswered(GeodispatchError):
    """The prompt has another answer."""

    choice: str

    def __str__(self) -> str:
        return f"this prompt was answered already: {self.choice}"


@dataclass
class AnswerWithdrawn(GeodispatchError):
    """The answer was taken back, which is for good."""

    def __str__(self) -> str:
        return "your answer to this prompt was withdrawn"


@dataclass
class RequestNotOpen(GeodispatchError):
    """The request has ended."""

    request_id: int

    def __str__(self) -> str:
        return f"request {self.request_id} is no longer open"


@dataclass
class UnsupportedMediaType(GeodispatchError):
    """The body is of another kind than the one asked for."""

    given: str
    wanted: str

    def __str__(self) -> str:
        return f"the body must be {self.wanted}, not {self.given}"


@dataclass
class BodyTooLarge(GeodispatchError):
    """The body is over the limit; it was not read to its end."""

    limit_bytes: int

    def __str__(self) -> str:
        return f"the body is over the limit of {self.limit_bytes} bytes"


@dataclass
class Unavailable(GeodispatchError):
    """Something that will pass: the same call may succeed after `retry_after_s`."""

    what: str
    retry_after_s: int

    def __str__(self) -> str:
        return f"{self.what} is unavailable; try again in {self.retry_after_s} s"


@dataclass
class UnreadableCameraFile(GeodispatchError):
    """A file of cameras that cannot be read at all."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass
class InvalidSettings(GeodispatchError):
    """A setting that cannot be used, and what to do about it."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass
class BudgetSpent(GeodispatchError):
    """Drawing the preview's histogram would exceed a year's privacy budget.

    `again_at` is when it would not; None where a series alone exceeds the budget.
    """

    spent_rho: float
    asked_rho: float
    year_rho: float
    again_at: datetime | None

    def __str__(self) -> str:
        when = "never" if self.again_at is None else f"from {self.again_at:%Y-%m-%d %H:%M} UTC on"
        return (
            f"a new series of drawings would spend {self.asked_rho:g}, {self.spent_rho:g} of {self.year_rho:g} are "
            f"spent in the last 365 days; it fits {when}"
        )


@dataclass
class MissingExtra(GeodispatchError, ImportError):
    """A package that only an optional extra installs is not there."""

    extra: str
    package: str

    def __str__(self) -> str:
        return f"{self.package} is not installed: pip install 'geodispatch[{self.extra}]'"


@dataclass
class DemoFailed(GeodispatchError):
    """A step of the demonstration was refused."""

    step: str
    reason: str

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}"


@dataclass
class InvalidNote(GeodispatchError):
    """A key, a signed note or a checkpoint that is none, or that the key at hand did not sign."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class NoRecordKey(GeodispatchError):
    """The operator has set no key to sign the record's checkpoints with."""

    def __str__(self) -> str:
        return (
            "the record is not signed: GEODISPATCH_RECORD_KEY_FILE names no key, which `geodispatch record key` makes"
        )


@dataclass
class RecordBroken(GeodispatchError):
    """The record is not what it has said it is: something was changed, taken away or shown differently to others."""

    reason: str

    def __str__(self) -> str:
        return f"THE RECORD IS BROKEN: {self.reason}"
