"""Time where a camera stands: the zone of a place, and the hours in which nobody there is disturbed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Self
from zoneinfo import ZoneInfo

_MINUTES_OF_DAY = 24 * 60
_FORM = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


def zone_at(lon: float, lat: float) -> str | None:
    """Return the IANA name of the time zone of a place in degrees; None where nobody says.

    Edges: on the open sea it is one of Etc/GMT±h; near a border the neighbour's, within some hundred metres.
    Cost:  some 2 µs.
    """
    from tzfpy import get_tz  # reads 15 MB of borders: not on `--help`

    return get_tz(lon, lat) or None


def zone_named(name: str | None, default: str) -> tzinfo:
    """Return a time zone by its IANA name; the default's for None, and for what this machine's tables do not have."""
    for known in (name, default):
        if known is not None:
            try:
                return ZoneInfo(known)
            except (KeyError, ValueError, OSError):
                continue
    return UTC


@dataclass(frozen=True)
class QuietHours:
    """From `start` to before `end`, minutes after local midnight; past midnight if `end` is the smaller.

    Edges: equal ones mean no quiet hours at all.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.start < _MINUTES_OF_DAY and 0 <= self.end < _MINUTES_OF_DAY):
            raise ValueError("minutes after midnight are 0 to 1439")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "21:00-08:00", or "none".

        Errors: ValueError.
        """
        if text == "none":
            return cls(0, 0)
        if not (found := _FORM.fullmatch(text)):
            raise ValueError("write HH:MM-HH:MM, or none")
        hour_start, minute_start, hour_end, minute_end = map(int, found.groups())
        if max(minute_start, minute_end) > 59:
            raise ValueError("an hour has 60 minutes")
        return cls(60 * hour_start + minute_start, 60 * hour_end + minute_end)

    def __str__(self) -> str:
        return "none" if self.start == self.end else f"{_clock(self.start)}-{_clock(self.end)}"

    def holds(self, local: datetime) -> bool:
        """True if it is quiet at this local time, by what a clock on the wall there shows."""
        minute = 60 * local.hour + local.minute
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def until(self, now: datetime, zone: tzinfo) -> datetime | None:
        """Return when the quiet hours that hold now will end, in UTC; None if none hold.

        Edges: an end that comes twice, when clocks are set back, is the next of the two; one that is skipped, when they
               are set forward, is as long after the last minute before the gap, or a day later if by then it is quiet
               again.
        """
        local = now.astimezone(zone)
        if not self.holds(local):
            return None
        end = time(*divmod(self.end, 60))
        ends = (
            datetime.combine(local.date() + timedelta(days=day), end.replace(fold=fold), zone).astimezone(UTC)
            for day in (0, 1, 2)  # the next one may be skipped, and those of the day after are never skipped, too
            for fold in (0, 1)
        )
        return min(later for later in ends if later > now and not self.holds(later.astimezone(zone)))


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
