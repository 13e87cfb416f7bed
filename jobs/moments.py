"""Times and weeks as people name them on the command line, read in one way everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

from controlplane.settings import SettingsError


@overload
def moment(text: str, option: str) -> datetime: ...
@overload
def moment(text: None, option: str) -> None: ...
@overload
def moment(text: str | None, option: str) -> datetime | None: ...
def moment(text: str | None, option: str) -> datetime | None:
    """An aware UTC time of ISO text, UTC where it has no offset; None of None. Raises SettingsError that names the option."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{option} {text!r} is no time: write ISO-8601, such as 2026-05-01 or 2026-05-01T06:30Z"
        ) from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def week_of(since: datetime) -> str:
    """The ISO week that a moment lies in: YYYY-Www."""
    year, number, _ = since.isocalendar()
    return f"{year}-W{number:02d}"


def week_bounds(week: str) -> tuple[datetime, datetime]:
    """Monday to Monday of YYYY-Www, aware UTC. Raises SettingsError for what is no week."""
    try:
        since = datetime.strptime(f"{week.upper()}-1", "%G-W%V-%u").replace(tzinfo=UTC)
    except ValueError:
        raise SettingsError(f"{week!r} is no ISO week: write YYYY-Www, such as 2026-W02") from None
    return since, since + timedelta(days=7)
