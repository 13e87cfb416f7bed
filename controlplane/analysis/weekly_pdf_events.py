"""Blocks of the weekly review for print about what happened: topics, incidents, drift, money, decisions, owners. Pure."""

from __future__ import annotations

from typing import Any

from controlplane.analysis.weekly_html_events import MOMENTS, OWNERS
from controlplane.analysis.weekly_html_parts import Plain, mapping, rows_of
from controlplane.analysis.weekly_pdf_svg import for_print
from controlplane.analysis.weekly_svg import timeline
from controlplane.core.weekly_drift import TITLES, broken_columns, reference_words
from controlplane.core.weekly_format import count_text, duration, known, number, percent, range_text, value_text

Block = dict[str, Any]
MOST_TOPICS, MOST_DECISIONS = 8, 20


def moment(value: object) -> str:
    """An ISO-8601 time to the minute."""
    return str(value)[:16].replace("T", " ") if value else "\u2013"


def topics(document: Plain) -> list[Block]:
    """What customers asked and the assistant could not settle."""
    found = mapping(document.get("topics"))
    rows = []
    for row in rows_of(found.get("topics"))[:MOST_TOPICS]:
        change = "new" if row.get("new") else str(row.get("change") or "")
        shown = change if change in ("new", "grown", "shrunk") else ""
        rows.append([str(row.get("label")), count_text(row.get("n")), percent(row.get("share")), shown])
    intents = [
        [str(row.get("name")).replace("_", " "), count_text(row.get("n")), percent(row.get("share"))]
        for row in rows_of(found.get("intents"))[:MOST_TOPICS]
    ]
    blocks: list[Block] = [_section("What customers ask")]
    if rows:
        blocks.append(_table(["topic that stayed open", "questions", "share", ""], rows, [1, 2], "1fr auto auto auto"))
    if intents:
        blocks.append(
            _table(["intent, as the classifier read it", "conversations", "share"], intents, [1, 2], "1fr auto auto")
        )
    return blocks if rows or intents else []


def incidents(document: Plain) -> list[Block]:
    """Each incident with its line of times."""
    blocks: list[Block] = [_section("Incidents", "Time since the moment before; UTC.")]
    for item in rows_of(document.get("incidents")):
        exposed = item.get("customers_exposed")
        harm = f"{count_text(exposed)} customers exposed" if known(exposed) else "customers exposed: unknown"
        picture = timeline([(name, item.get(f"{name}_at")) for name in MOMENTS])
        words = f"{item.get('severity')}, release {item.get('release')}, {harm}, {item.get('state')}"
        title = f"{item.get('title')}"
        blocks.append(
            {"kind": "picture", "title": title, "note": words, "svg": for_print(picture), "words": words, "width": 150}
        )
    return blocks if len(blocks) > 1 else [_section("Incidents"), {"kind": "text", "text": "No incident this week."}]


def drift(document: Plain) -> list[Block]:
    """Columns that moved or broke."""
    found = mapping(document.get("drift"))
    if not found:
        return []
    columns, broken = mapping(found.get("columns")), broken_columns(found)
    names = [*broken, *sorted(name for name, item in columns.items() if item.get("drifted") and name not in broken)]
    rows = []
    for name in names:
        item = mapping(columns.get(name))
        title, unit = TITLES.get(name, (name, ""))
        means = [
            value_text(item[key], unit) if known(item.get(key)) else "\u2013"
            for key in ("reference_mean", "current_mean")
        ]
        score, limit = item.get("score"), item.get("threshold")
        judged = f"{number(score, 2)} of {number(limit, 2)}" if known(score) and known(limit) else "\u2013"
        rows.append([title, *means, judged, "broken" if name in broken else "drifted"])
    note = f"Against {reference_words(found)}; {len(columns)} columns were looked at."
    if not rows:
        return [_section("Drift", note), {"kind": "text", "text": "No column drifted."}]
    return [
        _section("Drift", note),
        _table(["column", "before", "now", "score", ""], rows, [1, 2, 3], "1fr auto auto auto auto"),
    ]


def money(document: Plain) -> list[Block]:
    """The trade-off and the cost."""
    tradeoff, cost = mapping(document.get("tradeoff")), mapping(document.get("cost"))
    pairs = []
    if tradeoff.get("verdict"):
        reason = str(tradeoff.get("reason") or "").rstrip(".")
        pairs.append(["trade-off", f"{str(tradeoff['verdict']).capitalize()}: {reason}."])
    else:
        pairs.append(["trade-off", "none is recorded"])
    if cost:
        told = mapping(cost.get("forecast"))
        ends = f" ({range_text(told.get('low'), told.get('high'), 'USD')})" if known(told.get("low")) else ""
        shown = f"{value_text(told.get('value'), 'USD')}{ends}" if known(told.get("value")) else str(cost.get("reason"))
        budget = cost.get("budget")
        pairs += [
            ["model cost of the week", value_text(cost.get("spent"), "USD")],
            ["month so far", value_text(cost.get("month_so_far"), "USD")],
            [f"forecast of {cost.get('month')}", shown],
            ["budget of the month", value_text(budget, "USD") if known(budget) and budget else "none was set"],
        ]
    return [_section("Trade-off and cost"), {"kind": "facts", "pairs": pairs}]


def decisions(document: Plain) -> list[Block]:
    """Who decided what and why."""
    found = rows_of(document.get("decisions"))
    rows = [
        [
            moment(item.get("at")),
            str(item.get("actor")),
            str(item.get("event")).replace("_", " "),
            str(item.get("reason") or ""),
        ]
        for item in found[-MOST_DECISIONS:]
    ]
    if not rows:
        return []
    note = (
        f"The newest {MOST_DECISIONS} of {len(found)}; the page has all of them." if len(found) > MOST_DECISIONS else ""
    )
    return [_section("Decisions", note), _table(["when (UTC)", "who", "what", "why"], rows, [], "auto auto auto 1fr")]


def owners(document: Plain) -> list[Block]:
    """Who answers for what, and the delivery figures of releases."""
    told, found = mapping(document.get("owners")), mapping(document.get("exposure"))
    pairs = [[name, str(told.get(key) or "nobody is named")] for key, name in OWNERS]
    pairs.append(["signs reviews", ", ".join(told.get("programme") or ()) or "any person"])
    if found:
        rate = found.get("change_fail_rate")
        failed = f"{count_text(found.get('failed'))} of {count_text(found.get('releases'))} changes"
        harm = found.get("customers_exposed")
        pairs += [
            [
                "change-fail rate",
                f"{percent(rate) if known(rate) else 'unknown'} ({failed}, last {found.get('days')} days)",
            ],
            ["time to detect", f"{duration(found.get('time_to_detect_s'))} (median, from the likely onset)"],
            ["time to contain", f"{duration(found.get('time_to_contain_s'))} (median, from detection to verified)"],
            [
                "customers exposed",
                f"{count_text(harm)} in {count_text(found.get('incidents'))} incidents" if known(harm) else "unknown",
            ],
        ]
    return [_section("Who answers for what, and how releases go"), {"kind": "facts", "pairs": pairs}]


def _section(title: str, note: str = "") -> Block:
    return {"kind": "section", "title": title, "note": note}


def _table(heads: list[str], rows: list[Any], numbers: list[int], widths: str) -> Block:
    return {"kind": "table", "heads": heads, "rows": rows, "numbers": numbers, "widths": widths.split()}
