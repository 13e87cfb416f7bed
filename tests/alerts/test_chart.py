"""The picture of the evidence: what is drawn where, and that nothing odd breaks it."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from alerts.chart import CEILING, FLOOR, HEIGHT, LEFT, RIGHT, WIDTH, Frame, Stream, draw, drawable, levels

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BLUE, RED = (0x1A, 0x73, 0xE8), (0xB3, 0x26, 0x1E)
MINUTE = timedelta(minutes=1)

moments = st.integers(0, 10**6).map(lambda seconds: NOW + timedelta(seconds=seconds))
streams = st.builds(
    Stream,
    st.text(max_size=80),
    st.lists(st.tuples(moments, st.none() | st.floats()), max_size=30).map(
        lambda found: tuple(sorted(found, key=lambda p: p[0]))
    ),
    st.floats(0, 40),
)
frames = st.builds(
    Frame,
    st.text(max_size=400),
    st.lists(streams, max_size=5).map(tuple),
    st.lists(st.tuples(st.text(max_size=40), moments), max_size=9).map(tuple),
)


def rising(n: int = 30, threshold: float = 7.6) -> Stream:
    return Stream("errors, all traffic", tuple((NOW + i * MINUTE, -2 + i * 0.4) for i in range(n)), threshold)


def pixels(png: bytes, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    image = Image.open(BytesIO(png)).convert("RGB")
    assert image.size == (WIDTH, HEIGHT)
    data = image.tobytes()
    return [(i // 3 % WIDTH, i // 3 // WIDTH) for i in range(0, len(data), 3) if tuple(data[i : i + 3]) == colour]


def test_the_line_rises_through_the_threshold_where_the_evidence_does() -> None:
    png = draw(Frame("Errors", (rising(),), (("detected", NOW + 29 * MINUTE),)))
    limit = [y for x, y in pixels(png, RED) if x > LEFT + 10]  # left of that are the words
    curve = [(x, y) for x, y in pixels(png, BLUE) if y > 140]  # above that is the legend
    assert max(limit) - min(limit) <= 3
    crossing = [x for x, y in curve if abs(y - limit[0]) <= 6]
    # evidence -2 + 0.4 i is 7.6 at i = 24 of 29 minutes; the plot is 3 % wider than its time
    share = (sum(crossing) / len(crossing) - LEFT) / (WIDTH - LEFT - RIGHT)
    assert share == pytest.approx(24 / 29 / 1.03, abs=0.02)
    assert min(curve)[1] > limit[0] > max(curve)[1]


def test_the_longest_words_beside_the_axis_are_whole() -> None:
    steep = Stream("errors", tuple((NOW + i * MINUTE, -40.0 + i * 4) for i in range(20)), 0.0)
    image = Image.open(BytesIO(draw(Frame("", (steep,))))).convert("L")
    assert image.crop((0, 0, 8, HEIGHT)).getextrema() == (255, 255)


def test_the_same_values_give_the_same_picture_and_it_is_small() -> None:
    frame = Frame("Errors", (rising(), rising(20, 9.0)), (("onset", NOW), ("cut", NOW + 29 * MINUTE)))
    assert draw(frame) == draw(frame)
    assert len(draw(frame)) < 60_000


def test_evidence_is_in_powers_of_ten_of_what_was_needed_within_bounds() -> None:
    stream = Stream("s", ((NOW, None), (NOW, float("-inf")), (NOW, -1e9), (NOW, 7.6), (NOW, 1e9)), 7.6)
    assert [level for _, level in levels(stream)] == [FLOOR, 0.0, CEILING]


def test_nothing_to_draw_is_refused_instead_of_an_empty_picture_that_looks_calm() -> None:
    for stream in (Stream("s", (), 1.0), Stream("s", ((NOW, None), (NOW + MINUTE, 2.0)), 1.0)):
        frame = Frame("Nothing", (stream,))
        assert not drawable(frame)
        with pytest.raises(ValueError, match="nothing to draw"):
            draw(frame)


@settings(max_examples=25, deadline=None)
@given(frames)
def test_no_frame_breaks_the_picture(frame: Frame) -> None:
    if drawable(frame):
        assert draw(frame).startswith(b"\x89PNG")
