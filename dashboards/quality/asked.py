"""Questions of the Quality page to the control process, each asked once a snapshot and session, so that a click elsewhere asks nothing again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from controlplane.core.roles import Permission
from dashboards import control, ui
from dashboards.control import Reply
from dashboards.shell import View
from dashboards.tasks import lacking

KEPT = "quality_asked"
MOST = 30


def rows(now: View, name: str, arguments: Mapping[str, Any], what: str) -> tuple[list[dict[str, Any]], int] | None:
    """Rows and how many there are in all; None where they cannot be had, and the page says why. `what`: "the conversations"."""
    if not now.person.may(Permission.QUERY):
        st.caption(f"To read {what} takes more than looking. {lacking(Permission.QUERY)}")
        return None
    reply = once(now, name, arguments)
    if reply.answer is None:
        st.error(reply.text)
        return None
    return list(reply.answer["rows"]), int(reply.answer["among"])


def once(now: View, name: str, arguments: Mapping[str, Any]) -> Reply:
    """The answer to that question as of this snapshot; what failed is asked again."""
    kept: dict[str, Reply] = st.session_state.setdefault(KEPT, {})
    who = actor(now)  # another name in the same session reads anew, and is written down anew
    key = json.dumps([now.ref.key, str(now.person.role), who, name, dict(arguments)], sort_keys=True)
    if key not in kept:
        reply = control.ask(now.config, now.person.role, name, arguments, who)
        if not reply.done:
            return reply
        while len(kept) >= MOST:
            kept.pop(next(iter(kept)))
        kept[key] = reply
    return kept[key]


def actor(now: View) -> str:
    """The name under which a person's reading and labelling is kept: who logged in, else what they typed here, else what their token is."""
    return now.person.name or str(st.session_state.get("quality_name", "")).strip() or f"dashboards ({now.person.role})"


def silent(now: View) -> bool:
    """Whether there is no control process to ask; the page says so and what still stands."""
    if now.config.may_act:
        return False
    ui.empty(
        "No control process here.",
        "What is above comes from the published snapshot. Single conversations are read through the control process: `controlplane up`.",
    )
    return True
