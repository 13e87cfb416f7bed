"""Filters whose choice stands in the address, so that a link shows what its sender saw. An address that names what is not there means the default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import streamlit as st

MANY = 6  # more choices than this are a list to open


def pick(
    param: str, label: str, options: Sequence[str], default: str, shown: Callable[[str], str] = str, help: str = ""
) -> str:
    """One of the options; `param` is its name in the address. Few are shown side by side, many in a list."""
    asked = st.query_params.get(param, default)
    start = asked if asked in options else default
    more: dict[str, Any] = {"help": help} if help else {}
    key = f"pick_{param}"
    if len(options) <= MANY:
        chosen = st.segmented_control(label, options, default=start, format_func=shown, required=True, key=key, **more)
    else:
        chosen = st.selectbox(label, options, index=list(options).index(start), format_func=shown, key=key, **more)
    _remember(param, str(chosen), default)
    return str(chosen)


def typed(param: str, label: str, placeholder: str = "", help: str = "") -> str:
    """A text, trimmed; "" when nothing was typed."""
    more: dict[str, Any] = {"help": help} if help else {}
    value = st.text_input(
        label, value=st.query_params.get(param, ""), placeholder=placeholder, key=f"pick_{param}", **more
    )
    found = (value or "").strip()
    _remember(param, found, "")
    return found


def switch(param: str, label: str, default: bool = False, help: str = "") -> bool:
    """On or off."""
    more: dict[str, Any] = {"help": help} if help else {}
    asked = st.query_params.get(param, "on" if default else "off") == "on"
    chosen = st.toggle(label, value=asked, key=f"pick_{param}", **more)
    _remember(param, "on" if chosen else "off", "on" if default else "off")
    return bool(chosen)


def number(
    param: str, label: str, default: float, low: float, high: float, step: float, form: str = "%g", help: str = ""
) -> float:
    """A number within its limits; an address that names none, or one outside, means the default."""
    try:
        asked = float(st.query_params.get(param, default))
    except ValueError:
        asked = default
    start = asked if low <= asked <= high else default
    more: dict[str, Any] = {"help": help} if help else {}
    key = f"pick_{param}"
    value = st.number_input(label, float(low), float(high), float(start), float(step), format=form, key=key, **more)
    chosen = default if value is None else float(value)
    _remember(param, f"{chosen:g}", f"{default:g}")
    return chosen


def day(param: str, label: str, last: date, help: str = "") -> date | None:
    """A day (UTC) up to `last`; None while none is chosen. An address that names no such day means none."""
    more: dict[str, Any] = {"help": help} if help else {}
    try:
        asked = date.fromisoformat(st.query_params.get(param, ""))
    except ValueError:
        asked = None
    start = asked if asked is not None and asked <= last else None
    found = st.date_input(label, value=start, max_value=last, key=f"pick_{param}", **more)
    chosen = found if isinstance(found, date) else None
    _remember(param, chosen.isoformat() if chosen else "", "")
    return chosen


def _remember(param: str, value: str, default: str) -> None:
    """What differs from the default stands in the address; the rest would only make it long."""
    if value != default:
        st.query_params[param] = value
    elif param in st.query_params:
        del st.query_params[param]
