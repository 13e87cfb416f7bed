"""What customers ask that the assistant does not deal with: topics by customers affected, what is new, examples; found anew on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from controlplane.core.roles import Permission
from dashboards import tasks, ui
from dashboards.answers import BAD, QUIET, WAIT
from dashboards.quality import asked as quality_asked
from dashboards.quality import data as data_quality
from dashboards.quality.words import count
from dashboards.shell import View
from dashboards.tasks import lacking
from dashboards.words import count_text

TOP = 8
FLAGS = {
    "escalated": "handed over",
    "unresolved": "unresolved",
    "out_of_scope": "out of scope",
    "low_confidence": "unsure",
    "refused": "no answer found",
}
CHANGES = {"new": ("New", BAD), "grown": ("Grown", WAIT)}


def show(now: View) -> None:
    """The view."""
    found = data_quality.topics(*now.at)
    if found is None:
        ui.section("Open questions", "Questions that the assistant did not deal with, grouped by what they are about.")
        ui.empty(
            "Nobody has looked for topics yet.",
            "The control process looks every Monday, or now: press the button, or run `controlplane topics`.",
        )
    else:
        _topics(found.summary, _examples(now, found.artefact_id))
    if quality_asked.silent(now):
        return
    tasks.failed("topics")
    done = tasks.button(
        now, "topics", "Look for topics now", "quality_topics", {}, Permission.QUERY, quality_asked.actor(now)
    )
    if done is not None:
        st.success(
            f"{count(int(done['clusters']), 'topic')} in {count(int(done['questions']), 'open question')}; they show with the next snapshot."
        )


def _examples(now: View, artefact_id: str) -> Mapping[str, Sequence[str]]:
    """What customers said, by topic; {} for who may not read it, and where nobody can be asked."""
    if not now.config.may_act or not now.person.may(Permission.QUERY):
        return {}
    answer = quality_asked.once(now, "quality_examples", {"artefact_id": artefact_id}).answer
    return answer["examples"] if answer else {}


def _topics(summary: Mapping[str, Any], examples: Mapping[str, Sequence[str]]) -> None:
    since, until = (str(summary[name])[:16].replace("T", " ") for name in ("since", "until"))
    compared = bool(summary["before_asked"])
    before = "Before: the same length of time before." if compared else "There is no earlier time to compare with."
    ui.section(
        "Open questions",
        f"{summary['questions']:,} of {summary['asked']:,} conversations with the assistant, {since} to {until} UTC: handed over"
        f" without need, unresolved, out of scope, unsure or without an answer. {before}",
    )
    found = list(summary["topics"])
    if not found:
        ui.empty("No topic.", str(summary.get("reason") or "The open questions have nothing in common.").capitalize())
        return
    _table(found[:TOP], compared, examples)
    if len(found) > TOP:
        with st.expander(f"{len(found) - TOP} smaller topics"):
            _table(found[TOP:], compared, examples)
    if not examples:
        st.caption(
            f"Examples in the customers' own words are not in what everybody may read. {lacking(Permission.QUERY)}"
        )
    if summary["unclustered"]:
        st.caption(f"{count(int(summary['unclustered']), 'further open question')} of no topic.")


def _table(topics: Sequence[Mapping[str, Any]], compared: bool, examples: Mapping[str, Sequence[str]]) -> None:
    head = ("What customers ask", "Customers", "Questions", "Why it is open", "Before", "Change")
    shown = len(head) if compared else 4
    ui.table(
        head[:shown],
        [_row(topic, examples.get(str(topic["topic_id"]), ()))[:shown] for topic in topics],
        numeric=(1, 2, 4),
    )


def _row(topic: Mapping[str, Any], said: Sequence[str]) -> tuple[str, ...]:
    examples = "".join(f"<div class='cp-quote'>\u201c{escape(str(text))}\u201d</div>" for text in list(said)[:2])
    words, tone = CHANGES.get(str(topic["change"]), (str(topic["change"] or "unknown").capitalize(), QUIET))
    why = sorted(
        ((n, FLAGS[name]) for name, n in ((name, int(topic.get(name) or 0)) for name in FLAGS) if n), reverse=True
    )
    return (
        f"<b>{escape(', '.join(str(term) for term in topic['terms'][:4]))}</b>{examples}",
        count_text(int(topic["customers"])),
        count_text(int(topic["n"])),
        escape(", ".join(f"{name} {n}" for n, name in why[:2])) or "\u2013",
        count_text(int(topic["before_n"])),
        ui.chip(words, tone),
    )
