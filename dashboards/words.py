"""Numbers and times in words, the same everywhere: UTC, thin units, no false precision."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from controlplane.core.metrics import METRICS, Metric

ZONE = "UTC"
_MARKUP = re.compile(r"[\\`*_\[\]<>$~|]")


def plain(text: str) -> str:
    """The text of somebody else for a place that reads Markdown (a caption, a dialog): a link or a formula in it stays text."""
    return _MARKUP.sub(r"\\\g<0>", text)


def percent(share: float) -> str:
    """`0.2` -> `20 %`; below 1 % with one decimal."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 1 or value == 0 else f"{value:.1f} %"


def duration(span: timedelta) -> str:
    """The two largest units that matter: `9 s`, `4 min 10 s`, `3 h 5 min`, `2 d 4 h`."""
    seconds = max(int(span.total_seconds()), 0)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def clock(moment: datetime, now: datetime) -> str:
    """`14:35 UTC`, with the day when it is not today's."""
    utc = moment.astimezone(UTC)
    same_day = utc.date() == now.astimezone(UTC).date()
    return f"{utc:%H:%M} {ZONE}" if same_day else f"{utc.day} {utc:%b %H:%M} {ZONE}"


def stamp(moment: datetime | None) -> str:
    """`2026-01-07 14:35:09`, or a dash."""
    return "\u2013" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def title_of(metric: str) -> str:
    """The catalogue's title; an unknown metric keeps its name."""
    return METRICS[metric].title if metric in METRICS else metric.replace("_", " ")


def trigger_title(name: str) -> str:
    """`csat_drop` -> `CSAT drop`."""
    words = name.replace("_", " ")
    text = words[:1].upper() + words[1:]
    for word in ("Csat", "Slo", "Api"):
        text = text.replace(word, word.upper())
    return text.replace(" slo ", " SLO ").replace(" csat", " CSAT")


def value_text(metric: Metric, value: float | None) -> str:
    """A value with its unit."""
    if value is None:
        return "\u2013"
    match metric.unit:
        case "share":
            return f"{100 * value:.1f} %" if value >= 0.01 or value == 0 else f"{100 * value:.2f} %"
        case "seconds":
            return _seconds(value)
        case "ms":
            return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"
        case unit if unit.startswith("points"):
            return f"{value:.2f}"
        case unit if unit.startswith("USD"):
            tiny = f"${value:.6f}" if 0 < value < 0.001 else f"${value:.4f}"  # a model may cost a hundredth of a cent
            return tiny if value < 0.1 else f"${value:,.2f}"
        case _:
            return f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"


def difference_text(metric: Metric, value: float) -> str:
    """A difference with its sign and unit: shares in percentage points. What rounds to zero has no direction."""
    size = _size_text(metric, abs(value))
    nothing = not any(digit in "123456789" for digit in size)
    return f"{chr(0xB1) if nothing else '+' if value > 0 else chr(0x2212)}{size}"


def _size_text(metric: Metric, size: float) -> str:
    match metric.unit:
        case "share":
            return f"{100 * size:.1f} pp"
        case "seconds":
            return _seconds(size)
        case "ms":
            return f"{size:,.0f} ms"
        case unit if unit.startswith("points"):
            return f"{size:.2f}"
        case _:
            return f"{size:,.2g}"


def count_text(count: int) -> str:
    """`1,234`, `56.7k`, `1.2M`."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.1f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
