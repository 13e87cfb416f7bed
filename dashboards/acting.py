"""A person's act from a page: explained, confirmed with name and reason, carried out by the control process; its outcome is shown once."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import streamlit as st

from controlplane.core.roles import Permission
from dashboards import control
from dashboards.control import Outcome
from dashboards.shell import View
from dashboards.tasks import lacking
from dashboards.words import plain

Send = Callable[[str, str], Outcome]  # actor, reason -> what became of it
READ_SECONDS = 20.0  # a page that follows new data is drawn anew within seconds; a refusal is still there to be read
CONFIRMING, REFUSED, NAME = "acting_confirming", "acting_refused", "acting_name"


def outcome() -> None:
    """What became of the last thing that was asked for, a refusal for some time; call it at the top of a page."""
    st.session_state[CONFIRMING] = False  # no dialog is open where a page begins
    done = st.session_state.pop("outcome", None)
    if done is not None:
        st.session_state[REFUSED] = None if done.done else (done, monotonic() + READ_SECONDS)
    elif (kept := st.session_state.get(REFUSED)) is not None and monotonic() < kept[1]:
        done = kept[0]
    if done is not None:
        (st.success if done.done else st.error)(done.text)


def confirming() -> bool:
    """Whether somebody stands before the confirmation: nothing is redrawn under their hands. Not told by what is left of its fields: a browser
    may send those once more when the dialog is long closed."""
    return bool(st.session_state.get(CONFIRMING))


def button(
    now: View, key: str, label: str, consequence: str, permission: Permission, send: Send, *, primary: bool = False
) -> None:
    """A button that opens the confirmation. Grey without the permission, and says what it takes."""
    may = now.person.may(permission)
    kind: Any = "primary" if primary else "secondary"
    if st.button(label, type=kind, disabled=not may, key=f"ask_{key}", help=None if may else lacking(permission)):
        confirm(now, key, label, consequence, send)


@st.dialog("Please confirm", on_dismiss="rerun")  # a page that stood still behind the dialog goes on
def confirm(now: View, key: str, label: str, consequence: str, send: Send) -> None:
    """Label, consequence, who and why; nothing is sent before both are given."""
    st.session_state[CONFIRMING] = True
    st.markdown(f"**{plain(label)}**")
    st.write(plain(consequence))
    known = st.session_state.get(NAME, "")
    actor = now.person.name or st.text_input("Your name (goes into the audit log)", known, key=f"actor_{key}")
    if now.person.name:
        st.caption(f"As {plain(now.person.name)}, role {now.person.role}.")
    reason = st.text_input("Reason", key=f"reason_{key}")
    ready = bool((actor or "").strip() and (reason or "").strip())
    if st.button(f"Yes, {label[:1].lower()}{label[1:]}", type="primary", disabled=not ready, key=f"yes_{key}"):
        st.session_state[NAME] = actor.strip()  # asked for once, not with every act of a night
        st.session_state["outcome"] = send(actor.strip(), reason.strip())
        st.rerun()


def asked(now: View, name: str, done: str, **arguments: Any) -> Send:
    """A `send` that asks `name` of `jobs.asking.ASKS` with `reason` among the arguments; `done` is said when it was carried out."""

    def send(actor: str, reason: str) -> Outcome:
        reply = control.ask(now.config, now.person.role, name, {**arguments, "reason": reason}, actor)
        return Outcome(reply.done, done if reply.done else reply.text)

    return send
