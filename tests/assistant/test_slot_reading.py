"""Slots are read from real wording, never guessed, and never in the future."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant.slot_reading import READERS
from tests.assistant.talk import NOW

READ = [
    ("month", "the one from February please", "2026-02"),
    ("month", "04/2023", "2023-04"),
    ("month", "statement for May please", "2025-05"),
    ("month", "may I have a statement", None),
    ("month", "2023-13", None),
    ("date", "25/02/2026", "2026-02-25"),
    ("date", "02/25/2026", "2026-02-25"),
    ("date", "3/4", "2025-04-03"),
    ("date", "it was on the 1st of March", "2026-03-01"),
    ("date", "Feb 14th", "2026-02-14"),
    ("date", "two weeks ago", "2026-02-16"),
    ("date", "last night", "2026-03-01"),
    ("date", "on Monday", "2026-02-23"),
    ("date", "31 February", None),
    ("date", "2027-01-01", None),
    ("date", "they took £12.30", None),
    ("date", "1.5 % at 10.30", None),
    ("amount", "they took £1,250.50 twice", "GBP 1250.50"),
    ("amount", "45,50 €", "EUR 45.50"),
    ("amount", "$20 at a shop", "USD 20.00"),
    ("amount", "20 quid", "GBP 20.00"),
    ("amount", "50p", "GBP 0.50"),
    ("amount", "3 times", None),
    ("amount", "£5k", None),
    ("last_four", "my card ending in 9182 please", "9182"),
    ("last_four", "**** 4432", "4432"),
    ("last_four", "I paid 1234 yesterday", None),
    ("address", "change it to 12 Elm Road, Leeds LS1 4AB please", "12 Elm Road, Leeds LS1 4AB"),
    ("address", "Flat 3, 12 Elm Road, Leeds", "Flat 3, 12 Elm Road, Leeds"),
    ("address", "100 Main St Springfield IL 62704", "100 Main St Springfield IL 62704"),
    ("address", "Apt 4B 100 Main St, Springfield, IL 62704", "Apt 4B 100 Main St, Springfield, IL 62704"),
    ("address", "I need my 3 cards, please, now", None),
    ("address", "2 weeks ago, I moved to York, England", None),
    ("shop", "I want to contest a charge from Booking.com", "Booking.com"),
    ("shop", "Charged the wrong amount by Marks & Spencer, want it back", "Marks & Spencer"),
    ("shop", "Ryanair took £45 twice", "Ryanair"),
    ("shop", "money is missing from March", None),
]
ANSWERED = [
    ("amount", "about 45 I think", "GBP 45.00"),
    ("amount", "It was 1,250.50!", "GBP 1250.50"),
    ("amount", "card 1234", None),
    ("last_four", "it's 1234", "1234"),
    ("address", "Rose Cottage, Mill Lane, York", "Rose Cottage, Mill Lane, York"),
    ("address", "5 The Shambles, York", "5 The Shambles, York"),
    ("address", "2 weeks ago, I moved to York, England", None),
    ("address", "no idea, sorry", None),
    ("shop", "Amazon, £45.50, yesterday", "Amazon"),
    ("shop", "it was a bike shop in town", "a bike shop in town"),
    ("shop", "12", None),
    ("shop", "and when will somebody answer me?", None),
    ("shop", "well first I went to the town and then I bought a coat and then", None),
]


@pytest.mark.parametrize(("reader", "text", "value"), READ)
def test_values_in_any_message(reader: str, text: str, value: str | None) -> None:
    assert READERS[reader].find(text, NOW) == value


@pytest.mark.parametrize(("reader", "text", "value"), ANSWERED)
def test_values_in_the_answer_to_our_question(reader: str, text: str, value: str | None) -> None:
    assert READERS[reader].answer(text, NOW) == value


@given(st.text(max_size=120), st.sampled_from(sorted(READERS)))
def test_reading_never_fails_and_an_answer_is_never_empty(text: str, reader: str) -> None:
    for read in (READERS[reader].find, READERS[reader].answer):
        value = read(text, NOW)
        assert value is None or value.strip()


@given(st.dates(date(2020, 1, 1), date(2026, 3, 2)), st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%d %B %Y", "%B %d, %Y"]))
def test_a_written_day_is_that_day(day: date, form: str) -> None:
    assert READERS["date"].find(f"it was {day.strftime(form)}, I think", NOW) == day.isoformat()


@given(
    st.text(alphabet="0123456789/-. abcdefjmnoprsuvty", max_size=30),
    st.integers(-900, 900),
)
def test_a_day_is_never_in_the_future(text: str, days: int) -> None:
    now = NOW + timedelta(days=days)
    found = READERS["date"].find(text, now)
    assert found is None or date.fromisoformat(found) <= now.date()


@given(st.integers(1, 9_999_999), st.sampled_from([("£", "GBP"), ("$", "USD"), ("€", "EUR")]))
def test_a_written_amount_is_that_amount(pence: int, currency: tuple[str, str]) -> None:
    text = f"they charged me {currency[0]}{pence / 100:,.2f} on my card"
    assert READERS["amount"].find(text, NOW) == f"{currency[1]} {pence / 100:.2f}"


@given(st.integers(0, 400))
def test_last_month_is_the_month_before(days: int) -> None:
    now = NOW + timedelta(days=days)
    found = READERS["month"].find("last month", now)
    assert found == (now.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
