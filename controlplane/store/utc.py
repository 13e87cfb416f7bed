"""Times at the border of the warehouse: aware UTC in Python, naive UTC in DuckDB."""

from datetime import UTC, datetime


def to_naive(moment: datetime) -> datetime:
    """The naive UTC time that DuckDB stores. Raises ValueError for a time without a zone, which could mean any hour."""
    if moment.tzinfo is None:
        raise ValueError(
            f"{moment.isoformat()} has no time zone; pass an aware time, such as datetime(..., tzinfo=UTC)"
        )
    return moment.astimezone(UTC).replace(tzinfo=None)


def to_aware(moment: datetime) -> datetime:
    """The aware UTC time of a naive one from DuckDB."""
    return moment.replace(tzinfo=UTC)
