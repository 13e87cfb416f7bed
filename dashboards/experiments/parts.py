"""Small pieces that both pages of the data scientists put on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def foot(text: str) -> Iterator[None]:
    """What is below a figure: how to read it, and on the right what the block puts there (its data)."""
    left, right = st.columns([6, 1], vertical_alignment="center")
    left.caption(text or "\u00a0")
    with right, st.container(horizontal=True, horizontal_alignment="right"):
        yield
