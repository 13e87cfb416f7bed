"""What a page shows when it fails: a reference and nothing of the inside. The log of the dashboards has the whole error under that reference."""

from __future__ import annotations

import logging
import secrets
from html import escape

import streamlit as st

log = logging.getLogger("controlplane.dashboards")


def show(error: Exception) -> bool:
    """Log under a fresh reference and tell the person that; True: Streamlit shows nothing of its own."""
    reference = secrets.token_hex(4)
    log.error("a page failed (%s)", reference, exc_info=error)
    st.html(text(reference))
    return True


def text(reference: str) -> str:
    """The page's last words, as HTML."""
    return (
        '<div class="cp-empty" role="alert"><b>This part of the page could not be made.</b>What the control plane does is not touched by it. '
        "Load the page again; if it happens again, give this reference to whoever runs the dashboards: "
        f"<code>{escape(reference)}</code> (their log has the reason).</div>"
    )
