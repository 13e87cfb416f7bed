"""Evidence against its threshold over time as a small picture: plain values in, PNG bytes out. Pure.

The vertical axis is logarithmic and in units of what was needed: 1 is the threshold of the stream, 0.01 a hundredth of it. So streams with
different thresholds share one picture, and the line that matters is always the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from math import floor, isfinite, log
from typing import TYPE_CHECKING, Any

from alerts.wording import one_line

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 1_200, 560  # twice what is shown, for sharp letters on good screens
LEFT, RIGHT, TOP, BOTTOM = 180, 40, 136, 70
STREAMS_MAX = 3
FLOOR, CEILING = -4.0, 3.0  # powers of ten shown at most, beneath and above the threshold
MARKS_MAX = 6

_INK, _SOFT, _GRID, _LIMIT = "#1F1F1F", "#5F6368", "#E3E5E8", "#B3261E"
_STREAM = ("#1A73E8", "#E8710A", "#188038")


@dataclass(frozen=True, slots=True)
class Stream:
    """One trigger on one segment: `points` are block ends (aware UTC, rising) and the natural log of the evidence then; None: none yet."""

    name: str
    points: tuple[tuple[datetime, float | None], ...]
    log_threshold: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What one picture shows. `marks` are moments with a word ("cut"); those outside the streams' time widen it."""

    title: str
    streams: tuple[Stream, ...]
    marks: tuple[tuple[str, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file and what it shows in words, for those who cannot see it."""

    png: bytes
    title: str


def drawable(frame: Frame) -> bool:
    """Whether there is a line to draw: one stream with evidence at two moments or more."""
    return any(len(levels(stream)) > 1 for stream in frame.streams)


def levels(stream: Stream) -> list[tuple[datetime, float]]:
    """Evidence in powers of ten of what was needed (0: just enough), within what is shown."""
    return [
        (moment, min(max((value - stream.log_threshold) / log(10), FLOOR), CEILING))
        for moment, value in stream.points
        if value is not None and isfinite(value - stream.log_threshold)
    ]


def draw(frame: Frame) -> bytes:
    """The picture as PNG. Raises ValueError for a frame that is not `drawable`: an empty picture would look like calm."""
    if not drawable(frame):
        raise ValueError(f"'{frame.title}' has no stream with evidence at two moments: there is nothing to draw")
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(canvas)
    streams = [(stream, found) for stream in frame.streams if len(found := levels(stream)) > 1][:STREAMS_MAX]
    plot = _Plot.around([point for _, found in streams for point in found], [moment for _, moment in frame.marks])
    pen.text((LEFT, 14), _fitting(pen, one_line(frame.title), 26, WIDTH - LEFT - RIGHT), _INK, _font(26))
    _grid(pen, plot)
    for colour, (_, found) in zip(_STREAM, streams, strict=False):
        _line(pen, [(plot.x(moment), plot.y(level)) for moment, level in found], colour)
    _marks(pen, plot, frame.marks[:MARKS_MAX])
    _legend(pen, [stream.name for stream, _ in streams])
    file = BytesIO()
    canvas.save(file, "PNG", optimize=True)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where a moment and a level stand on the canvas."""

    begin: datetime
    end: datetime
    low: float
    high: float

    @staticmethod
    def around(points: Sequence[tuple[datetime, float]], marks: Sequence[datetime]) -> _Plot:
        moments = [moment for moment, _ in points]
        begin, end = min([*moments, *marks]), max([*moments, *marks])
        span = max(end - begin, timedelta(seconds=1))
        found = [level for _, level in points]
        low, high = min(-1.0, float(floor(min(found)))), max(1.0, max(found) + 0.3)
        return _Plot(begin, begin + span * 1.03, low, high)

    def x(self, moment: datetime) -> float:
        return LEFT + (moment - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT)

    def y(self, level: float) -> float:
        return HEIGHT - BOTTOM - (level - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def _grid(pen: ImageDraw, plot: _Plot) -> None:
    for power in range(floor(plot.low), floor(plot.high) + 1):
        y = plot.y(power)
        pen.line([(LEFT, y), (WIDTH - RIGHT, y)], _LIMIT if power == 0 else _GRID, 3 if power == 0 else 1)
        word = "needed" if power == 0 else _power(power)
        pen.text((LEFT - 12, y), word, _LIMIT if power == 0 else _SOFT, _font(20), anchor="rm")
    span = plot.end - plot.begin
    shape = "%d %b %H:%M" if span > timedelta(days=1) else "%H:%M" if span > timedelta(minutes=10) else "%H:%M:%S"
    for step in range(5):
        moment = plot.begin + span * step / 4 * 0.97
        pen.text((plot.x(moment), HEIGHT - BOTTOM + 12), moment.strftime(shape), _SOFT, _font(20), anchor="ma")
    pen.text((WIDTH - RIGHT, HEIGHT - 28), "UTC", _SOFT, _font(18), anchor="ra")


def _power(power: int) -> str:
    word = f"{10**power:,} x" if power > 0 else f"1/{10**-power:,}"
    return f"over {word}" if power == CEILING else f"under {word}" if power == FLOOR else word


def _marks(pen: ImageDraw, plot: _Plot, marks: Sequence[tuple[str, datetime]]) -> None:
    """Dashed uprights with a word each; above the plot; words that would meet go one line up."""
    font, taken = _font(18), [float("-inf"), float("-inf")]
    for word, moment in sorted(marks, key=lambda mark: mark[1]):
        x = plot.x(moment)
        for top in range(TOP, HEIGHT - BOTTOM, 12):
            pen.line([(x, top), (x, min(top + 6, HEIGHT - BOTTOM))], _SOFT, 2)
        text = _fitting(pen, one_line(word), 18, 240)
        wide = pen.textlength(text, font)
        left = min(max(x - wide / 2, LEFT), WIDTH - RIGHT - wide)
        row = 0 if left > taken[0] else 1
        if left <= taken[row]:
            continue  # its line is there; two words on each other say nothing
        taken[row] = left + wide + 8
        pen.text((left, TOP - 26 - 22 * row), text, _INK, font)


def _line(pen: ImageDraw, points: Sequence[tuple[float, float]], colour: str) -> None:
    pen.line(list(points), colour, 4, joint="curve")
    x, y = points[-1]
    pen.ellipse([(x - 6, y - 6), (x + 6, y + 6)], colour)


def _legend(pen: ImageDraw, names: Sequence[str]) -> None:
    x = float(LEFT)
    for colour, name in zip(_STREAM, names, strict=False):
        text = _fitting(pen, one_line(name), 20, (WIDTH - LEFT - RIGHT) / len(names) - 60)
        pen.rectangle([(x, 60), (x + 22, 66)], colour)
        pen.text((x + 30, 52), text, _SOFT, _font(20))
        x += 60 + pen.textlength(text, _font(20))


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _fitting(pen: ImageDraw, text: str, size: int, wide: float) -> str:
    """The text, cut to what fits."""
    shown, font = text[:300], _font(size)
    if pen.textlength(shown, font) <= wide:
        return shown
    while shown and pen.textlength(shown + "...", font) > wide:
        shown = shown[:-1]
    return shown.rstrip() + "..."
