"""The spans that a drift analysis compares, and how they are chosen: by the clock, by a name, by releases or by arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from controlplane.core.model import Arm
from controlplane.settings import SettingsError
from controlplane.store.queries import load
from controlplane.store.utc import to_aware, to_naive
from jobs.moments import moment

YEAR = timedelta(days=364)  # 52 weeks: the same days of the week


@dataclass(frozen=True, slots=True)
class Window:
    """Interactions with `since <= ts < until` (aware UTC), of one arm or of both (None), of one release or of all; the label is shown to people."""

    label: str
    since: datetime
    until: datetime
    arm: str | None = None
    release: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """JSON-ready, times as ISO-8601."""
        names = {"label": self.label, "since": iso(self.since), "until": iso(self.until), "arm": self.arm}
        return names | ({"release": self.release} if self.release else {})

    @property
    def parameters(self) -> dict[str, Any]:
        """As the SQL of sql/drift takes them."""
        bounds = {"since": to_naive(self.since), "until": to_naive(self.until)}
        return {**bounds, "arm": self.arm, "release": self.release}


def iso(moment: datetime) -> str:
    """ISO-8601 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rows(cursor: duckdb.DuckDBPyConnection, window: Window) -> int:
    """Interactions in the window."""
    return int(cursor.execute(load("drift/features_rows"), window.parameters).fetchall()[0][0])


def span(
    cursor: duckdb.DuckDBPyConnection, arm: str | None = None, release: str | None = None
) -> tuple[datetime, datetime] | None:
    """First and last time of an arm or release, whole seconds, the end not included; None without interactions."""
    names = {"arm": arm, "release": release}
    first, last = cursor.execute(load("drift/features_span"), names).fetchall()[0]
    if first is None:
        return None
    return to_aware(first).replace(microsecond=0), to_aware(last).replace(microsecond=0) + timedelta(seconds=1)


def known_until(cursor: duckdb.DuckDBPyConnection, now: datetime) -> datetime:
    """Until when outcomes can be known: `now`, or where the facts end, whichever is earlier."""
    newest = cursor.execute(load("drift/features_known")).fetchall()[0][0]
    return now if newest is None else min(now, to_aware(newest))


def current_of(cursor: duckdb.DuckDBPyConnection, asked: Mapping[str, Any], days: float) -> Window | None:
    """The window that is looked at: as asked, else the last `days` before the newest interaction; None without interactions.

    Raises SettingsError for a span that ends before it begins.
    """
    arm, release = asked.get("arm"), asked.get("release")
    known = span(cursor, arm, release)
    if known is None:
        return None
    length = timedelta(hours=asked["hours"]) if asked.get("hours") else timedelta(days=asked.get("days") or days)
    until = moment(asked["until"], "--until") if asked.get("until") else known[1]
    if asked.get("since"):
        since = moment(asked["since"], "--since")
    elif (asked.get("against") or asked.get("against_arm")) and not asked.get("hours") and not asked.get("days"):
        since = known[0]  # two releases or arms are compared over all that there is of them
    else:
        since = until - length
    if since >= until:
        raise SettingsError(
            f"the window ends at {iso(until)}, not after its begin {iso(since)}: change --since or --until"
        )
    label = " ".join(["now", *([release] if release else []), *([arm] if arm else [])])
    return Window(label, since, until, arm, release)


def against(cursor: duckdb.DuckDBPyConnection, current: Window, asked: Mapping[str, Any]) -> Window | None:
    """The other release or arm that was asked for; None when neither was, or there is nothing of it.

    Another release is taken over its own time (releases follow one another), another arm over the very same time (arms run side by side).
    """
    if asked.get("against_arm"):
        if asked["against_arm"] == current.arm:
            raise SettingsError(f"--arm and --against-arm are both {current.arm}: name two arms")
        return replace(current, label=f"arm {asked['against_arm']}", arm=asked["against_arm"])
    if not asked.get("against"):
        return None
    if asked["against"] == current.release:
        raise SettingsError(f"--release and --against are both {current.release}: name two releases")
    known = span(cursor, current.arm, asked["against"])
    if known is None:
        raise SettingsError(
            f"there are no interactions of release {asked['against']!r} in the facts: name one that was served"
        )
    return Window(f"release {asked['against']}", *known, current.arm, asked["against"])


def previous(current: Window) -> Window:
    """The span right before, as long."""
    length = current.until - current.since
    return replace(current, label="before", since=current.since - length, until=current.since)


def year_before(current: Window) -> Window:
    """The same days of the week a year (52 weeks) earlier, of any release: last year's was another one."""
    return replace(current, label="a year before", since=current.since - YEAR, until=current.until - YEAR, release=None)


def one_arm(cursor: duckdb.DuckDBPyConnection, reference: Window, current: Window, least: int) -> str | None:
    """The arm to look at where none was named: the assistant when both windows have at least `least` rows of it, else all rows (None).

    Mixed arms would show every step of a ramp as drift of everything.
    """
    sides = [replace(window, arm=str(Arm.ASSISTANT)) for window in (reference, current)]
    return str(Arm.ASSISTANT) if all(rows(cursor, side) >= least for side in sides) else None
