"""Long work of the control process, from a page: asked for by a button, followed by a bar, its answer kept for the session.

The work goes on when the browser is closed; what it makes is in the workspace. A page that is opened anew does not know the task any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from controlplane.core.roles import Permission, able
from dashboards import control
from dashboards.shell import View

POLL_SECONDS = 1.0


def button(
    now: View, key: str, label: str, name: str, arguments: Mapping[str, Any], permission: Permission, actor: str = ""
) -> Mapping[str, Any] | None:
    """The button, and while the work goes on its bar; the answer once it is done, on every run of the page until it is asked for again."""
    may = now.person.may(permission)
    pressed = st.button(label, disabled=not may, key=f"task_{key}", help=None if may else lacking(permission))
    if pressed:
        reply = control.ask(now.config, now.person.role, name, arguments, actor or now.person.name)
        st.session_state[f"task_id_{key}"] = reply.task
        st.session_state.pop(f"task_answer_{key}", None)
        if not reply.done:
            st.error(reply.text)
        elif reply.task is None:
            st.session_state[f"task_answer_{key}"] = reply.answer
    if st.session_state.get(f"task_id_{key}"):
        _follow(now, key, label)
    found: Mapping[str, Any] | None = st.session_state.get(f"task_answer_{key}")
    return found


def lacking(permission: Permission) -> str:
    """Why a button is grey, and who may press it."""
    return f"To {permission} takes the role {' or '.join(able(permission))}. Log in, or ask somebody who has it."


@st.fragment(run_every=POLL_SECONDS)
def _follow(now: View, key: str, label: str) -> None:
    task_id = st.session_state.get(f"task_id_{key}")
    if task_id is None:
        return
    found = control.task(now.config, now.person.role, task_id)
    if not found.over:
        st.progress(found.part or 0.0, f"{label}: {found.text or found.state}")
        return
    st.session_state[f"task_id_{key}"] = None
    if found.state == "done":
        st.session_state[f"task_answer_{key}"] = found.answer
    else:
        st.session_state[f"task_failed_{key}"] = found.text or found.state
    st.rerun()


def failed(key: str) -> None:
    """Say once why the work of that key did not come to its end."""
    if (text := st.session_state.pop(f"task_failed_{key}", None)) is not None:
        st.error(text)
