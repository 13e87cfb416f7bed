"""The table of what governance asks for, filled with the records of a pack: which file, which rows, how many, from when to when.

Rules
- A demand is met by records, not by words: each line names the file of the pack, the rows in it, and the first and the last of them.
- Where a period has no such record, that is said. Where the program does not record something at all, it is unknown.
- It says which records there are. Whether they satisfy a law or a standard is for whoever audits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.core.judge import AUTOMATIC
from jobs.evidence_pack_records import record_of

SHOWN_IDS = 25
RETENTION_DAYS = 183  # six months (Art. 19(1), 26(6)): the longest six there are have 184 days, the shortest 181
Row = Mapping[str, Any]
NOTHING = "no record in this period"


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file: those whose event is named (empty: any), by people or by the control plane (None: either)."""

    what: str
    file: str  # name of the record
    events: frozenset[str] = frozenset()
    automatic: bool | None = None

    def takes(self, row: Row) -> bool:
        """Whether a row belongs to it."""
        if self.events and row.get("event") not in self.events:
            return False
        return self.automatic is None or (row.get("actor") == AUTOMATIC) == self.automatic


def _audit(what: str, *events: str, automatic: bool | None = None) -> Part:
    return Part(what, "audit", frozenset(events), automatic)


STOPS = ("rollback", "hold", "disable_execution", "contain")
INCIDENT = tuple(f"incident_{name}" for name in ("acknowledge", "own", "note", "resolve", "review", "reopen"))
SERIOUS = ("incident_serious", "incident_serious_reported", "incident_serious_withdrawn")
CHANGE = (
    "start",
    "restart",
    "supersede",
    "promote",
    "resume",
    "deploy",
    "policy",
    "enable_execution",
    "release_category",
)
SIGNED = ("review_signed",)
DEMANDS: Sequence[tuple[str, str, str, tuple[Part, ...]]] = (
    (
        "Art. 12, 19, 26(6)",
        "EU AI Act",
        "automatic logs, kept at least 6 months",
        (
            Part("audit log", "audit"),
            Part("evidence ledger", "ledger"),
            Part("served shares", "stages"),
            Part("scheduled jobs", "runs"),
        ),
    ),
    (
        "Art. 14",
        "EU AI Act",
        "oversee, override, stop",
        (
            _audit("stopped by a person", *STOPS, automatic=False),
            _audit("stopped by the control plane", *STOPS, automatic=True),
            _audit("overrides, with reason and end", "override_added", "override_ended"),
            _audit("approvals", "approve"),
            _audit("pressed in Slack, done or refused", "slack_press"),
            _audit("drills", "drill"),
        ),
    ),
    (
        "Art. 26(5), 72, 73",
        "EU AI Act",
        "monitoring plan, serious-incident report",
        (
            Part("policies (the plan, in force or before)", "policies"),
            Part("weekly reviews", "artefacts_review"),
            Part("incidents with their clock", "incidents"),
            _audit("serious incidents and their reports", *SERIOUS),
            _audit("cuts verified from outside", "cut_verified", "cut_not_verified"),
            Part("messages to people", "outbox"),
        ),
    ),
    ("Art. 50", "EU AI Act", "tell users it is an AI", ()),
    (
        "MANAGE 2.4",
        "NIST AI RMF",
        "deactivation",
        (_audit("deactivated or contained", *STOPS), Part("categories sent to people", "containments")),
    ),
    (
        "MANAGE 4.1",
        "NIST AI RMF",
        "post-deployment plan with user input",
        (
            Part("policies", "policies"),
            Part("labels of people", "review_labels"),
            Part("labels of the review queue", "review_opinions"),
            Part("topics of what was not resolved", "artefacts_topics"),
            Part("CSAT with its response", "artefacts_csat"),
        ),
    ),
    (
        "MANAGE 4.3",
        "NIST AI RMF",
        "incident and change management",
        (
            Part("incidents", "incidents"),
            _audit("what people did about them", *INCIDENT),
            Part("alerts that people silenced", "silences"),
            _audit("changes of release, stage and policy", *CHANGE),
        ),
    ),
    (
        "MEASURE 2.4",
        "NIST AI RMF",
        "monitoring in production",
        (
            Part("closed blocks with evidence", "ledger"),
            Part("drift analyses", "artefacts_drift"),
            Part("weekly reviews", "artefacts_review"),
        ),
    ),
    (
        "A.6.2.6",
        "ISO/IEC 42001",
        "operation and monitoring",
        (Part("closed blocks with evidence", "ledger"), Part("drift analyses", "artefacts_drift")),
    ),
    ("A.6.2.8", "ISO/IEC 42001", "event logs", (Part("audit log", "audit"),)),
    (
        "9.1",
        "ISO/IEC 42001",
        "monitoring, measurement, evaluation",
        (
            Part("evaluation runs", "evaluations"),
            Part("acceptance criteria", "criteria"),
            Part("definitions of the metrics", "artefacts_metric_definitions"),
            Part("backtests of policies", "artefacts_backtest"),
        ),
    ),
    (
        "9.3",
        "ISO/IEC 42001",
        "management review",
        (Part("weekly reviews", "artefacts_review"), _audit("signatures", *SIGNED)),
    ),
    (
        "10.2",
        "ISO/IEC 42001",
        "corrective action",
        (
            _audit("incidents resolved and reviewed", "incident_resolve", "incident_review"),
            Part("what was to be done after them", "incident_actions"),
            Part("evaluation data sets, each with what it grew from", "datasets"),
            Part("proposals to retrain", "artefacts_retraining"),
        ),
    ),
)


@dataclass
class Found:
    """Rows of a part: how many, the ids of the first ones, from when to when."""

    rows: int = 0
    ids: list[str] = field(default_factory=list)
    first: str | None = None
    last: str | None = None
    last_id: str | None = None

    def add(self, key: str, at: str | None) -> None:
        """One more row."""
        self.rows += 1
        if len(self.ids) < SHOWN_IDS:
            self.ids.append(key)
        self.last_id = key
        if at is not None:
            self.first = at if self.first is None else min(self.first, at)
            self.last = at if self.last is None else max(self.last, at)


class Collector:
    """Sees every row of the pack while it is written, and counts for the table."""

    def __init__(self) -> None:
        self.found: dict[Part, Found] = {part: Found() for *_, parts in DEMANDS for part in parts}
        self.files: dict[str, Found] = {}
        self._parts: dict[str, list[Part]] = {}
        for part in self.found:
            self._parts.setdefault(part.file, []).append(part)

    def see(self, name: str, row: Row) -> None:
        """A row of the record of that name."""
        record = record_of(name)
        key, at = "/".join(str(row.get(column)) for column in record.key), row.get(record.time)
        self.files.setdefault(name, Found()).add(key, at)
        for part in self._parts.get(name, ()):
            if part.takes(row):
                self.found[part].add(key, at)


def table(collector: Collector, facts: Mapping[str, Any], retention: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every demand with its records."""
    rows = []
    for article, asked_by, demand, parts in DEMANDS:
        records = [_line(part, collector.found[part]) for part in parts]
        row: dict[str, Any] = {"asked_by": asked_by, "article": article, "demand": demand, "records": records}
        if article.startswith("Art. 12"):
            row |= {"facts": dict(facts), "retention": dict(retention)}
        if article == "Art. 50":
            row |= {"status": "unknown", "note": DISCLOSURE}
        else:
            row["status"] = "records" if any(record["rows"] for record in records) else NOTHING
        rows.append(row)
    return rows


DISCLOSURE = (
    "unknown: whether an answer told the customer that it comes from a machine is not in the logged records, so its coverage cannot be counted. "
    "The embedded assistant opens the first answer of every conversation with it; another assistant has to show it by its own records."
)


def _line(part: Part, found: Found) -> dict[str, Any]:
    record = record_of(part.file)
    plain = {"what": part.what, "file": record.file if found.rows else None, "rows": found.rows}
    if not found.rows:
        return plain | {"note": NOTHING}
    return plain | {
        "key": "/".join(record.key),
        "ids": found.ids,
        "more": found.rows - len(found.ids),
        "last_id": found.last_id,
        "first": found.first,
        "last": found.last,
        "events": sorted(part.events),
    }


def retention(
    until: datetime, oldest_fact: datetime | None, first_audit: datetime | None, first_start: datetime | None
) -> dict[str, Any]:
    """Whether the logs of the six months before `until` are there: the end of the period, or the newest record where that is earlier (a period that
    is not over has shown nothing of its rest). `first_start`: when the first rollout began.

    A log that is younger than six months and goes back to the first rollout has lost nothing by age: that is *young*, and shows no retention yet.
    """
    return {
        "asked_days": RETENTION_DAYS,
        "as_of": _iso(until),
        "facts": _kept(until, oldest_fact, first_start),
        "audit_log": _kept(until, first_audit, first_start),
    }


def _kept(until: datetime, oldest: datetime | None, first_start: datetime | None) -> dict[str, Any]:
    if oldest is None or oldest >= until:
        return {"verdict": "unknown", "oldest": None, "days": None, "reason": "there is nothing to look at"}
    days = (until - oldest) / timedelta(days=1)
    found: dict[str, Any] = {"oldest": _iso(oldest), "days": round(days, 2)}
    if days >= RETENTION_DAYS:
        return found | {"verdict": "kept", "reason": "goes back six months or more"}
    if first_start is not None and oldest <= first_start + timedelta(days=1):
        return found | {
            "verdict": "young",
            "reason": "goes back to the first rollout, which is younger than six months",
        }
    if first_start is None:
        return found | {"verdict": "young", "reason": "there was no rollout yet"}
    return found | {"verdict": "not kept", "reason": "begins after the first rollout, and is younger than six months"}


def page(title: str, period: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as one HTML file; links lead to the files of the pack beside it."""
    style = files("controlplane").joinpath("report_style.css").read_text(encoding="utf-8")
    body = "".join(_row(row) for row in rows)
    head = (
        f"<h1>{escape(title)}</h1><p class=soft>Records from {escape(period['since'])} to {escape(period['until'])} (end excluded). "
        "Each line names a file of this pack and the rows in it; <code>manifest.json</code> has the sha256 of every file. "
        "The table says which records there are, not whether they satisfy a law or a standard.</p>"
    )
    heads = "<tr><th>Asked by</th><th>Demand</th><th>Records of the period</th></tr>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{head}<div class=card><table>{heads}{body}</table></div></main></body></html>\n"
    )


def _row(row: Mapping[str, Any]) -> str:
    cells = "".join(_record(one) for one in row["records"])
    if "facts" in row:
        cells += _facts(row["facts"], row["retention"])
    if "note" in row:
        cells += (
            f'<p><span class="badge no_data">unknown</span> {escape(str(row["note"]).removeprefix("unknown: "))}</p>'
        )
    asked = f"<b>{escape(row['asked_by'])}</b><small>{escape(row['article'])}</small>"
    return f"<tr><td>{asked}</td><td>{escape(row['demand'])}</td><td>{cells}</td></tr>"


def _record(one: Mapping[str, Any]) -> str:
    what = escape(one["what"])
    if not one["rows"]:
        return f"<p>{what}: <span class=soft>{NOTHING}</span></p>"
    more = f" and {one['more']:,} more" if one["more"] else ""
    ids = f"<details><summary>rows by {escape(one['key'])}</summary><code>{escape(', '.join(one['ids']))}{more}</code></details>"
    span = f"{escape(str(one['first']))[:16]} to {escape(str(one['last']))[:16]}"
    link = f'<a href="{escape(one["file"])}">{escape(one["file"])}</a>'
    return f"<div>{what}: <b>{one['rows']:,}</b> in {link} <span class=soft>{span}</span>{ids}</div>"


def _facts(facts: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    if "kinds" not in facts:
        told = f"<p>facts: <span class=soft>{escape(str(facts['note']))}</span></p>"
    else:
        counts = ", ".join(f"{one['n']:,} {escape(name)}" for name, one in facts["kinds"].items())
        told = f"<p>facts of the period, in the workspace and not in this pack: {counts}</p>"
    badge = {"kept": "pass", "young": "inconclusive", "not kept": "fail", "unknown": "no_data"}
    for name in ("facts", "audit_log"):
        one = kept[name]
        days = "" if one["days"] is None else f", {one['days']:.0f} days"
        told += (
            f'<p><span class="badge {badge[one["verdict"]]}">{escape(one["verdict"])}</span> '
            f"{escape(name.replace('_', ' '))} kept {kept['asked_days']} days: {escape(one['reason'])}{days}</p>"
        )
    return told


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
