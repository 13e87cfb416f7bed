"""The live strip of every page: state and share, what fires and what is silenced, how old the data is, and who is logged in.

Two lines on a phone: what is happening, and how much to believe it. Colour is state; everything else is plain.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import streamlit as st

from controlplane.store.queries import load
from controlplane.store.snapshot import SnapshotRef, open_file
from controlplane.store.state_rows import to_text
from dashboards import person
from dashboards.answers import BAD, QUIET, WAIT, is_fresh
from dashboards.person import Person
from dashboards.shell import View
from dashboards.ui import STATE_TONES, STATE_WORDS, chip
from dashboards.values import State
from dashboards.words import duration, percent, trigger_title

STALE_PUBLISHER = timedelta(seconds=60)
SHOWN_TRIGGERS = 2


def show(now: View, wall: datetime) -> None:
    """Put the strip on the page. `wall` is the real time."""
    who = who_item(now.person, person.can_log_in(now.config), here(st.context.url, st.query_params.to_dict()))
    st.html(html(now.state, silences(*now.at, now.state.meta.now), behind(now.ref, wall), who))


def show_empty(who: Person, may_log_in: bool) -> None:
    """The strip where nothing has been published."""
    side = who_item(who, may_log_in, here(st.context.url, {}))
    st.html(
        _frame([chip("Nothing published", QUIET), _pair("Firing", "unknown")], [_pair("Data age", "no data"), side])
    )


def html(state: State, silenced: int, silent: timedelta | None, who: str) -> str:
    """The strip: what is happening, then how much to believe it and for whom."""
    return _frame([*happening(state, silenced)], [*believing(state, silent), who])


def happening(state: State, silenced: int) -> Sequence[str]:
    """State, share, release, what is firing, open incidents, silences."""
    rollout = state.rollout
    if rollout is None:
        items = [chip("No rollout", QUIET)]
    else:
        share = f"<b>{percent(rollout.share)}</b> {_wide(f'({escape(rollout.phase)})')}"
        items = [chip(STATE_WORDS[rollout.state], STATE_TONES[rollout.state]), _pair("Share now", share)]
        items.append(_wide(_pair("Release", escape(rollout.release))))
    items.append(_pair("Firing", _firing(state.firing)))
    incidents = len(state.open_incidents)
    if incidents:
        word = "incident" if incidents == 1 else "incidents"
        items.append(_link("/incidents", chip(f"{incidents} open {word}", BAD)))
    if silenced:
        word = "silence" if silenced == 1 else "silences"
        items.append(chip(f"{silenced} {word}", WAIT))
    return items


def believing(state: State, silent: timedelta | None) -> Sequence[str]:
    """Data age, a control process that says nothing, and the time of all this."""
    known = "" if silent is None else " when last heard"  # nobody has looked since
    items = [_pair("Data age", f"{_data_age(state)}{known}")]
    if silent is not None:
        items.append(_wide(chip(f"control process silent for {duration(silent)}", BAD)))
        items.append(f'<span class="cp-only-small">{chip(f"silent {duration(silent)}", BAD)}</span>')
    kind = " \u00b7 demo clock" if state.meta.kind == "demo" else ""
    items.append(_wide(_pair("As of", f"{state.meta.now:%Y-%m-%d %H:%M:%S} UTC{kind}")))
    return items


def who_item(who: Person, may_log_in: bool, target: str) -> str:
    """Who is logged in and the way to log in or out; says read-only where nobody can be anybody."""
    way = f"/session?next={quote(target, safe='/')}"
    if who.role is not None:
        name = escape(f"{who.name}, {who.role}" if who.name else str(who.role))
        out = ' <a href="/auth/logout" target="_self">Log out</a>' if who.provider else ""
        shown = f"<span>{name}</span>" if who.provider else _link(way, name)
        return f'<span class="cp-who">{shown}{out}</span>'
    return f'<span class="cp-who">{_link(way, "Log in") if may_log_in else "Read-only"}</span>'


def here(url: str | None, query: dict[str, str]) -> str:
    """Path and filters of this page, to come back to."""
    path = urlsplit(url or "/").path or "/"
    return f"{path}?{urlencode(query)}" if query else path


def behind(ref: SnapshotRef, wall: datetime) -> timedelta | None:
    """For how long the control process has published nothing; None while it does."""
    age = wall - ref.checked_at
    return age if age > STALE_PUBLISHER else None


@st.cache_data(max_entries=8, show_spinner=False)
def silences(path: str, key: str, now: datetime) -> int:
    """How many silences are in force."""
    with open_file(Path(path)) as connection:
        ((count,),) = connection.execute(load("pages/strip_silences"), {"now": to_text(now)}).fetchall()
    return int(count)


def _firing(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    more = len(names) - SHOWN_TRIGGERS
    shown = [trigger_title(name) for name in names[:SHOWN_TRIGGERS]] + ([f"{more} more"] if more > 0 else [])
    return _link("/live", chip(", ".join(shown), BAD))


def _data_age(state: State) -> str:
    age = state.meta.data_age
    if age is None:
        return chip("no data yet", WAIT)
    stale = state.rollout is not None and state.policy is not None and not is_fresh(state)
    return chip(f"{duration(age)}, stale", BAD) if stale else duration(age)


def _frame(left: Sequence[str], right: Sequence[str]) -> str:
    lines = "".join(f"<div>{''.join(items)}</div>" for items in (left, right))
    return f'<div class="cp-strip" role="status" aria-label="Live state">{lines}</div>'


def _wide(item: str) -> str:
    return f'<span class="cp-hide-small">{item}</span>'


def _pair(key: str, value: str) -> str:
    return f'<span><span class="cp-key">{key}</span>{value}</span>'


def _link(target: str, content: str) -> str:
    return f'<a href="{escape(target)}" target="_self">{content}</a>'
