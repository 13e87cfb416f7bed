"""Whether what a page sends is what a question takes: kind and size of every argument, by the annotations of the function that answers.

What gets through is a text without control characters that no store takes, a finite number, or a short list of texts; a function only has to
check what its own values mean.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

LONGEST = 4_000  # characters of a text
LARGEST = 1e15  # of a number, either way; every integer up to it is exact as a float
MOST_PARTS = 1_000  # of a list
OWN = ("deps", "_deps", "now", "_now", "progress")  # what the desk gives; nobody else may
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Sequence: "a list of texts"}


def check(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raises ValueError naming the first argument that is unknown, missing, of another kind, or too large."""
    known = _annotations(function)
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name[:50]!r} is not known; there are {', '.join(known) or 'no arguments'}")
        if why := _wrong(value, known[name]):
            raise ValueError(f"{name}: {why}")
    for name, one in inspect.signature(function).parameters.items():
        if name in known and name not in given and one.default is one.empty:
            raise ValueError(f"{name}: missing")


@cache
def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    found = typing.get_type_hints(function)
    return {name: kind for name, kind in found.items() if name not in (*OWN, "return")}


def _wrong(value: Any, kind: Any) -> str:
    """Why the value is not of that kind; "" when it is."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        options = [one for one in typing.get_args(kind) if one is not type(None)]
        return "" if value is None and len(options) < len(typing.get_args(kind)) else _wrong(value, options[0])
    plain = typing.get_origin(kind) or kind
    if plain is Sequence:
        return _wrong_list(value)
    allowed = (int, float) if plain is float else (plain,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and plain is not bool):
        return f"must be {_KINDS[plain]}"
    return _wrong_text(value) if isinstance(value, str) else _wrong_number(value)


def _wrong_list(value: Any) -> str:
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        return f"must be {_KINDS[Sequence]}"
    if len(value) > MOST_PARTS:
        return f"has more than {MOST_PARTS:,} parts"
    return next((why for part in value if (why := _wrong_text(part))), "")


def _wrong_text(value: str) -> str:
    if len(value) > LONGEST:
        return f"is longer than {LONGEST:,} characters"
    return "has a character that no text has" if "\0" in value else ""


def _wrong_number(value: float) -> str:
    return "" if abs(value) <= LARGEST else f"must be finite and within {LARGEST:,.0f}"
