"""Reading the values that workflows need from what customers write: dates, months, amounts, addresses, card digits, shop names.

Rules
- Reading never fails and never guesses: what is not plainly there is None, and the workflow asks.
- `find` looks into any message; `answer` reads the reply to our own question, where a bare "45" or "Ryanair" means something.
- Past is meant: a month or day without its year is the last one that has been. Days come before months (3/4 is 3 April), unless only
  the other order is a date.
- Canonical forms: month YYYY-MM, date YYYY-MM-DD, amount "GBP 45.50", card digits "1234".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType

from controlplane.assistant.text import normalise

Read = Callable[[str, datetime], str | None]

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = rf"(?:{'|'.join(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?"
_MONTH_NAME = re.compile(rf"\b({_MONTH})(?:,? (?:of )?(\d{{4}}))?")
_ISO_MONTH = re.compile(r"\b(\d{4})-(\d{2})\b(?!-)")
_NUMERIC_MONTH = re.compile(r"(?<![\d/.])(\d{1,2})/(\d{4})\b")
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_NUMERIC_DATE = re.compile(r"(?<![\d/.£$€])(?:(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})|(\d{1,2})/(\d{1,2}))(?![\d%/])")
_DAY_MONTH = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?:,? (\d{{4}}))?")
_MONTH_DAY = re.compile(rf"\b({_MONTH}) (?:the )?(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?")
_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}
_AGO = re.compile(rf"\b(\d{{1,2}}|{'|'.join(_COUNTS)}) (day|week)s? ago\b")
_CURRENCIES = {
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP", "$": "USD", "usd": "USD", "dollar": "USD",
    "dollars": "USD", "us$": "USD", "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "pence": "pence", "p": "pence",
}  # fmt: skip
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,7}(?:\.\d{1,2})?|\d{1,5},\d{2}"
_AMOUNT = re.compile(
    rf"(?<![\w.])(us\$|[£$€]|gbp|usd|eur) ?({_NUMBER})(?![\w]|[.,]\d)"
    rf"|(?<![\w.,£$€-])({_NUMBER}) ?(£|\$|€|(?:gbp|pounds?|quid|usd|dollars?|eur|euros?|pence|p)\b)"
)
_BARE_AMOUNT = re.compile(
    rf"^(?:(?:it was|it's|it is|that was|about|around|roughly|maybe|just|only|exactly|i think) )*({_NUMBER})[ .,!?]*(?:i think)?$"
)
_STREET = (
    r"(?:street|road|lane|avenue|row|close|drive|way|court|place|square|gardens|crescent|terrace|hill|grove|mews|boulevard"
    r"|st|rd|ln|ave|dr|blvd|pl|ct|cres)"
)
_UNIT = r"(?:(?:flat|apartment|apt\.?|unit|suite) ?[a-z0-9]{1,4},? )?"
_UK_CODE, _US_CODE = r"[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}", r"[a-z]{2},? \d{5}(?:-\d{4})?"
_CODE = rf"(?:{_UK_CODE}|{_US_CODE})"
_ADDRESS = re.compile(
    rf"\b({_UNIT}\d{{1,5}}[a-z]? [a-z' .-]{{3,40}}(?:, ?[a-z0-9' .#-]{{2,40}}){{1,4}}"
    rf"|{_UNIT}\d{{1,5}}[a-z]? [a-z' ]+? {_STREET}\b\.?(?:(?: [a-z]+){{0,3}} {_CODE}|(?: [a-z]+){{0,2}}))",
    re.IGNORECASE,
)
_PLAINLY_ADDRESS = re.compile(rf"\b(?:{_STREET}\b|{_CODE}\b)", re.IGNORECASE)
_NAMED_HOUSE = re.compile(r"^((?:[a-z0-9' .#-]{2,40}, ?){1,4}[a-z0-9' .#-]{2,40})$", re.IGNORECASE)
_NO_HOUSE = re.compile(
    r"\d+ (?:days?|weeks?|months?|years?|hours?|minutes?|times?|pounds?|euros?|dollars?)\b", re.IGNORECASE
)
_THANKS = re.compile(r"[ ,.]+(?:please|thanks|thank you|cheers|asap)\W*$", re.IGNORECASE)
_ADDRESS_LEAD = re.compile(
    r"^(?:(?:it's|it is|that's|my|the|our|new|address|is|now|will be|please use|change it to|to)[ :,]+)+", re.IGNORECASE
)
_LAST_FOUR = re.compile(
    r"\b(?:ending|ends|last (?:four|4)|final (?:four|4))\b[^\d]{0,24}(\d{4})\b(?!\d)|(?:\*|x){2,}[ -]?(\d{4})\b"
)
_BARE_FOUR = re.compile(r"^\D{0,30}\b(\d{4})\b\D{0,10}$")
_SHOP = re.compile(
    r"\b(?:from|to|at|by|with|of)\s+((?:[A-Z][\w&'.-]*|[A-Z]{2,})(?:\s+(?:&|and|of|the|[A-Z][\w&'.-]*)){0,3})"
    r"|^([A-Z][\w&'.-]+(?:\s+[A-Z][\w&'.-]+){0,2})\s+(?:took|charged|overcharged|billed|debited|refuses|says)\b"
)
_NOT_A_SHOP = frozenset({*_MONTHS, *_WEEKDAYS, "i", "my", "the", "alder", "alder bank"})
_FILLER = re.compile(
    r"^(?:(?:it(?:'s| is| was)|the (?:shop|merchant|company) (?:is|was)|that(?:'s| is| was)|at|to|from|by)\s+)+",
    re.IGNORECASE,
)


MOST_SHOP_WORDS = 10


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind of value is read: `find` from any message, `answer` from the reply to our question."""

    find: Read
    answer: Read


def read_month(text: str, now: datetime) -> str | None:
    """A month as YYYY-MM: named with or without a year, "last month", "this month", 2023-04 or 04/2023."""
    plain = normalise(text)
    for pattern, year_at, month_at in ((_ISO_MONTH, 1, 2), (_NUMERIC_MONTH, 2, 1)):
        if found := pattern.search(plain):
            return f"{found[year_at]}-{int(found[month_at]):02d}" if 1 <= int(found[month_at]) <= 12 else None
    if "last month" in plain or "previous month" in plain:
        return (now.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    if "this month" in plain or "current month" in plain:
        return now.strftime("%Y-%m")
    named = next((m for m in _MONTH_NAME.finditer(plain) if not _is_verb(plain, m)), None)
    if named is None:
        return None
    month = _month_number(named[1])
    year = int(named[2]) if named[2] else now.year - (month >= now.month)
    return f"{year}-{month:02d}"


def read_date(text: str, now: datetime) -> str | None:
    """A day as YYYY-MM-DD: 2026-03-01, 1/3/2026, 1 March, March 1st, yesterday, "3 days ago", "on Monday"; none in the future."""
    plain, today = normalise(text), now.date()
    if found := _ISO_DATE.search(plain):
        return _past(int(found[1]), int(found[2]), int(found[3]), today)
    if found := _DAY_MONTH.search(plain):
        return _past(_year(found[3]), _month_number(found[2]), int(found[1]), today)
    if found := _MONTH_DAY.search(plain):
        return _past(_year(found[3]), _month_number(found[1]), int(found[2]), today)
    if found := _NUMERIC_DATE.search(plain):
        first, second, year = int(found[1] or found[4]), int(found[2] or found[5]), _year(found[3])
        return _past(year, second, first, today) or _past(year, first, second, today)
    if found := _AGO.search(plain):
        count = int(found[1]) if found[1].isdigit() else _COUNTS[found[1]]
        return (today - timedelta(days=count * (7 if found[2] == "week" else 1))).isoformat()
    if "day before yesterday" in plain:
        return (today - timedelta(days=2)).isoformat()
    if "yesterday" in plain or "last night" in plain:
        return (today - timedelta(days=1)).isoformat()
    if re.search(r"\b(?:today|this morning|tonight|just now|an hour ago)\b", plain):
        return today.isoformat()
    for number, name in enumerate(_WEEKDAYS):
        if re.search(rf"\b{name}\b", plain):
            return (today - timedelta(days=(today.weekday() - number) % 7 or 7)).isoformat()
    return None


def read_amount(text: str, now: datetime) -> str | None:
    """An amount of money with its currency, as "GBP 1250.00"; a number without a currency is none."""
    found = _AMOUNT.search(normalise(text))
    if found is None:
        return None
    currency = _CURRENCIES[found[1] or found[4]]
    value = _value(found[2] or found[3])
    return f"GBP {value / 100:.2f}" if currency == "pence" else f"{currency} {value:.2f}"


def answer_amount(text: str, now: datetime) -> str | None:
    """An amount as the answer to "how much?": a bare number is in pounds."""
    bare = _BARE_AMOUNT.match(normalise(text))
    return read_amount(text, now) or (f"GBP {_value(bare[1]):.2f}" if bare else None)


def read_address(text: str, now: datetime) -> str | None:
    """A postal address, British or American: a house number and a street or a postcode."""
    plain = _THANKS.sub("", " ".join(text.split()))
    found = next((m[1] for m in _ADDRESS.finditer(plain) if _PLAINLY_ADDRESS.search(m[1])), None)
    return found.strip(" .,") if found else None


def answer_address(text: str, now: datetime) -> str | None:
    """An address as the answer to "where to?": a house with a name will do, and a street without the word."""
    plain = _ADDRESS_LEAD.sub("", _THANKS.sub("", " ".join(text.split()))).strip(" .!")
    if _NO_HOUSE.match(plain):
        return None
    numbered, named = _ADDRESS.search(plain), _NAMED_HOUSE.match(plain)
    if numbered and (_PLAINLY_ADDRESS.search(numbered[1]) or numbered.start() == 0):
        return numbered[1].strip(" .,")
    return plain if named and _PLAINLY_ADDRESS.search(plain) else None


def read_last_four(text: str, now: datetime) -> str | None:
    """The last four digits of a card, said to be that ("ending 1234", "**** 1234")."""
    found = _LAST_FOUR.search(normalise(text))
    return (found[1] or found[2]) if found else None


def answer_last_four(text: str, now: datetime) -> str | None:
    """Four digits as the answer to "which card?"."""
    bare = _BARE_FOUR.match(normalise(text))
    return read_last_four(text, now) or (bare[1] if bare else None)


def read_shop(text: str, now: datetime) -> str | None:
    """The name of a shop, written as one ("to Booking.com", "Ryanair took"): capitals, at most four words."""
    for found in _SHOP.finditer(" ".join(text.split())):
        name = (found[1] or found[2]).strip(" .'-")
        if name and normalise(name) not in _NOT_A_SHOP:
            return name
    return None


def answer_shop(text: str, now: datetime) -> str | None:
    """Whatever names the shop when we asked for it, at most 60 characters; a question, a story or a mere number does not."""
    if "?" in text or len(text.split()) > MOST_SHOP_WORDS:
        return None
    plain = _FILLER.sub("", " ".join(text.split())).strip(" .,!?")
    name = re.split(r"[,;£$€]|\b(?:for|on|took|charged)\b", plain, maxsplit=1)[0][:60].strip()
    return name if re.search(r"[^\W\d_]{2}", name) else None


READERS = MappingProxyType(
    {
        "month": Reader(read_month, read_month),
        "date": Reader(read_date, read_date),
        "amount": Reader(read_amount, answer_amount),
        "address": Reader(read_address, answer_address),
        "last_four": Reader(read_last_four, answer_last_four),
        "shop": Reader(read_shop, answer_shop),
    }
)


def _month_number(name: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, 1) if month.startswith(name[:3]))


def _is_verb(plain: str, found: re.Match[str]) -> bool:
    """Whether "may" or "march" stands where only the verb can ("may I", "you may")."""
    before, after = plain[: found.start()].split()[-1:], plain[found.end() :].split()[:1]
    return found[1] in ("may", "march") and (
        after in (["i"], ["we"], ["be"], ["have"]) or before in (["i"], ["you"], ["it"], ["we"])
    )


def _year(text: str | None) -> int | None:
    return None if text is None else int(text) + (2000 if len(text) == 2 else 0)


def _past(year: int | None, month: int, day: int, today: date) -> str | None:
    """The day if it exists and is not in the future; without a year the last one that has been."""
    for candidate in [year] if year is not None else [today.year, today.year - 1]:
        try:
            found = date(candidate, month, day)
        except ValueError:
            continue
        if found <= today:
            return found.isoformat()
    return None


def _value(number: str) -> float:
    if re.fullmatch(r"\d{1,5},\d{2}", number):
        return float(number.replace(",", "."))
    return float(number.replace(",", ""))
