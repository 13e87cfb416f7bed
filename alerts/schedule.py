"""Who is on call when, and when people are not to be woken. Pure: the time is an argument; times that come in are aware.

Both follow a wall clock (`zone`, a name of the IANA data base), so they move with daylight saving: a hand-over at 09:00 is at 09:00.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Rota:
    """People who are on call in turn, `days` days each, from `hands_over` to `hands_over` on the wall clock of `zone`.

    `people[0]` begins on `first_day`. Before that day nobody is on call by this rota.
    """

    name: str
    people: tuple[str, ...]
    first_day: date
    hands_over: time = time(9)
    zone: str = "UTC"
    days: int = 1

    def on_call(self, now: datetime) -> str | None:
        """Who is on call at `now`; None before the rota begins."""
        local = now.astimezone(ZoneInfo(self.zone))
        day = local.date() if local.time() >= self.hands_over else local.date() - timedelta(days=1)
        passed = (day - self.first_day).days
        return None if passed < 0 else self.people[passed // self.days % len(self.people)]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `starts` to `ends` on the wall clock of `zone`, over midnight where `ends` is not later.

    `days` are the days on which a span begins. What is critical knows no quiet hours: whoever asks, asks for the rest only.
    """

    starts: time
    ends: time
    zone: str = "UTC"
    days: tuple[str, ...] = WEEKDAYS

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours end that `now` lies in, in UTC's offset of the zone; None outside them."""
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        for day in (today - timedelta(days=1), today):
            if WEEKDAYS[day.weekday()] not in self.days:
                continue
            last = day if self.ends > self.starts else day + timedelta(days=1)
            begin, end = datetime.combine(day, self.starts, zone), datetime.combine(last, self.ends, zone)
            # Compared as instants: two times of one zone would be compared by the wall clock, which repeats an hour in autumn.
            if begin.timestamp() <= now.timestamp() < end.timestamp():
                return end
        return None

    def after(self, moment: datetime) -> datetime:
        """`moment`, or the end of the quiet hours that it lies in."""
        end = self.until(moment)
        return moment if end is None else self.after(end.astimezone(moment.tzinfo))
