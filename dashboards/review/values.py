"""Values of the Review page: a pinned weekly review with who signed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.store.state_rows import from_text


@dataclass(frozen=True)
class Signature:
    """Who signed what, when (ISO-8601 Z), and how: agree or object, with a note."""

    at: str
    actor: str
    verdict: str
    note: str
    document_hash: str

    def to_dict(self) -> dict[str, str]:
        """As the page and the PDF of a review take it."""
        return {name: getattr(self, name) for name in ("at", "actor", "verdict", "note", "document_hash")}


@dataclass(frozen=True)
class Pinned:
    """A pinned weekly review in short: the hash of its document that the audit log vouches for, when it was recorded, its signatures."""

    review_id: str
    week: str
    version: int
    headline: str
    vouched: str
    created_at: str
    signatures: tuple[Signature, ...] = ()
    corrected_by: str = ""

    @property
    def pinned_at(self) -> datetime:
        """When it was pinned, aware UTC."""
        return from_text(self.created_at)


def week_of(moment: datetime) -> str:
    """The ISO week of an aware UTC time: 2026-W02."""
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02d}"


def week_bounds(name: str, zone: datetime) -> tuple[datetime, datetime] | None:
    """Monday to Monday, UTC midnight, of YYYY-Www; None for what is no week. `zone`: any aware UTC time, for its zone."""
    year, _, week = name.partition("-W")
    try:
        monday = datetime.fromisocalendar(int(year), int(week), 1).replace(tzinfo=zone.tzinfo)
    except ValueError:
        return None
    return monday, monday + timedelta(days=7)


def weeks(first: datetime, now: datetime, most: int = 26) -> list[str]:
    """The weeks from the first to the current one, newest first, at most `most`."""
    found: list[str] = []
    moment = now
    while len(found) < most and (not found or moment >= first - timedelta(days=6)):
        name = week_of(moment)
        bounds = week_bounds(name, now)
        if bounds is None or bounds[1] <= first:
            break
        found.append(name)
        moment -= timedelta(days=7)
    return found
