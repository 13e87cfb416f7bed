"""Every number on Review equals `controlplane sql` for the same window: counted again from the facts, by queries that know no rollup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.estimates import Sums, wilson
from controlplane.core.metrics import METRICS
from controlplane.settings import load
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.state import StateReader
from dashboards import measures
from dashboards.words import count_text, difference_text, percent, value_text
from jobs.sql_command import run_sql
from tests.dashboards.pages import open_page, text

MINUTES = {  # until a label is final, as the demo's policy says; where it says nothing, the catalogue
    "csat": 15,
    "escalation_rate": 10,
    "contact_rate": 60,
    "misclassification_rate": 10,
    "hallucination_rate": 2,
    "misrouting_rate": 7,
}
RESOLVED = "c.resolved AND c.escalated_at IS NULL"
SECONDS = f"CASE WHEN {RESOLVED} AND c.resolved_at IS NOT NULL THEN date_diff('millisecond', c.started_at, c.resolved_at) / 1000.0 END"
COUNTED = {  # units and their values, as the catalogue defines them
    "csat": ("c.csat", "c.csat"),
    "escalation_rate": ("TRUE", "CAST(c.escalated_at IS NOT NULL AS INTEGER)"),
    "contact_rate": ("TRUE", "CAST(coalesce(c.returned_at <= c.started_at + INTERVAL 72 HOUR, FALSE) AS INTEGER)"),
    "resolution_rate": ("c.resolved", f"CAST({RESOLVED} AS INTEGER)"),
    "csat_response_rate": ("TRUE", "CAST(c.csat IS NOT NULL AS INTEGER)"),
    "resolution_time": (SECONDS, SECONDS),
}
JUDGED = ("misclassification_rate", "misrouting_rate", "hallucination_rate")


@dataclass(frozen=True)
class Asked:
    """A workspace as the page shows it: its time, the spans of one share in the window, the window."""

    home: Path
    now: datetime
    since: datetime
    until: datetime
    spans: tuple[tuple[datetime, datetime], ...]

    def sql(self, query: str) -> list[list[Any]]:
        return run_sql(str(self.home), query)[1]

    def sums(self, name: str) -> tuple[list[tuple[Sums, Sums]], int, int]:
        """(treated, control) of every span, and how many of the assistant's units are final, of how many; all where none is final."""
        final = self.now - timedelta(minutes=MINUTES.get(name, METRICS[name].maturity / timedelta(minutes=1)))
        old, every = self._counted(name, final), self._counted(name, self.now)
        mature, whole = (int(sum(t.n for t, _ in found)) for found in (old, every))
        return (old if mature else every), mature, whole

    def _counted(self, name: str, final: datetime) -> list[tuple[Sums, Sums]]:
        values = ", ".join(f"({i}, {stamp(a)}, {stamp(min(b, final))})" for i, (a, b) in enumerate(self.spans))
        head = f"WITH spans(span, since, until) AS (VALUES {values})"
        arms: dict[tuple[int, str], Sums] = {}
        for span, arm, n, total, squares in self.sql(f"{head} {judged(name) if name in JUDGED else told(name)}"):
            arms[span, arm] = Sums(n, float(total), float(squares))
        return [(arms.get((i, "assistant"), Sums()), arms.get((i, "baseline"), Sums())) for i in range(len(self.spans))]


def told(name: str) -> str:
    """Conversations that began in a minute that lies within the span."""
    unit, value = COUNTED[name]
    return (
        f"SELECT s.span, c.arm, count({value}), coalesce(sum({value}), 0), coalesce(sum(({value}) * ({value})), 0) FROM conversations AS c"
        " JOIN spans AS s ON date_trunc('minute', c.started_at) >= s.since AND date_trunc('minute', c.started_at) + INTERVAL 1 MINUTE <= s.until"
        f" WHERE coalesce(c.eligible, TRUE) AND ({unit}) IS NOT NULL GROUP BY ALL"
    )


def judged(name: str) -> str:
    """Judged answers by the minute of the answer; of several judgements the worst for safety, else people's, else the earliest."""
    worst = "j.hit DESC," if name == "misrouting_rate" else ""
    return (
        ", one AS (SELECT j.*, row_number() OVER (PARTITION BY j.subject ORDER BY"
        f" {worst} j.priority, j.judged_at, j.judgement_id) AS place FROM judgements AS j WHERE j.metric = '{name}')"
        " SELECT s.span, c.arm, count(*), sum(o.hit), sum(o.hit) FROM one AS o JOIN conversations AS c ON c.conversation_id = o.conversation_id"
        " JOIN spans AS s ON date_trunc('minute', o.answered_at) >= s.since AND date_trunc('minute', o.answered_at) + INTERVAL 1 MINUTE <= s.until"
        " WHERE o.place = 1 AND coalesce(c.eligible, TRUE) GROUP BY ALL"
    )


def stamp(moment: datetime) -> str:
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}'"


def asked(home: Path, since: datetime | None = None, until: datetime | None = None) -> Asked:
    with SnapshotReader(home / "snapshots").open() as connection:
        ((published,),) = connection.execute("SELECT published_at FROM meta").fetchall()
    now = published.replace(tzinfo=UTC)
    since, until = since or now - timedelta(days=7), until or now
    with closing(StateReader(load(home).state_url)) as state:
        rows = sorted((row for one in state.rollout_ids() for row in state.stages(one)), key=lambda row: row.started_at)
    rows = [row for row in rows if row.event in ("start", "promote", "rollback", "restart")]
    ends = [*(after.started_at for _, after in pairwise(rows)), now]
    spans = tuple(
        (max(row.started_at, since), min(end, until))
        for row, end in zip(rows, ends, strict=True)
        if str(row.state) != "ROLLED_BACK" and max(row.started_at, since) < min(end, until)
    )
    return Asked(home, now, since, until, spans)


@dataclass(frozen=True)
class Shown:
    """A measure as the page prints it."""

    value: str
    beside: str
    lines: str


def shown(page: str) -> Iterator[tuple[str, Shown]]:
    """Title and numbers of every card and every row of the table below the cards."""
    card = (
        r'cp-title">([^<]+)</span>(?:<span[^>]*>[^<]*</span>)?</div><div class="cp-value">([^<]*?) <small[^>]*>([^<]*)</small></div>'
        r'.*?<div class="cp-small">(.*?)</div>'
    )
    for title, value, beside, lines in re.findall(card, page, re.DOTALL):
        yield unescape(title), Shown(value, unescape(beside), unescape(lines))
    table = re.search(r'cp-watched">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert table is not None
    for row in re.findall(r"<tr>(.*?)</tr>", table.group(1), re.DOTALL):
        cells = [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        yield cells[0], Shown(cells[2], cells[3], f"{cells[4]} {cells[7]}")


def expected(ask: Asked, name: str) -> tuple[str, str, list[str]]:
    """Value, baseline (or limit) and pieces of the lines of a measure, from the facts."""
    metric = METRICS[name]
    strata, mature, whole = ask.sums(name)
    both = [(t, c) for t, c in strata if min(t.n, c.n) >= 2]
    weights = [t.n * c.n / (t.n + c.n) for t, c in both]
    n_t, n_c = (int(sum(pair[side].n for pair in strata)) for side in (0, 1))
    final = percent(mature / whole)
    if not metric.comparable:
        rate = wilson(sum(t.total for t, _ in strata), n_t)
        ends = f"[{value_text(metric, rate.low)}, {value_text(metric, rate.high)}]"
        return value_text(metric, rate.estimate), "limit 10.0 %", [ends, f"n {count_text(n_t)}", f"{final} final"]
    arms = [sum(w * pair[side].mean for w, pair in zip(weights, both, strict=True)) / sum(weights) for side in (0, 1)]
    found = measures.stratified(both)
    assert found is not None
    assert found.estimate == pytest.approx(arms[0] - arms[1])
    low, middle, high = (difference_text(metric, value) for value in (found.low, found.estimate, found.high))
    counts = f"n {count_text(n_t)} vs {count_text(n_c)}, {final} final"
    return value_text(metric, arms[0]), value_text(metric, arms[1]), [f"{middle} [{low}, {high}]", counts]


@pytest.mark.parametrize("window", ["Last 7 days", "week"])
def test_every_measure_is_what_sql_says(monkeypatch: pytest.MonkeyPatch, full_home: Path, window: str) -> None:
    ask = asked(full_home)
    query = {"window": window}
    if window == "week":
        year, week, _ = ask.now.isocalendar()
        monday = datetime.fromisocalendar(year, week, 1).replace(tzinfo=UTC)
        ask, query = asked(full_home, monday), {"week": f"{year}-W{week:02d}"}
    page = text(open_page(monkeypatch, full_home, **query))
    found = dict(shown(page))
    names = [name for name in (*measures.PROGRAMME, *measures.WATCHED) if name != "cost_per_resolved"]
    for name in names:
        value, against, pieces = expected(ask, name)
        printed = found[METRICS[name].title]
        assert printed.value == value, name
        assert against in printed.beside, name
        for piece in pieces:
            assert piece in printed.lines, (name, piece, printed.lines)
    check_money(ask, page, found)


def check_money(ask: Asked, page: str, found: dict[str, Shown]) -> None:
    """Cost per resolved conversation, what was spent, and the eligible conversations."""
    within = f"c.started_at >= {stamp(ask.since)} AND c.started_at < {stamp(ask.until)} AND coalesce(c.eligible, TRUE)"
    span = " OR ".join(f"(c.started_at >= {stamp(a)} AND c.started_at < {stamp(b)})" for a, b in ask.spans)
    ((cost, resolved),) = ask.sql(
        f"SELECT sum(c.cost_usd), count(*) FILTER ({RESOLVED}) FROM conversations AS c WHERE {within} AND ({span}) AND c.arm = 'assistant'"
    )
    metric = METRICS["cost_per_resolved"]
    assert found[metric.title].value == value_text(metric, cost / resolved)
    assert f"n {count_text(resolved)}" in found[metric.title].lines
    ((spent,),) = ask.sql(
        "SELECT sum(i.cost_usd) FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id"
        f" WHERE i.ts >= {stamp(ask.since)} AND i.ts < {stamp(ask.until)} AND coalesce(c.eligible, TRUE) AND c.arm = 'assistant'"
    )
    assert f"<dd>${spent:.3f}</dd>" in page


def test_the_funnel_is_what_sql_says(monkeypatch: pytest.MonkeyPatch, full_home: Path) -> None:
    ask = asked(full_home)
    app = open_page(monkeypatch, full_home)
    ((every, eligible, mine, stayed, resolved),) = ask.sql(
        "SELECT count(*), count(*) FILTER (coalesce(c.eligible, TRUE)), count(*) FILTER (coalesce(c.eligible, TRUE) AND c.arm = 'assistant'),"
        " count(*) FILTER (coalesce(c.eligible, TRUE) AND c.arm = 'assistant' AND c.escalated_at IS NULL),"
        f" count(*) FILTER (coalesce(c.eligible, TRUE) AND c.arm = 'assistant' AND {RESOLVED})"
        f" FROM conversations AS c WHERE c.started_at >= {stamp(ask.since)} AND c.started_at < {stamp(ask.until)}"
    )
    steps = {
        "All conversations": (every, None),
        "Eligible": (eligible, every),
        "With the assistant": (mine, eligible),
        "Stayed without a person": (stayed, mine),
        "Known to be resolved": (resolved, stayed),
    }
    said = next(chart.proto.alt for chart in app.get("vega_lite_chart") if "All conversations" in chart.proto.alt)
    for step, (n, before) in steps.items():
        share = f" \u00b7 {percent(n / before)}" if before else ""
        assert f"{step} {count_text(n)}{share}" in said
