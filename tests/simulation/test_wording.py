"""How customers type: everything from the generator, nothing lost but letters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.simulation.wording import fill, say_again, slip, type_out

seeds = st.integers(0, 10_000)


@given(seeds, st.text(alphabet="abcdefg {}hij", max_size=40).filter(lambda text: "{" not in text and "}" not in text))
def test_a_slip_changes_at_most_one_word(seed: int, text: str) -> None:
    before, after = text.split(" "), slip(text, random.Random(seed)).split(" ")
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) <= 1


@given(seeds)
def test_placeholders_are_filled(seed: int) -> None:
    text = fill("{person} sent {amount} to {merchant} in {country}", random.Random(seed))
    assert "{" not in text
    assert "£" in text


def test_an_unknown_placeholder_is_an_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="colour"):
        fill("my {colour} card", random.Random(1))


@given(seeds, st.floats(0, 1))
def test_the_same_generator_types_the_same(seed: int, sloppiness: float) -> None:
    first, second = random.Random(seed), random.Random(seed)
    assert type_out("Where is my card?", sloppiness, first) == type_out("Where is my card?", sloppiness, second)
    assert say_again("where is it", sloppiness, first) == say_again("where is it", sloppiness, second)


def test_sloppy_customers_type_worse() -> None:
    def clean(sloppiness: float) -> int:
        return sum(
            "When will it arrive" in type_out("When will it arrive", sloppiness, random.Random(i)) for i in range(300)
        )

    assert clean(0.0) > clean(0.5) > clean(1.0)


def test_one_wish_has_many_forms() -> None:
    assert len({type_out("I lost my card {place}", 0.3, random.Random(i)) for i in range(200)}) > 80
