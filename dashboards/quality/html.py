"""Cards, rows and examples of the Quality page as HTML. Texts are escaped here; nothing is read or decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from dashboards import ui
from dashboards.answers import BAD, GOOD, QUIET, WAIT
from dashboards.quality.values import Category, Confusion, Share
from dashboards.quality.words import category, confusion, ends, intent, part, reached, stands_for

LONGEST = 700  # characters of an answer that are shown


def card(title: str, chip: str, value: str, strip: str, notes: Sequence[str]) -> str:
    """A number: its title and verdict, the value, its interval on a strip, and what it rests on."""
    small = "<br>".join(escape(note) or "&nbsp;" for note in notes)
    shown = f'<div class="cp-head"><span class="cp-value">{escape(value)}</span>{chip}</div>'
    return f'<div class="cp-quality-card"><div class="cp-title">{escape(title)}</div>{shown}{strip}<div class="cp-small">{small}</div></div>'


def strip(found: Share | None, reach: float, limit: float | None = None, name: str = "", plain: bool = False) -> str:
    """The interval of a share on a line from 0 to `reach`; `limit` is a dashed mark, and what lies beyond it is red unless `plain`."""
    if found is None:
        return '<div class="cp-ivl cp-ivl-none" role="img" aria-label="no interval"></div><div class="cp-ivl-ends">&nbsp;</div>'
    scale = 100.0 / (reach or 1.0)
    low, mid, high = (min(scale * value, 100.0) for value in (found.low, found.value, found.high))
    tone = "bad" if limit is not None and found.low > limit and not plain else "ink"
    parts = [f'<i class="cp-ivl-bar cp-ivl-{tone}" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>']
    if limit is not None:
        parts.append(f'<i class="cp-ivl-mark" style="left:{min(scale * limit, 100.0):.1f}%"></i>')
    parts.append(f'<i class="cp-ivl-dot cp-ivl-{tone}" style="left:{mid:.1f}%"></i>')
    said = escape(f"{name}: {part(found.value)}, 95 % interval {ends(found)}")
    return (
        f'<div class="cp-ivl" role="img" aria-label="{said}">{"".join(parts)}</div>'
        f'<div class="cp-ivl-ends"><span>0</span><span>{part(reach)}</span></div>'
    )


def conversation(conversation_id: str, words: str = "") -> str:
    """A link to the page of one conversation."""
    return f'<a class="cp-link" href="conversation?id={quote(conversation_id, safe="")}" target="_self">{escape(words or conversation_id)}</a>'


def category_row(one: Category) -> tuple[str, ...]:
    """A row of the table of categories."""
    words, tone = reached(one)
    bound = "\u2013" if one.at_most is None or one.seen == 0 else part(one.at_most)
    found = f"{one.at_once:,} of {one.named:,}" if one.named else "\u2013"
    return (
        escape(category(one.name)) if one.name != "mandatory" else "<b>All four together</b>",
        f"{one.seen:,}",
        f"{one.seen - one.nobody:,}",
        bound,
        found,
        ui.chip(words[:1].upper() + words[1:], tone),
    )


def confusion_row(one: Confusion, reach: float) -> tuple[str, str, str]:
    """What was mixed up, how often, and on how many labels that rests."""
    line = f'<div class="cp-quality-line">{strip(one.share, reach, None, confusion(one))}</div>'
    return (
        f"Meant <b>{escape(intent(one.truth))}</b>, taken for <b>{escape(intent(one.predicted))}</b>",
        f"{line}<span class='cp-small'>{part(one.share.value)} of all ({ends(one.share)})</span>",
        escape(stands_for(one.share)),
    )


def recognised_row(truth: str, found: Share, other: str) -> tuple[str, ...]:
    """An intent, the share of its messages that were recognised, and what it is most often taken for."""
    few = ui.chip("Few labels", QUIET) if not found.enough else ""
    return (
        f"{escape(intent(truth))} {few}",
        part(found.value),
        ends(found),
        f"{found.n:,}",
        escape(intent(other)) if other else "\u2013",
    )


def example(row: Mapping[str, Any], verdict: str, at: str) -> str:
    """One answer with what the customer asked, the pages it names, and what the judge said."""
    good = verdict == "grounded"
    chip = ui.chip("Backed by its sources", GOOD) if good else ui.chip("Not backed by its sources", BAD)
    score = "" if row["score"] is None else f"support {float(row['score']):.2f} of 1, "
    edge = "good" if good else "bad"
    return (
        f"{bubble('Customer', row['question'])}{bubble('Assistant', row['answer'], f'cp-answer cp-edge-{edge}')}"
        f'<div class="cp-marks">{chip}{_sources(row["sources"])}</div>'
        f'<div class="cp-small">{escape(score)}judged by {escape(judge(str(row["by"] or "")))}, release {escape(str(row["release"] or "unknown"))}, '
        f"{escape(at)}, {conversation(str(row['conversation_id']), 'the whole conversation')}</div>"
    )


def bubble(who: str, text: object, kind: str = "") -> str:
    """What somebody said."""
    said = str(text or "(no text is stored)")
    cut = f"{said[:LONGEST]}\u2026" if len(said) > LONGEST else said
    return f'<div class="cp-bubble {kind}"><span>{escape(who)}</span><p>{escape(cut)}</p></div>'


def judge(evaluator: str) -> str:
    """`human:rita` -> `rita`, `detector:groundedness-2:2d1a` -> `the detector`."""
    kind, _, name = evaluator.partition(":")
    if kind == "human" and name:
        return name
    return {"detector": "the detector", "judge": "the language-model judge"}.get(kind, evaluator or "nobody known")


def judgement(one: Mapping[str, Any]) -> str:
    """What one of two people said of an answer."""
    said = [str(one["label"]).capitalize()]
    said += [f"wanted: {intent(str(one['intent']))}"] if one["intent"] else []
    said += (
        ["backed by its sources" if one["grounded"] else "not backed by its sources"]
        if one["grounded"] is not None
        else []
    )
    said += [f"severity {one['severity']}"] if one["severity"] else []
    note = f"<p>{escape(str(one['note']))}</p>" if one["note"] else ""
    tone = {"correct": GOOD, "incorrect": WAIT, "unsafe": BAD}.get(str(one["label"]), QUIET)
    words = f'<div class="cp-marks">{ui.chip(said[0], tone)}<span>{escape(", ".join(said[1:]))}</span></div>'
    return f'<div class="cp-bubble"><span>{escape(str(one["reviewer"]))}</span>{words}{note}</div>'


def _sources(text: object) -> str:
    names = pages(text)
    if not names:
        return '<span class="cp-small">no source named</span>'
    return '<span class="cp-small">Sources</span>' + "".join(
        f'<span class="cp-source">{escape(name)}</span>' for name in names
    )


def pages(text: object) -> tuple[str, ...]:
    """The names of the pages that an answer rests on, as the log has them."""
    try:
        found = json.loads(str(text)) if text else []
    except ValueError:
        return (str(text),)
    if not isinstance(found, list):
        return (str(found),)
    return tuple(str(one.get("id", one)) if isinstance(one, dict) else str(one) for one in found)


def moment(value: object) -> datetime:
    """A time of the control process's answer."""
    return datetime.fromisoformat(str(value))
