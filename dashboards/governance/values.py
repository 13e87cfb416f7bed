"""The record as values for people: does it hold, who did what, what is in force, what was evaluated, what was drilled. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import polars as pl

from controlplane.core.audit import chain_hash
from controlplane.store.state_rows import from_text, to_text
from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer
from dashboards.words import clock

HASHED = ("seq", "prev_hash", "hash")  # not part of what a row's hash is over
SHORT = 12
VERDICTS = {
    "PASS": ("Passed", GOOD),
    "FAIL": ("Failed", BAD),
    "INCONCLUSIVE": ("Inconclusive", WAIT),
    "NO_DATA": ("No data", QUIET),
}
FARTHEST = 1.5  # of its line: a result further off is drawn there


@dataclass(frozen=True)
class Checked:
    """Rows of the audit log recomputed: how many, the first that does not fit (its `seq`, and why), the newest hash."""

    rows: int
    first: int | None
    last: int | None
    broken: int | None = None
    why: str = ""
    head: str = ""


@dataclass(frozen=True)
class Drilled:
    """A drill of the catalogue and when it was last carried out; `at` None: never."""

    name: str
    what: str
    expected: str
    at: datetime | None = None
    ok: bool | None = None
    actor: str = ""
    failures: tuple[str, ...] = ()


def checked(rows: Sequence[Mapping[str, Any]]) -> Checked:
    """Every row against its own hash, and against the row before it where that one is here (numbers may be left out in a snapshot)."""
    first, last = (rows[0]["seq"], rows[-1]["seq"]) if rows else (None, None)
    head = str(rows[-1]["hash"]) if rows else ""
    before: Mapping[str, Any] | None = None
    for row in rows:
        body = {name: value for name, value in row.items() if name not in HASHED}
        if row["hash"] != chain_hash(str(row["prev_hash"]), body):
            return Checked(len(rows), first, last, row["seq"], "its content does not match its hash", head)
        if before is not None and row["seq"] == before["seq"] + 1 and row["prev_hash"] != before["hash"]:
            return Checked(len(rows), first, last, row["seq"], "it does not follow the row before it", head)
        before = row
    return Checked(len(rows), first, last, head=head)


def answer(found: Checked, now: datetime, set_aside: int, verdict: str | None) -> Answer:
    """Does the record hold, and what is in force?"""
    if not found.rows:
        return Answer(
            "Nothing is on record yet",
            "The first decision begins the record: `controlplane release start NAME --actor YOU --artefact model=HASH`.",
            QUIET,
        )
    if found.broken is not None:
        return Answer(
            f"The record does NOT hold: row {found.broken:,} was changed",
            f"In the audit log, {found.why}. Keep the workspace as it is, and compare with a head that was noted elsewhere.",
            BAD,
        )
    whole = (
        found.rows == found.last
    )  # rows are numbered from 1; a snapshot leaves out who read what, and what is long over
    which = f"All {found.rows:,}" if whole else f"{found.rows:,} of the {found.last:,}"
    rest = "" if whole else " The others are recomputed under Check all of it."
    which_ones = "alert or trigger is" if set_aside == 1 else "alerts or triggers are"
    aside = f"{set_aside} {which_ones} set aside" if set_aside else "Nothing is set aside"
    told = {"PASS": "the newest evaluation passed", "FAIL": "the newest evaluation failed"}.get(verdict or "", "")
    return Answer(
        "The record holds" if whole else "The record holds, as far as this page has it",
        f"{which} rows of the audit log were recomputed for this page and agree with their hashes.{rest} {aside}{f'; {told}' if told else ''}.",
        GOOD if not set_aside else WAIT,
    )


def told(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Audit rows for a table: seq, at (aware), actor, event and subject in words, link ("" for none), reason."""
    return [
        {
            "seq": row["seq"],
            "at": from_text(str(row["at"])),
            "actor": str(row["actor"]),
            "event": event_words(str(row["event"])),
            "subject": str(row["subject"]),
            "link": link(str(row["event"]), str(row["subject"])),
            "reason": str(row["reason"]),
        }
        for row in rows
    ]


def event_words(event: str) -> str:
    """`cut_verified` -> `Cut verified`."""
    words = event.replace("_", " ")
    return words[:1].upper() + words[1:]


def link(event: str, subject: str) -> str:
    """The page that shows what a row is about; "" where there is none."""
    if event == "conversation_read":
        return f"conversation?id={quote(subject)}"
    if event == "incident_reported":
        return f"incidents?incident={quote(subject.partition('-report-')[0])}"
    if event.startswith(("incident_", "action_")):
        return f"incidents?incident={quote(subject)}"
    if event == "drift_recorded":
        return f"drift?report={quote(subject)}"
    if event.startswith("evaluation_"):
        return f"governance?show=evaluation&run={quote(subject)}"
    return f"review?week={quote('-'.join(subject.split('-')[:2]))}" if event.startswith("review_pinned") else ""


def chosen(
    frame: pl.DataFrame,
    actor: str,
    event: str,
    words: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pl.DataFrame:
    """Rows of the snapshot's part of the log in [since, until) that match, newest first; "" and None match everything."""
    if actor:
        frame = frame.filter(pl.col("actor") == actor)
    if event:
        frame = frame.filter(pl.col("event") == event)
    if since is not None:
        frame = frame.filter(pl.col("at") >= to_text(since))
    if until is not None:
        frame = frame.filter(pl.col("at") < to_text(until))
    if words:
        low = words.lower()
        found = [pl.col(name).str.to_lowercase().str.contains(low, literal=True) for name in ("reason", "subject")]
        frame = frame.filter(found[0] | found[1])
    return frame.sort("seq", descending=True)


def lines(text: str) -> list[dict[str, Any]]:
    """The criteria of a run, those that applied first: name, verdict, estimate, low, high, line, n, unit, comparison, reason."""
    return sorted(json.loads(text), key=lambda one: not one["applied"])


def rooms(found: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """How far inside its line each result is, as a part of that line (1 = as far as the line is from zero; below 0 = beyond it): name, room, low,
    high, verdict. Only criteria with an estimate and a line other than zero have one."""
    rows = []
    for one in found:
        if one["estimate"] is None or not one["line"] or not one["applied"]:
            continue
        sign = -1.0 if one["comparison"] == "at_most" else 1.0

        def room(value: float, sign: float = sign, line: float = one["line"]) -> float:
            return max(min(sign * (value - line) / abs(line), FARTHEST), -FARTHEST)

        ends = sorted(room(one[name]) for name in ("low", "high") if one[name] is not None)
        low, high = (ends[0], ends[-1]) if ends else (room(one["estimate"]),) * 2
        rows.append(
            {
                "name": criterion(one["name"]),
                "room": room(one["estimate"]),
                "low": low,
                "high": high,
                "verdict": one["verdict"],
            }
        )
    kinds: dict[str, Any] = {
        "name": pl.String,
        "room": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "verdict": pl.String,
    }
    return pl.DataFrame(rows, schema=kinds)


def criterion(name: str) -> str:
    """`intent_accuracy` -> `Intent accuracy`."""
    return event_words(name)


def number(value: float | None, unit: str) -> str:
    """A result with its unit."""
    if value is None:
        return "\u2013"
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:,.0f} ms" if unit == "ms" else f"{value:.4g} {unit}".strip()


def made_of(artefacts: str, before: str | None) -> str:
    """What a release changed against the one before it, in words."""
    now = json.loads(artefacts)
    if before is None:
        return f"first one: {', '.join(sorted(now))}"
    was = json.loads(before)
    moved = sorted(name for name in now.keys() | was.keys() if now.get(name) != was.get(name))
    return ", ".join(moved) if moved else "nothing: the same artefacts"


def data_words(text: str) -> str:
    """`{"support": hash}` -> `support@46c5555604e7`."""
    return ", ".join(f"{name}@{version[:SHORT]}" for name, version in sorted(json.loads(text).items())) or "any"


def newest_drills(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The newest run of each drill in audit rows, as the ask `drills` tells it."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["event"] == "drill":
            for one in json.loads(row["payload"]).get("drills", ()):
                failures = [str(failure) for failure in one.get("failures", ())]
                found[str(one["name"])] = {
                    "at": row["at"],
                    "ok": bool(one["ok"]),
                    "actor": row["actor"],
                    "failures": failures,
                }
    return found


def drilled(catalogue: Iterable[Any], last: Mapping[str, Mapping[str, Any]]) -> list[Drilled]:
    """The catalogue with what is on record: failed ones first, then those never drilled, then by age."""
    found = []
    for item in catalogue:
        one = last.get(item.name)
        if one is None:
            found.append(Drilled(item.name, item.told, item.expected))
            continue
        at, failures = from_text(str(one["at"])), tuple(map(str, one["failures"]))
        found.append(Drilled(item.name, item.told, item.expected, at, bool(one["ok"]), str(one["actor"]), failures))
    return sorted(
        found, key=lambda one: (one.ok is not False, one.at is not None, one.at.timestamp() if one.at else 0.0)
    )


def drills_answer(found: Sequence[Drilled], now: datetime) -> tuple[str, str, str]:
    """Value, note and tone of the tile about drills."""
    done = [one for one in found if one.at is not None]
    failed = [one for one in done if not one.ok]
    if not done:
        return f"0 of {len(found)}", "none was carried out yet", WAIT
    newest = max(one.at for one in done if one.at is not None)
    note = f"the newest {clock(newest, now)}" + (f"; {len(failed)} not as expected" if failed else "; all as expected")
    return f"{len(done)} of {len(found)}", note, BAD if failed else GOOD
