"""A weekly review as blocks for print: titles, sentences, measures, tables, facts, pictures, lines to sign. Plain values, no markup. Pure.

A block is a mapping with `kind`: section (title, note), text, list (items), measures (rows), table (heads, rows, numbers, widths), facts (pairs),
picture (svg, words, width), pair (pictures), sign (rows), small. A cell is a text, or [text, small text].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.analysis import weekly_pdf_events as events
from controlplane.analysis.weekly_html_parts import Plain, mapping, rows_of
from controlplane.analysis.weekly_pdf_svg import for_print
from controlplane.analysis.weekly_svg import TONES, funnel, interval_bar
from controlplane.core.weekly_format import (
    count_text,
    day,
    interval_text,
    known,
    percent,
    range_text,
    signed_text,
    value_text,
)
from controlplane.core.weekly_success import difference_unit, maturity_of
from controlplane.core.weekly_words import partial

Block = dict[str, Any]
LONG = 20  # letters of a unit that is too long to stand behind every number
GROW_TONES = {"yes": "good", "no": "bad"}
GATE_TONES = {"PASS": "good", "FAIL": "bad", "ERROR": "bad"}
NAMES = {"not back within the contact window": "not back", "known to be resolved": "resolved"}
"""Short names of the funnel's steps: the picture has little room."""


def build(
    document: Plain, said: Plain, signatures: Sequence[Plain], document_hash: str, corrected_by: str
) -> dict[str, Any]:
    """Everything that the template sets: title, head, answer, blocks."""
    grow = mapping(document.get("may_grow"))
    return {
        "title": f"Weekly review {document.get('week')}",
        "id": str(document.get("review_id")),
        "about": _about(document),
        "pinned": f"pinned {events.moment(mapping(document.get('pin')).get('pinned_at'))} UTC",
        "headline": str(said.get("headline") or ""),
        "answer": str(said.get("answer") or ""),
        "tone": GROW_TONES.get(str(grow.get("answer") or "").lower(), "wait"),
        "corrected": f"Corrected by {corrected_by}: read that version; this one is kept as it was pinned."
        if corrected_by
        else "",
        "hash": document_hash,
        "blocks": [
            *_measures(document, said),
            *_changes(said),
            *_gate(grow),
            *_figures(document),
            *_funnels(document),
            *events.topics(document),
            *events.incidents(document),
            *events.drift(document),
            *events.money(document),
            *events.decisions(document),
            *events.owners(document),
            *_limits(said),
            *_sign(document, signatures, document_hash),
            *_check(document, document_hash),
        ],
    }


def section(title: str, note: str = "") -> Block:
    """A heading with a line below it."""
    return {"kind": "section", "title": title, "note": note}


def _about(document: Plain) -> str:
    span = f"{day(document.get('since'))} to {day(document.get('until'))}, midnight UTC"
    if partial(document):
        span = f"from {day(document.get('since'))}; the week has not ended"
    rollout = mapping(document.get("rollout"))
    if not rollout.get("release"):
        return f"{span}. No release was rolled out"
    share = f" at {percent(rollout['share'], 0)}" if known(rollout.get("share")) else ""
    return f"{span}. Release {rollout['release']}, {rollout.get('phase')}{share}, {str(rollout.get('state')).lower().replace('_', ' ')}"


def _measures(document: Plain, said: Plain) -> list[Block]:
    lines = {line.get("measure"): line for line in rows_of(said.get("success"))}
    rows = [_measure(item, mapping(lines.get(item.get("measure")))) for item in rows_of(document.get("success"))]
    if not rows:
        return [section("The five success measures"), {"kind": "text", "text": "No success measure was looked at."}]
    note = "Assistant minus menu, on the same customers at the same time. The tinted side is the better one, the dashed line the tolerated margin."
    return [section("The five success measures", note), {"kind": "measures", "rows": rows}]


def _measure(item: Plain, line: Plain) -> Block:
    movement = str(line.get("movement") or item.get("movement"))
    unit, gap, found = str(item["unit"]), difference_unit(item), mapping(item.get("difference"))
    long = "" if len(unit) < LONG else unit
    unit, gap = ("", "") if long else (unit, gap)
    arms = [mapping(item.get(arm)) for arm in ("assistant", "menu")]
    tone = TONES.get(movement, "none")
    picture = interval_bar(found, gap, str(item.get("direction")), tone, margin=item.get("margin"), width=190)
    mature = maturity_of(*arms)
    return {
        "title": str(item.get("title")),
        "unit": long,
        "verdict": movement,
        "tone": tone,
        "arms": [
            [name, value_text(arm.get("value"), unit), f"n {count_text(arm.get('n'))}" if arm.get("n") else ""]
            for name, arm in zip(("assistant", "menu"), arms, strict=True)
        ],
        "difference": signed_text(found.get("value"), gap) if known(found.get("value")) else "unknown",
        "interval": interval_text(found.get("low"), found.get("high"), gap)
        if known(found.get("low"))
        else "no interval",
        "svg": for_print(picture),
        "mature": "no labels to wait for" if mature is None else f"{percent(mature, 0)} of the labels are final",
        "sentence": str(line.get("sentence") or item.get("reason") or ""),
    }


def _changes(said: Plain) -> list[Block]:
    items = [
        [str(item.get("kind")), str(item.get("sentence")), str(item.get("verdict") or "")]
        for item in rows_of(said.get("changes"))
    ]
    if not items:
        nothing = "Nothing moved beyond what chance explains: no drift, no new topic, no incident."
        return [section("What changed"), {"kind": "text", "text": nothing}]
    blocks: list[Block] = [section("What changed", str(said.get("rule") or "")), {"kind": "list", "items": items}]
    if said.get("left_out"):
        blocks.append({"kind": "small", "text": f"{said['left_out']} more in the sections below."})
    return blocks


def _gate(grow: Plain) -> list[Block]:
    rows = [
        [
            {
                "text": str(line.get("verdict")).replace("_", " ").lower(),
                "tone": GATE_TONES.get(str(line.get("verdict")), "wait"),
            },
            str(line.get("name")),
            str(line.get("have")),
            str(line.get("need")),
        ]
        for line in rows_of(grow.get("lines"))
    ]
    if not rows:
        return []
    heads = ["verdict", "condition", "has", "needs"]
    return [section("What the gate asks before the next step"), _table(heads, rows, [], "auto auto 1fr auto")]


def _figures(document: Plain) -> list[Block]:
    rows = []
    for item in rows_of(document.get("figures")):
        unit, menu, found = str(item["unit"]), item.get("baseline"), mapping(item.get("difference"))
        mature = maturity_of(mapping(item.get("assistant")), menu)
        rows.append(
            [
                [str(item.get("title")), unit],
                _estimate(mapping(item.get("assistant")), unit),
                "not compared" if menu is None else _estimate(mapping(menu), unit),
                [signed_text(found["value"], unit), interval_text(found.get("low"), found.get("high"), unit)]
                if known(found.get("value"))
                else "\u2013",
                "\u2013" if mature is None else percent(mature, 0),
            ]
        )
    if not rows:
        return []
    note = (
        "Intervals below each value. The difference is taken within stages of the rollout, so it is not the difference of the two values."
        " Final: the share of the labels that can no longer change."
    )
    heads = ["figure", "assistant", "menu", "difference", "final"]
    return [section("The figures", note), _table(heads, rows, [1, 2, 3, 4], "1.3fr 1fr 1fr 1.2fr auto")]


def _estimate(found: Plain, unit: str) -> Any:
    if not known(found.get("value")):
        return "unknown"
    small = range_text(found.get("low"), found.get("high"), unit) if known(found.get("low")) else ""
    count = f"n {count_text(found.get('n'))}" if found.get("n") else ""
    return [value_text(found["value"], unit), ", ".join(filter(None, [small, count]))]


def _funnels(document: Plain) -> list[Block]:
    found = mapping(document.get("funnel"))
    pictures: list[Block] = []
    for key, name in (("assistant", "Assistant"), ("baseline", "Menu")):
        steps = rows_of(found.get(key))
        if steps:
            words = "; ".join(f"{step.get('name')} {count_text(step.get('n'))}" for step in steps)
            named = [{**step, "name": NAMES.get(str(step.get("name")), step.get("name"))} for step in steps]
            pictures.append(
                {"kind": "picture", "title": name, "svg": for_print(funnel(named)), "words": words, "width": 82}
            )
    note = f"Each step with its share of {found.get('share_of') or 'the step before'}; outcomes as known at the pin."
    note += " Not back: within the contact window, of those whose window is over."
    return [section("From question to resolution", note), {"kind": "pair", "pictures": pictures}] if pictures else []


def _limits(said: Plain) -> list[Block]:
    notes = [["", str(note), ""] for note in said.get("notes") or ()]
    return [section("What this review cannot tell"), {"kind": "list", "items": notes}] if notes else []


def _sign(document: Plain, signed: Sequence[Plain], document_hash: str) -> list[Block]:
    rows = [
        [
            str(item.get("actor")),
            "objects" if item.get("verdict") == "object" else "agrees",
            f"{events.moment(item.get('at'))} UTC",
            str(item.get("note") or ""),
            "signed other content" if document_hash and item.get("document_hash") != document_hash else "",
        ]
        for item in signed
    ]
    names = mapping(document.get("owners")).get("programme") or ()
    waiting = [str(name) for name in names if name not in {row[0] for row in rows}]
    lines = waiting or ([] if rows else ["", ""])
    note = "A signature says that its signer has read this version; it changes nothing in it."
    return [section("Sign-off", note), {"kind": "sign", "rows": rows, "lines": lines}]


def _check(document: Plain, document_hash: str) -> list[Block]:
    pin, policy, name = mapping(document.get("pin")), mapping(document.get("policy")), document.get("review_id")
    pairs = [
        ["newest batch of facts", str(pin.get("last_batch"))],
        ["audit log", f"row {pin.get('audit_seq')}, {str(pin.get('audit_head'))[:24]}"],
        ["evidence ledger", f"row {pin.get('ledger_seq')}, {str(pin.get('ledger_head'))[:24]}"],
        ["policy", f"{policy.get('name')}, {str(policy.get('hash'))[:24]}"],
        ["program", str(document.get("program_version"))],
        *([["document (sha256)", document_hash]] if document_hash else []),
    ]
    command = f"controlplane review verify {name} makes it again from the facts and compares; the page of this review names every query."
    return [section("How to check it"), {"kind": "facts", "pairs": pairs}, {"kind": "small", "text": command}]


def _table(heads: Sequence[str], rows: Sequence[Any], numbers: Sequence[int], widths: str) -> Block:
    return {
        "kind": "table",
        "heads": list(heads),
        "rows": list(rows),
        "numbers": list(numbers),
        "widths": widths.split(),
    }
