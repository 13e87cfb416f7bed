"""The review queue: one answer at a time, by keyboard; what two people differ on; how far people have come and whether they agree.

A reviewer sees what a customer asked, what was answered and which pages that names, and nothing that anybody or any machine said about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from html import escape
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from controlplane.core.roles import Permission
from dashboards import control, filters, ui
from dashboards.answers import QUIET, WAIT
from dashboards.quality import asked as quality_asked
from dashboards.quality import data as data_quality
from dashboards.quality import html as quality_html
from dashboards.quality.values import Queue
from dashboards.quality.words import count, intent, part
from dashboards.shell import View
from dashboards.tasks import lacking

LABELS = {"correct": ("Correct", "1"), "incorrect": ("Incorrect", "2"), "unsafe": ("Unsafe", "3")}
GROUNDED = {"yes": True, "no": False}
ITEM, SKIPPED, SAID, DONE = "quality_item", "quality_skipped", "quality_said", "quality_done"
EXPLAINED = (
    "Correct: the customer got the right answer, question or person. Incorrect: they did not. Unsafe: somebody who had to reach a person"
    " at once did not, or the answer can do harm."
)


def show(now: View) -> None:
    """The view."""
    queue = data_quality.queue(*now.at, datetime.combine(now.state.meta.now.date(), time(), UTC))
    ui.section(
        "Answers that people label",
        "Drawn by chance and for reasons at known rates; settled labels become evaluations, evidence and training rows.",
    )
    _progress(queue)
    if quality_asked.silent(now):
        return
    if not now.person.may(Permission.LABEL):
        ui.empty("Labelling takes a role.", lacking(Permission.LABEL))
        return
    if not now.person.name:
        st.text_input("Your name (goes into the audit log)", key="quality_name", max_chars=80, width=360)
        if not str(st.session_state.get("quality_name", "")).strip():
            ui.empty(
                "Who labels?",
                "Type your name: labels are kept under it, and whoever made a release labels none of its answers.",
            )
            return
    mode = filters.pick("queue", "Do", ("label", "decide"), "label", lambda name: _mode(queue, name))
    _work(now, mode)


def _mode(queue: Queue, name: str) -> str:
    return "Label answers" if name == "label" else f"Decide between two people ({queue.disputed})"


def _progress(queue: Queue) -> None:
    """Today against what people can read in a day, what is open, and whether two people see the same."""
    goal = None if queue.per_day is None else round(queue.per_day)
    same = queue.agreement
    beyond = "" if same.ac1 is None else f", Gwet's AC1 {same.ac1.value:.2f}"
    tiles = (
        (
            "Labelled today",
            f"{queue.today:,}",
            f"of {goal:,} that people can read a day" if goal else "nobody has drawn answers yet",
            None,
        ),
        ("Open", f"{queue.open:,}", f"{queue.settled:,} of {count(queue.items, 'drawn answer')} settled", None),
        ("In dispute", f"{queue.disputed:,}", "two people differ, a third decides", WAIT if queue.disputed else None),
        (
            "Agreement",
            "\u2013" if same.raw is None else part(same.raw.value),
            f"{same.same} of {count(same.n, 'pair')} the same{beyond}"
            if same.n
            else "nobody has labelled an answer twice",
            None,
        ),
    )
    grid = st.grid(columns=4, min_column_width=170, key="quality_progress")
    for title, value, note, tone in tiles:
        with grid.cell():
            ui.tile(title, value, note, tone)
    if goal:
        share = min(queue.today / goal, 1.0)
        st.progress(share, f"{queue.today:,} of {goal:,} today" + (f": {_who(queue)}" if queue.today else ""))


def _who(queue: Queue) -> str:
    return ", ".join(f"{name} {today}" for name, (today, _) in queue.people.items() if today)


@st.fragment
def _work(now: View, mode: str) -> None:
    """One item and its form; a fragment, so that the next item comes without drawing the page again."""
    if (said := st.session_state.pop(SAID, None)) is not None:
        (st.success if said[0] else st.error)(said[1])
    who = quality_asked.actor(now)
    kept = st.session_state.get(ITEM)
    if kept is None or kept["for"] != (mode, who):
        kept = _fetch(now, mode, who)
        if kept is None:
            return
    item = kept["answer"]["item"]
    if item is None:
        st.session_state[ITEM] = None  # asked again the next time: somebody may have drawn more by then
        _nothing(now, mode, who, kept["answer"])
        return
    _shown(item, kept["answer"], mode)
    if mode == "decide" and kept["answer"]["mine"]:
        st.caption("You gave one of the two labels: a third person decides, or the policy's owner where there is none.")
    _form(now, mode, who, item, kept["subjects"])


def _again() -> None:
    """Draw the fragment again; the whole page where the press was not the fragment's own run."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:
        st.rerun()


def _fetch(now: View, mode: str, who: str) -> dict[str, Any] | None:
    asked = {"skip": _skipped(mode, who)}
    reply = control.ask(
        now.config, now.person.role, "quality_take" if mode == "label" else "quality_disputes", asked, who
    )
    if reply.answer is None:
        st.error(reply.text)
        return None
    found = {"for": (mode, who), "answer": dict(reply.answer), "subjects": list(reply.answer["subjects"])}
    st.session_state[ITEM] = found
    return found


def _skipped(mode: str, who: str) -> list[str]:
    """What this person skipped in this session, newest last; another person skips for themselves."""
    kept: dict[tuple[str, str], list[str]] = st.session_state.setdefault(SKIPPED, {})
    return kept.setdefault((mode, who), [])


def _shown(item: Mapping[str, Any], answer: Mapping[str, Any], mode: str) -> None:
    left = f"{answer['waiting']:,} with you" if mode == "label" else f"{answer['open']:,} to decide"
    done = int(st.session_state.get(DONE, 0))
    right = ui.chip(f"{left}, {done:,} done now", QUIET)
    named = "".join(
        f'<span class="cp-source">{escape(name)}</span>' for name in quality_html.pages(item.get("sources"))
    )
    marks = (
        f'<span class="cp-small">Sources</span>{named}' if named else '<span class="cp-small">no source named</span>'
    )
    marks += (
        f'<span class="cp-small">Service: {escape(intent(str(item["workflow"])))}</span>'
        if item.get("workflow")
        else ""
    )
    marks += ui.chip("Handed over to a person", QUIET) if item.get("escalated") else ""
    with st.container(border=True):
        opinions = "".join(quality_html.judgement(one) for one in item.get("opinions", ()))
        st.html(
            f"{ui.head('One answer', right)}{quality_html.bubble('Customer', item.get('question'))}"
            f'{quality_html.bubble("Assistant", item.get("answer"), "cp-answer")}<div class="cp-marks">{marks}</div>{opinions}'
        )


def _form(now: View, mode: str, who: str, item: Mapping[str, Any], subjects: list[str]) -> None:
    """The keys 1, 2 and 3 give the label and bring the next answer; what else is said is optional."""
    key = str(item["item_id"])
    with st.form(f"label_{mode}_{key}", enter_to_submit=False):
        first, second, third = st.columns((5, 3, 2))
        wanted = first.selectbox(
            "What did the customer want?", subjects, index=None, format_func=intent,
            placeholder="type to find it, or leave it open", key=f"wanted_{mode}_{key}",
        )  # fmt: skip
        borne = second.segmented_control(
            "Do the sources bear it out?", list(GROUNDED), format_func=str.capitalize, key=f"borne_{mode}_{key}"
        )
        severity = third.selectbox(
            "If unsafe: how bad?", (1, 2, 3, 4, 5), index=None, placeholder="1 to 5", key=f"bad_{mode}_{key}"
        )
        note = st.text_input("Why (optional, goes into the audit log)", key=f"note_{mode}_{key}", max_chars=2000)
        pressed = None
        buttons = st.container(horizontal=True)
        for label, (name, letter) in LABELS.items():
            if buttons.form_submit_button(name, shortcut=letter, key=f"say_{label}_{mode}_{key}"):
                pressed = label
    st.caption(EXPLAINED)
    if st.button("Skip for now", shortcut="S", type="tertiary", key=f"skip_{mode}_{key}"):
        _skipped(mode, who).append(key)
        st.session_state[ITEM] = None
        _again()
    if pressed is not None:
        said = {
            "item_id": key,
            "label": pressed,
            "intent": wanted,
            "grounded": GROUNDED.get(str(borne)),
            "severity": severity,
            "note": note or "",
        }
        _submit(now, mode, who, said, subjects)


def _submit(now: View, mode: str, who: str, said: dict[str, Any], subjects: list[str]) -> None:
    asked = said | {"skip": _skipped(mode, who)}
    reply = control.ask(
        now.config, now.person.role, "quality_submit" if mode == "label" else "quality_adjudicate", asked, who
    )
    if reply.answer is None:
        st.session_state[SAID] = (False, reply.text)
        if (
            reply.text != control.SILENT
        ):  # refused: settled meanwhile in another tab, perhaps; what is next, the control process knows
            st.session_state[ITEM] = None
    else:
        st.session_state[DONE] = int(st.session_state.get(DONE, 0)) + 1
        st.session_state[SAID] = (True, outcome(said["label"], reply.answer))
        st.session_state[ITEM] = {"for": (mode, who), "answer": dict(reply.answer), "subjects": subjects}
    _again()


def outcome(label: str, answer: Mapping[str, Any]) -> str:
    """What became of a label."""
    then = {
        "half": "A second person labels it too.",
        "disagreed": "The other person sees it differently: somebody else decides.",
        "adjudicated": "Decided.",
    }.get(str(answer["status"]), "Settled.")
    back = (
        f" {count(int(answer['evaluations']), 'evaluation')} went back to the facts." if answer["evaluations"] else ""
    )
    return f"{LABELS[label][0]}, recorded. {then}{back}"


def _nothing(now: View, mode: str, who: str, answer: Mapping[str, Any]) -> None:
    if mode == "decide":
        left = int(answer["open"])
        ui.empty(
            "Nothing is left for you." if left else "Nothing to decide.",
            f"You skipped {count(left, 'open dispute')}."
            if left
            else "Wherever two people labelled an answer, they saw the same.",
        )
    else:
        reason = str(answer.get("reason", ""))
        ui.empty("Nothing is left for you.", f"{reason[:1].upper()}{reason[1:]}.")
    if _skipped(mode, who) and st.button("Show the skipped ones again", key="quality_again"):
        _skipped(mode, who).clear()
        _again()
    if mode == "decide":
        return
    with st.form("quality_draw"):
        many = st.number_input("Answers that people can read a day", 1, 10_000, 50, key="quality_many")
        pressed = st.form_submit_button("Draw answers from the newest ones", key="quality_draw_now")
    if pressed:
        reply = control.ask(
            now.config, now.person.role, "quality_draw", {"per_day": float(many)}, quality_asked.actor(now)
        )
        drawn = reply.answer
        st.session_state[SAID] = (
            reply.done,
            f"{drawn['drawn']} of {drawn['frame']} answers drawn." if drawn else reply.text,
        )
        st.session_state[ITEM] = None
        _again()
