"""Conversation: which ones went wrong, and one of them end to end. Single conversations are asked of the control process; reading is logged."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import Any

import streamlit as st

from controlplane.core.roles import Permission
from dashboards import control, filters, ui
from dashboards.answers import BAD, QUIET, WAIT, Answer
from dashboards.conversation import data as data_conversation
from dashboards.conversation import html as conversation_html
from dashboards.conversation.list import COUNTED, OF, Count, Item, counts, items
from dashboards.conversation.story import story
from dashboards.conversation.words import KINDS
from dashboards.shell import View, view
from dashboards.tasks import lacking
from dashboards.words import stamp

LINK_WIDTH = 300  # pixels: the same for every line, so that what follows stands in a column
PAGE = "app_pages/conversation_page.py"
SPANS = {"24 h": timedelta(hours=24), "7 days": timedelta(days=7), "30 days": timedelta(days=30)}
ARMS = {"assistant": "Assistant", "baseline": "Baseline", "both": "Both"}
KEPT = "conversation_read"
URGENT = {  # what wants to be read first, worst first, as the end of a sentence
    "misrouted": "went the wrong way",
    "ungrounded": "were not backed by their sources",
    "failed": "ended in an error",
    "timed_out": "timed out",
    "misunderstood": "were misunderstood",
}


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    head = st.container()
    asked = filters.typed(
        "id",
        "Conversation",
        "an id, as in the logs and in other pages' links",
        "Press Enter to open it; the address is a link to it.",
    )
    if asked:
        _one(now, asked, head)
    else:
        _choose(now, head)


def _choose(now: View, head: Any) -> None:
    """How often what went wrong, and the newest conversations of one kind."""
    if now.state.meta.newest is None:
        with head:
            ui.hero(Answer("Nobody has written yet.", "Conversations appear here as soon as their logs arrive.", QUIET))
        ui.empty("No conversations yet.", "Send logs with `controlplane ingest FILE`, or watch `make demo`.")
        return
    left, middle, right = st.columns((2, 1, 1), vertical_alignment="bottom")
    with middle:
        arm = filters.pick("arm", "Served by", tuple(ARMS), "assistant", lambda name: _arm_name(now, name))
    with right:
        span = filters.pick("window", "Since", tuple(SPANS), "7 days")
    chosen = "" if arm == "both" else arm
    found = counts(data_conversation.counts(*now.at, chosen, now.state.meta.now - SPANS[span]))
    worst = next((kind for kind in URGENT if found[kind].x), None)
    with left:
        kind = filters.pick("find", "What went wrong", tuple(KINDS), worst or "escalated", KINDS.__getitem__)
    with head:
        ui.hero(_headline(found, worst, _arm_name(now, arm), span))
    _list(now, kind, chosen, span)
    _tiles(found, span)


def _arm_name(now: View, name: str) -> str:
    return now.baseline.capitalize() if name == "baseline" else ARMS[name]


def _headline(found: dict[str, Count], worst: str | None, arm: str, span: str) -> Answer:
    """Which conversations want to be read first."""
    sentence = f"{arm}, last {span}. Choose what went wrong, or type an id; every conversation that is opened is written into the audit log."
    if worst is None:
        return Answer("No conversation stands out.", sentence, QUIET)
    one = found[worst]
    tone = BAD if worst == "misrouted" else WAIT
    these = "this" if one.x == 1 else "these"
    return Answer(f"Read {these} first: {one.x:,} of {one.n:,} {OF[worst]} {URGENT[worst]}.", sentence, tone)


def _tiles(found: dict[str, Count], span: str) -> None:
    ui.section(
        "How often it happens",
        f"Counts of the last {span}, and the share of what could be judged with its 95 % interval. Judged and labelled ones are samples.",
    )
    grid = st.grid(columns=4, min_column_width=210, key="conversation_counts")
    for kind in COUNTED:
        one = found[kind]
        with grid.cell():
            note = f"of {one.n:,} {OF[kind]}: {one.share}" if one.n else f"no {OF[kind]} in this time"
            ui.tile(KINDS[kind], f"{one.x:,}" if one.n else "unknown", note)


def _list(now: View, kind: str, arm: str, span: str) -> None:
    title = KINDS[kind]
    if not _may_read(now):
        return
    hours = SPANS[span] / timedelta(hours=1)
    reply = control.ask(now.config, now.person.role, "conversation_find", {"kind": kind, "arm": arm, "hours": hours})
    if reply.answer is None:
        ui.empty("The list could not be made.", reply.text)
        return
    rows = items(reply.answer["rows"], kind, now.baseline, now.state.meta.now)
    among = int(reply.answer["among"])
    shown = f"The newest {len(rows)} of {among:,}" if among > len(rows) else f"{among:,}"
    ui.section(
        title,
        f"{shown} in the last {span}, newest first; times in UTC. The list shows no words of customers."
        if rows
        else "",
    )
    if not rows:
        ui.empty("There is none.", f"Nothing of this kind in the last {span}. Choose a longer time, or something else.")
    for item in rows:
        _row(item)


def _row(item: Item) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"row_{item.conversation_id}"):
        st.page_link(PAGE, label=item.title, query_params={"id": item.conversation_id}, width=LINK_WIDTH)
        mark = ui.chip(item.mark, item.tone) if item.mark else ""
        st.html(f'<div class="cp-small">{mark} {escape(item.rest)}</div>')


def _may_read(now: View) -> bool:
    """Whether conversations can be asked for here; else the page says what it takes."""
    if not now.person.may(Permission.QUERY) or not now.config.may_act:
        text = lacking(Permission.QUERY) if now.config.may_act else control.READ_ONLY
        ui.empty("Single conversations are for operators.", f"{text} They are never in the published snapshot.")
        return False
    return True


def _one(now: View, conversation_id: str, head: Any) -> None:
    st.page_link(PAGE, label="Back to the list", query_params={})
    if not _may_read(now):
        with head:
            ui.hero(
                Answer(
                    "One conversation, end to end.",
                    "Its words stay with the control process, which shows them to operators.",
                    QUIET,
                )
            )
        return
    reader = _reader(now, head)
    if not reader:
        return
    reply = _read(now, conversation_id, reader)
    if reply.answer is None or reply.answer.get("head") is None:
        known = reply.answer is not None
        title = "No conversation has this id." if known else "The conversation could not be read."
        text = (
            f"Nothing was logged under `{conversation_id}`; it may have been deleted, or the id is cut off."
            if known
            else reply.text
        )
        with head:
            ui.hero(Answer(title, text, WAIT))
        return
    told = story(reply.answer, now.baseline)
    with head:
        ui.hero(told.answer)
    st.html(conversation_html.facts(told))
    ui.section("What happened", "Time since the beginning on the left. Personal data was masked before it was stored.")
    name = "Assistant" if reply.answer["head"]["arm"] == "assistant" else now.baseline.capitalize()
    st.html(conversation_html.moments(told, name))
    if told.cut:
        st.caption(f"Cut, because they are too long to show here: {', '.join(told.cut)}.")
    began = reply.answer["head"]["started_at"]
    st.caption(
        f"Read by {reader}, which is in the audit log. Conversation {conversation_id}"
        + (f", began {stamp(_time(began))} UTC." if began else ".")
    )


def _time(text: str) -> Any:
    from dashboards.conversation.story import moment_of

    return moment_of(text)


def _reader(now: View, head: Any) -> str:
    """Who reads: the person who is logged in, else the name that is typed once a session."""
    if now.person.name:
        return now.person.name
    if st.session_state.get("conversation_reader"):
        return str(st.session_state["conversation_reader"])
    with head:
        ui.hero(
            Answer(
                "Who is reading?", "Every conversation that is opened is written into the audit log with a name.", QUIET
            )
        )
    with st.form("reader", border=True):
        name = st.text_input("Your name", key="reader_name")
        if st.form_submit_button("Read the conversation", type="primary") and (name or "").strip():
            st.session_state["conversation_reader"] = name.strip()
            st.rerun()
    return ""


def _read(now: View, conversation_id: str, reader: str) -> control.Reply:
    """Asked once for each id and reader of a session: a rerun of the page is no second reading."""
    key = (conversation_id, reader)
    kept = st.session_state.get(KEPT)
    if kept is not None and kept[0] == key:
        reply: control.Reply = kept[1]
        return reply
    reply = control.ask(now.config, now.person.role, "conversation_read", {"conversation_id": conversation_id}, reader)
    if reply.answer is not None and reply.answer.get("head") is not None:
        st.session_state[KEPT] = (key, reply)
    return reply


main()
