"""Who had to reach a person and who did: the table of categories, the exceptions, and the list that proves it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

import polars as pl
import streamlit as st

from dashboards import export, filters, ui
from dashboards.answers import BAD, GOOD, WAIT
from dashboards.quality import asked as quality_asked
from dashboards.quality import data as data_quality
from dashboards.quality import html as quality_html
from dashboards.quality.values import CATEGORIES, CATEGORY_OF, MANDATORY, Safety, safety
from dashboards.quality.words import category, count, part
from dashboards.shell import View
from dashboards.words import stamp

SHOWN = 10
MOST = 200  # exceptions
EXPORTED = 5_000
HEAD = ("Why a person must answer", "Recognised", "Reached a person", "Missed at most", "Audited: sent at once", "")
LATE, NOBODY = ui.chip("A person, late", WAIT), ui.chip("Nobody", BAD)
ARMS = {"": "Everybody", "assistant": "The assistant", "baseline": "The baseline"}


def show(now: View, since: datetime, release: str) -> None:
    """The view, for the window and release that the page has chosen."""
    ui.section(
        "Who must have a person, and who got one",
        "Conversations that the safety screen recognised, with a 95 % bound on the share that is missed; beside them"
        " what people found in answers they audited.",
    )
    arm = filters.pick("arm", "Served by", tuple(ARMS), "", lambda name: _arm(now, name))
    rows = data_quality.safety(*now.at, since, arm, release)
    found = safety(rows)
    shown = [one for one in found.categories if one.name in CATEGORIES or one.seen]
    unsaid = (found.unnamed,) if found.unnamed.named else ()
    ui.table(
        HEAD,
        [quality_html.category_row(one) for one in (*shown[:4], found.mandatory, *shown[4:], *unsaid)],
        numeric=(1, 2, 3, 4),
    )
    st.caption(_note(found))
    export.offer("quality_safety", rows, "pages/quality_safety", data_quality.safety_params(since, arm, release))
    if quality_asked.silent(now):
        return
    wanted: dict[str, Any] = {"since": since.isoformat(), "arm": arm, "release": release}
    _exceptions(now, wanted)
    _proof(now, wanted)


def _arm(now: View, name: str) -> str:
    return f"The {now.baseline}" if name == "baseline" else ARMS[name]


def _note(found: Safety) -> str:
    if found.misrouted is None:
        return (
            "Nobody has audited answers in this window, so what the screen does not recognise is unknown:"
            " `controlplane review queue` draws answers to audit."
        )
    share = found.misrouted
    return (
        f"Of {share.n:,} audited answers, {share.hits:,} should have sent customers to a person at once and did not: {part(share.value)}"
        f" of all answers, at most {part(share.high)}. Late: a later answer did. Reached: the log says that it was handed over."
    )


def _exceptions(now: View, wanted: dict[str, Any]) -> None:
    """What a person called misrouted, and what was recognised and reached nobody."""
    ui.section(
        "Exceptions",
        "Every conversation of this window that was recognised, or that people found, and did not go to a person at once, newest first."
        " Times in UTC.",
    )
    missed = quality_asked.rows(
        now, "quality_routed", wanted | {"categories": list(CATEGORIES), "missed": True, "most": MOST}, "the exceptions"
    )
    called = quality_asked.rows(now, "quality_misrouted", wanted, "the exceptions") if missed is not None else None
    if missed is None or called is None:
        return
    lines = [(row["started_at"], _missed(row)) for row in missed[0]] + [
        (row["started_at"], _called(row)) for row in called[0]
    ]
    lines.sort(key=lambda line: line[0], reverse=True)
    if not lines:
        ui.empty(
            "No exception.",
            "Whoever was recognised, and whoever an audit looked at and needed one, was handed to a person at once.",
        )
        return
    head = ("When", "Conversation", "What it was", "How it was found", "What became of it")
    ui.table(head, [cells for _, cells in lines[:SHOWN]], when=(0,))
    if len(lines) > SHOWN:
        with st.expander(f"{len(lines) - SHOWN:,} more"):
            ui.table(head, [cells for _, cells in lines[SHOWN:MOST]], when=(0,))
    if (left := missed[1] + called[1] - min(len(lines), MOST)) > 0:
        st.caption(f"{count(left, 'further exception')}: a shorter window shows {'it' if left == 1 else 'them'}.")


def _missed(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        *_where(row),
        escape(category(str(row["category"]))),
        "the safety screen recognised it",
        LATE if row["person"] else NOBODY,
    )


def _called(row: dict[str, Any]) -> tuple[str, ...]:
    known = row["intent"] or row["category"]
    how = "picked for review" if row["picked"] else "random audit"
    became = LATE if row["person"] else NOBODY
    by = quality_html.judge(str(row["by"] or ""))
    return (
        *_where(row),
        escape(category(CATEGORY_OF.get(str(known), str(known))) if known else "not said"),
        f"{how}, by {escape(by)}",
        became,
    )


def _where(row: dict[str, Any]) -> tuple[str, str]:
    return stamp(quality_html.moment(row["started_at"]))[:16], quality_html.conversation(str(row["conversation_id"]))


def _proof(now: View, wanted: dict[str, Any]) -> None:
    """The conversations that the screen sent to a person, one by one; the whole list as a file."""
    ui.section(
        "The proof, one by one",
        "Every recognised conversation with the time at which a person got it, newest first. Times in UTC.",
    )
    choice = filters.pick(
        "category",
        "Category",
        ("all", *CATEGORIES),
        "all",
        lambda name: "All four" if name == "all" else category(name),
    )
    asked = wanted | {"categories": list(MANDATORY) if choice == "all" else [choice], "most": SHOWN}
    found = quality_asked.rows(now, "quality_routed", asked, "the conversations")
    if found is None:
        return
    rows, among = found
    if not rows:
        ui.empty("None in this window.", "Choose a longer window or another category.")
        return
    ui.table(
        ("Began", "Conversation", "Category", "Served by", "Reached a person"),
        [_line(now, row) for row in rows],
        when=(0,),
    )
    left, right = st.columns((3, 2), vertical_alignment="center")
    left.caption(f"The newest {len(rows):,} of {count(among, 'conversation')}.")
    with right:
        _whole(now, asked, among, choice)


def _line(now: View, row: dict[str, Any]) -> tuple[str, ...]:
    began = quality_html.moment(row["started_at"])
    when = NOBODY
    if row["person"]:
        after = (quality_html.moment(row["escalated_at"]) - began).total_seconds() if row["escalated_at"] else 0.0
        when = ui.chip("Late", WAIT) if row["late"] else ui.chip("At once", GOOD)
        when += f" <span class='cp-small'>{after:,.0f} s after the beginning</span>" if after >= 1 else ""
    served = now.baseline if row["arm"] == "baseline" else str(row["arm"] or "unknown")
    return (*_where(row), escape(category(str(row["category"]))), escape(served), when)


def _whole(now: View, asked: dict[str, Any], among: int, choice: str) -> None:
    """The list as a file: fetched when somebody wants it, up to `EXPORTED` conversations."""
    if not st.button("Prepare the whole list", key="quality_prepare"):
        return
    found = quality_asked.rows(now, "quality_routed", asked | {"most": EXPORTED}, "the conversations")
    if found is None:
        return
    frame = proof(found[0])
    name = f"proof-{choice}-{asked['since'][:10]}.csv"
    more = f", the newest {EXPORTED:,}" if among > EXPORTED else ""
    st.download_button(
        f"Download {frame.height:,} conversations as CSV{more}",
        frame.write_csv().encode(),
        name,
        "text/csv",
        key="quality_proof",
    )


def proof(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """The list as a frame: no words of a customer, only ids, times and categories."""
    names = (
        "conversation_id",
        "started_at",
        "arm",
        "release",
        "category",
        "escalated_at",
        "escalation_reason",
        "person",
        "late",
    )
    return pl.DataFrame([{name: row[name] for name in names} for row in rows], infer_schema_length=None)
