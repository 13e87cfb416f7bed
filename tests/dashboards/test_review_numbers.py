"""Every number on Review equals `controlplane sql` for the same window: counted again from the facts, by queries that know no rollup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import pairwise
from math import log, sqrt
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.estimates import Sums, wilson
from controlplane.core.metrics import METRICS
from controlplane.core.policy import parse
from controlplane.settings import load
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.state import StateReader
from dashboards import data, measures
from dashboards.words import count_text, difference_text, duration, percent, value_text
from jobs.sql_command import run_sql
from tests.dashboards.pages import open_page, text

MINUTES = {  # until a label is final, as the demo's policy says; where it says nothing, the catalogue. A resolution is told with the rating
    "csat": 15,
    "csat_response_rate": 15,
    "resolution_rate": 15,
    "resolution_time": 15,
    "cost_per_resolved": 15,
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


def anytime(strata: list[tuple[Sums, Sums]]) -> tuple[float, float, float] | None:
    """STATISTICS section 3 written out: low, estimate, high of the weighted difference; None where no value of one side ever differed."""
    if not strata or any(sum(pair[side].variance for pair in strata) == 0.0 for side in (0, 1)):
        return None
    weights = [t.n * c.n / (t.n + c.n) for t, c in strata]
    parts = [weight / sum(weights) for weight in weights]
    middle = sum(part * (t.mean - c.mean) for part, (t, c) in zip(parts, strata, strict=True))
    error = sqrt(
        sum(part**2 * (t.variance / t.n + c.variance / c.n) for part, (t, c) in zip(parts, strata, strict=True))
    )
    units = sum(t.n + c.n for t, c in strata)
    tuned = units * (-2 * log(0.05) + log(1 - 2 * log(0.05))) / 5000
    half = error * sqrt(2 * (tuned + 1) / tuned * log(sqrt(tuned + 1) / 0.05))
    return middle - half, middle, middle + half


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
    said = "too few cases to compare"  # as for a harm that nobody has seen yet
    if (found := anytime(both)) is not None:
        low, middle, high = (difference_text(metric, value) for value in found)
        said = f"{middle} [{low}, {high}]"
    counts = f"n {count_text(n_t)} vs {count_text(n_c)}, {final} final"
    return value_text(metric, arms[0]), value_text(metric, arms[1]), [said, counts]


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
    final = ask.now - timedelta(minutes=MINUTES["cost_per_resolved"])
    within = f"c.started_at >= {stamp(ask.since)} AND c.started_at < {stamp(final)} AND coalesce(c.eligible, TRUE)"
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


def test_all_other_numbers_are_what_sql_says(monkeypatch: pytest.MonkeyPatch, full_home: Path) -> None:
    ask = asked(full_home)
    app = open_page(monkeypatch, full_home)
    page, alts = unescape(text(app)), [chart.proto.alt for chart in app.get("vega_lite_chart")]
    check_gate(ask, page)
    check_funnel(ask, page, alts)
    check_trend(ask, alts)
    check_timeline(ask, page, alts)
    check_month(ask, page)
    check_records(ask, page)


def check_gate(ask: Asked, page: str) -> None:
    """Hero and gate: the next share, the time in the stage, the customers."""
    with closing(StateReader(load(ask.home).state_url)) as state:
        rollout = state.rollout()
        policy = parse(str(state.policy_text(rollout.policy_hash)))
    shares = [share for phase in policy.phases for share in phase.shares]
    phase = policy.phase(rollout.phase)
    age = ask.now - rollout.stage_started_at
    ((treated,),) = ask.sql(
        f"SELECT count(DISTINCT user_id) FROM exposures WHERE variant = 'assistant' AND rollout_id = '{rollout.rollout_id}'"
        f" AND ts >= {stamp(rollout.stage_started_at)} AND eligible"
    )
    assert f"May it grow to {percent(shares[rollout.stage + 1])}?" in page
    assert f"{duration(timedelta(minutes=phase.min_minutes) - age)} in this stage" in page
    assert f"{duration(age)} of {duration(timedelta(minutes=phase.min_minutes))}" in page
    assert f"{phase.min_treated - treated:,} more customers" in page
    assert f"{treated:,} of {phase.min_treated:,}" in page
    marks = [
        len(re.findall(rf'<div><span class="cp-chip cp-{tone}" aria-label', page)) for tone in ("good", "wait", "bad")
    ]
    assert f"{marks[0]} of {sum(marks)} met" in page


def check_funnel(ask: Asked, page: str, alts: list[str]) -> None:
    """Every step with its share, and those who did not come back."""
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
    said = next(alt for alt in alts if "All conversations" in alt)
    for step, (n, before) in steps.items():
        share = f" \u00b7 {percent(n / before)}" if before else ""
        assert f"{step} {count_text(n)}{share}" in said
    strata, mature, whole = ask.sums("contact_rate")
    both = [(t, c) for t, c in strata if min(t.n, c.n) >= 2]
    weights = [t.n * c.n / (t.n + c.n) for t, c in both]
    back = sum(weight * t.mean for weight, (t, _) in zip(weights, both, strict=True)) / sum(weights)
    kept = value_text(METRICS["contact_rate"], 1 - back)
    assert (
        f"Not back within 1 h: {kept} of {sum(t.n for t, _ in strata):,.0f} conversations with the assistant; {percent(mature / whole)}"
        in page
    )


def check_trend(ask: Asked, alts: list[str]) -> None:
    """The first and the last point of the large trend (CSAT, means per bin)."""
    ((first,),) = ask.sql("SELECT date_trunc('minute', min(started_at)) FROM conversations")
    width = data.bin_for(ask.until - datetime.fromisoformat(first), bins=30)
    rows = ask.sql(
        f"SELECT time_bucket(to_seconds({width}), date_trunc('minute', c.started_at)) AS start, avg(c.csat) FROM conversations AS c"
        " WHERE c.arm = 'assistant' AND coalesce(c.eligible, TRUE) AND c.csat IS NOT NULL GROUP BY 1 HAVING count(*) >= 2 ORDER BY 1"
    )
    ends = [value_text(METRICS["csat"], row[1]) for row in (rows[0], rows[-1])]
    assert any(
        alt.startswith("CSAT") and alt.endswith(f"went from {ends[0]} to {ends[1]}, beside the menu") for alt in alts
    )


def check_timeline(ask: Asked, page: str, alts: list[str]) -> None:
    """The shares over time, and what an incident did."""
    said = next(alt for alt in alts if alt.startswith("Share over time: "))
    with closing(StateReader(load(ask.home).state_url)) as state:
        rows = sorted((row for one in state.rollout_ids() for row in state.stages(one)), key=lambda row: row.started_at)
        (incident,) = state.incidents()
    for row in (row for row in rows if row.event in ("start", "promote", "rollback", "restart")):
        inside = "employees only" if row.phase == "internal" else f"{row.phase} {percent(row.share)}"
        assert (
            f"{row.started_at:%Y-%m-%d %H:%M} {'menu only' if row.event == 'rollback' else f'{row.release}: {inside}'}"
            in said
        )
    ((exposed,),) = ask.sql(
        f"SELECT count(DISTINCT user_id) FROM exposures WHERE variant = 'assistant' AND release = '{incident.release}'"
        f" AND ts >= {stamp(incident.onset_at)} AND ts <= {stamp(incident.verified_at)}"
    )
    assert f"found {duration(incident.detected_at - incident.onset_at)} after its onset" in page
    assert f"cut verified {duration(incident.verified_at - incident.detected_at)} after detection" in page
    assert f"{exposed:,} customers exposed" in page


def check_month(ask: Asked, page: str) -> None:
    """What the month has cost, why it has no forecast, and what serving everyone would cost."""
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page))
    ((month,),) = ask.sql(
        "SELECT sum(cost_usd) FROM interactions WHERE arm = 'assistant' AND date_trunc('month', ts) ="
        f" date_trunc('month', {stamp(ask.now - timedelta(microseconds=1))})"
    )
    ((days,),) = ask.sql(
        f"SELECT count(DISTINCT CAST(ts AS DATE)) FROM interactions WHERE arm = 'assistant' AND CAST(ts AS DATE) < DATE '{ask.now:%Y-%m-%d}'"
    )
    known = max(days - 1, 0)  # the first day may have begun late
    assert facts[f"{ask.now:%B} so far"] == f"${month:.3f}"
    assert facts[f"Forecast of {ask.now:%B}"].startswith(
        f"not yet: {known} whole day{'' if known == 1 else 's'} of cost known"
    )
    ((eligible, mine, spent, minutes),) = ask.sql(
        "SELECT count(*), count(*) FILTER (c.arm = 'assistant'), sum(c.cost_usd) FILTER (c.arm = 'assistant'),"
        " date_diff('second', min(c.started_at), max(c.started_at)) / 60 FROM conversations AS c WHERE coalesce(c.eligible, TRUE)"
    )
    amount = float(re.match(r"\$([\d,.]+) \[", facts["Serving everyone, 30 days"]).group(1).replace(",", ""))
    assert amount == pytest.approx(
        spent / mine * eligible / minutes * 30 * 1440, rel=0.05
    )  # the page's bins end a little later


def check_records(ask: Asked, page: str) -> None:
    """Numbers of recorded work: the pinned review's, the topics' (counted again where facts can tell), the trade-off's."""
    with closing(StateReader(load(ask.home).state_url)) as state:
        review, topics, tradeoff = (state.artefacts(kind)[0].summary for kind in ("review", "topics", "tradeoff"))
    moved = [item["movement"] for item in review["success"]]
    said = (
        f"of {len(moved)} success measures, {moved.count('improved')} improved and {moved.count('not worse')} not worse"
    )
    assert said in page
    chips = re.search(r'<div class="cp-verdicts">(.*?)</div></div>', page, re.DOTALL).group(1)
    assert [word.lower() for word in re.findall(r"cp-chip [^>]*>([^<]+)<", chips)] == moved
    ((asked_of,),) = ask.sql(
        "SELECT count(*) FROM conversations AS c WHERE c.arm = 'assistant' AND coalesce(c.eligible, TRUE)"
        f" AND c.started_at >= {stamp(ask.since)} AND c.started_at < {stamp(ask.until)}"
    )
    assert (
        f"{topics['questions']:,} open questions in {asked_of:,} conversations ({percent(topics['questions'] / asked_of)})"
        in page
    )
    table = re.search(r">Customers</th>.*?</table>", page, re.DOTALL).group(0)
    assert re.findall(r'<td class="cp-num">([\d,]+)</td>', table) == [
        f"{topic['customers']:,}" for topic in topics["topics"][:5]
    ]
    for part in ("latency", "cost"):
        assert tradeoff[part]["reason"].partition(": name --")[0].rstrip(".")[1:] in page
