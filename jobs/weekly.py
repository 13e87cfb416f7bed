"""The weekly review: built from the facts and the record as of a pin, recorded once, and made again on demand.

- `build`: the numbers of a week, without words. Facts up to an ingest batch, the record up to a row of each chain (`Pin`): what comes later, in
  whatever place, changes nothing.
- `pin`: build, add the words, keep it as an artefact, write `reports/review/ID.json`, and say so in the audit log with the hash of the whole
  document. Each step is there or not, and doing it again goes on where it stopped: the audit row makes it pinned. The page with its signatures is
  written last (`jobs.weekly_sign.file_page`); it can always be made again.
- `rebuild`: the same from the pin of a recorded review; `differs` names the sections that do not come out again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError

from controlplane.analysis.review_figures import JudgeError, Tables, figures
from controlplane.analysis.review_success import TOLERATED, success
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.model import MetricKind
from controlplane.core.policy import Policy
from controlplane.core.weekly import Figure, Pin, Weekly
from controlplane.settings import SettingsError
from controlplane.store.rollups import watermark
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import ArtefactRow
from controlplane.store.state_rows import AuditEntry, Commit, from_text, to_text
from controlplane.store.utc import to_aware
from jobs import weekly_sections as sections
from jobs.compose import registered_policy
from jobs.deps import Deps
from jobs.files import write_whole
from jobs.moments import week_of
from jobs.refused import Refused
from jobs.weekly_facts import Asked, Read, maturities, read, rows_of
from jobs.weekly_gate import may_grow
from jobs.weekly_record import Record, as_of, heads, rollout_json

KIND, EVENT = "review", "review_pinned"
ENDED = "the week had not ended when it was pinned"
ATTEMPTS = 5  # at a moment of the record between two writes
DIGITS = 12  # significant ones: beyond them another machine may compute otherwise
WEEK = timedelta(days=7)
T = TypeVar("T")


def build(deps: Deps, now: datetime, since: datetime, until: datetime) -> Weekly:
    """The first version of the week's review, without words, from everything that is known now. A week that lasts is told so far.

    Raises SettingsError for a window that is empty or has not begun.
    """
    _check_window(now, since, until)
    return make(deps, pin_now(deps, now), since, min(until, now), Version(week_of(since)))


class Version:
    """Which version of which week's review: 1, or a correction of the one before."""

    def __init__(self, week: str, number: int = 1, corrects: str = "", reason: str = "") -> None:
        self.week, self.number, self.corrects, self.reason = week, number, corrects, reason

    @property
    def review_id(self) -> str:
        """YYYY-Www-vN."""
        return f"{self.week}-v{self.number}"


def pin_now(deps: Deps, now: datetime) -> Pin:
    """Where the record and the facts stand. The record is looked at first: blocks of it were judged with facts that are there."""
    for _ in range(ATTEMPTS):
        seen = deps.state.version()
        found = heads(deps.state)
        if deps.state.version() == seen:
            break
    row = rows_of(deps.warehouse, "review/pin", {})[0]
    mark = watermark(deps.warehouse, deps.policy.watch.lateness_seconds)
    until = row["units_until"]
    return Pin(
        pinned_at=to_text(now),
        last_batch=int(row["last_batch"]),
        audit_seq=found["audit"][0],
        audit_head=found["audit"][1],
        ledger_seq=found["ledger"][0],
        ledger_head=found["ledger"][1],
        watermark=None if mark is None else to_text(mark),
        units_until=None if until is None else to_text(to_aware(until)),
    )


def make(
    deps: Deps,
    pinned: Pin,
    since: datetime,
    until: datetime,
    which: Version,
    policy: Policy | None = None,
    program: str | None = None,
) -> Weekly:
    """The review of `[since, until)` as of a pin, without words. `policy`: the one it was judged by; None: the one in force at the pin."""
    moment = from_text(pinned.pinned_at)
    record = as_of(deps.state, pinned.audit_seq, pinned.ledger_seq, moment)
    policy = policy or policy_at(deps, record)
    starts = tuple(row.started_at for row in record.stages if row.started_at < until)
    asked = Asked(since, until, moment, pinned.last_batch, starts, maturities(policy))
    facts = read(deps.warehouse, asked, policy.hash)
    tables = _tables(facts, policy)
    measures = success(tables, policy.programme, _tolerated(policy))
    author = deps.state.author(record.rollout.release_hash) if record.rollout else None
    return rounded(
        Weekly(
            review_id=which.review_id,
            week=which.week,
            version=which.number,
            corrects=which.corrects,
            correction_reason=which.reason,
            since=to_text(since),
            until=to_text(until),
            pin=pinned,
            program_version=program or version("controlplane"),
            policy={"name": policy.name, "hash": policy.hash, "owner": policy.owner},
            rollout=rollout_json(record.rollout),
            success=measures,
            may_grow=may_grow(deps, record, policy, pinned),
            figures=_comparable(
                figures(tables, JudgeError(policy.judge.sensitivity, policy.judge.specificity)), until - since
            ),
            csat=sections.csat(facts["ratings"].rows, policy, measures[0].difference),
            funnel=sections.funnel(facts["funnel"].rows),
            topics=sections.topics(deps.state, facts["intents"].rows, policy.programme.level, record),
            incidents=sections.incidents(record, since, until),
            drills=sections.drills(record, since, until),
            drift=sections.drift(deps.state, record),
            tradeoff=sections.tradeoff(deps.state, record),
            cost=sections.cost(facts["daily_cost"].rows, since, until, policy),
            decisions=sections.decisions(record, since, until),
            owners=sections.owners(record, policy, author),
            exposure=sections.exposure(record, until),
            notes=notes(facts, asked, pinned),
        )
    )


def policy_at(deps: Deps, record: Record) -> Policy:
    """The policy by which the rollout was judged at the pin; without a rollout the one that is named."""
    if record.rollout is None or record.rollout.policy_hash in ("", deps.policy.hash):
        return deps.policy
    return registered_policy(deps.state, record.rollout.policy_hash)


def _comparable(found: tuple[Figure, ...], span: timedelta) -> tuple[Figure, ...]:
    """Counts of a part of a week are not set against a whole one."""
    whole = span >= WEEK
    return tuple(one if whole or one.direction != "neither" else replace(one, change=None) for one in found)


def _tables(facts: Mapping[str, Read], policy: Policy) -> Tables:
    programme = policy.programme
    margins = {
        "csat": programme.csat_margin,
        "misclassification_rate": programme.misclassification_margin,
        "escalation_rate": programme.escalation_margin,
    }
    rows = {name: found.rows for name, found in facts.items()}
    return Tables(rows, {name: found.source for name, found in facts.items()}, programme.level, margins)


def _tolerated(policy: Policy) -> float:
    """The share of misroutings that the owner of the policy signed, where a trigger limits it."""
    found = [one for one in policy.triggers if one.metric == "misrouting_rate" and one.kind is MetricKind.ONE_SAMPLE]
    return min((one.limit for one in found if one.limit > 0), default=TOLERATED)


def notes(facts: Mapping[str, Read], asked: Asked, pinned: Pin) -> tuple[str, ...]:
    """What the review could not tell, and why."""
    said = []
    if asked.until <= asked.now < asked.since + WEEK:
        said.append("the week has not ended; figures are so far")
    rows = [row for row in facts["span"].rows if row["week"] == 1]
    if not rows:
        said.append("no conversation began in this week")
    if not any(row["week"] == 0 for row in facts["span"].rows):
        said.append("there is no conversation of the week before to compare with")
    arms = {row["arm"] for row in rows}
    said += [
        f"the {name} served nobody in this week"
        for arm, name in (("assistant", "assistant"), ("baseline", "menu"))
        if rows and arm not in arms
    ]
    if any(row["unnamed"] for row in rows):
        said.append("some conversations name no customer: each counts as a customer of its own")
    if pinned.last_batch == 0:
        said.append("nothing has been ingested")
    said.append("silences of the alert channels are not part of the record and not shown; overrides are")
    return tuple(said)


def rounded(value: T) -> T:
    """The same value with every float cut to `DIGITS` significant digits, at any depth."""
    result: Any = value
    if isinstance(value, float):
        result = float(f"{value:.{DIGITS}g}")
    elif is_dataclass(value) and not isinstance(value, type):
        result = replace(value, **{one.name: rounded(getattr(value, one.name)) for one in fields(value)})
    elif isinstance(value, Mapping):
        result = {str(key): rounded(item) for key, item in value.items()}
    elif isinstance(value, tuple):
        result = tuple(rounded(item) for item in value)
    elif isinstance(value, list):
        result = [rounded(item) for item in value]
    return result  # type: ignore[no-any-return]


def pin(
    deps: Deps, now: datetime, since: datetime, until: datetime, *, actor: str, corrects: str = "", reason: str = ""
) -> Weekly:
    """Pin the review of a week, and file it; a week that is pinned is given back as it is.

    With `corrects` (the id of the newest version) and a `reason` a new version. Raises Refused for a correction of what is not the newest version,
    or without a reason.
    """
    _check_window(now, since, until)
    from jobs import weekly_sign

    which = _version(deps.state, week_of(since), corrects, reason)
    begun = _recorded(deps.state, which.review_id)
    if begun is None:
        found = make(deps, pin_now(deps, now), since, min(until, now), which)
        found = with_words(found)
        if found.policy["hash"] == deps.policy.hash:  # that of a rollout is registered; without one it is only named
            deps.state.register_policy(deps.policy.hash, deps.policy.name, deps.policy.text, now)
        document = json.loads(canonical(found.to_dict()))
        with suppress(IntegrityError):  # another process has recorded it in this moment: its numbers count
            deps.state.record_artefact(which.review_id, KIND, f"reports/{KIND}/{which.review_id}.json", document, now)
        begun = _recorded(deps.state, which.review_id)
        assert begun is not None
    document = dict(begun.summary)
    write_files(deps.reports, document)
    if not deps.state.vouched(EVENT, which.review_id):
        said = {"document_hash": sha256_text(canonical(document)), "week": which.week, "version": which.number}
        said |= {"corrects": which.corrects, "policy_hash": document["policy"]["hash"], "pin": document["pin"]}
        why = which.reason or f"review of week {which.week}"
        deps.state.commit(Commit(audit=[AuditEntry(actor, EVENT, which.review_id, why, said)]), now)
    for one in filter(None, (which.corrects, which.review_id)):  # the page of the one that it corrects says so
        weekly_sign.file_page(deps.reports, weekly_sign.find(deps.state, one))
    return of_document(document)


def pin_whole(deps: Deps, now: datetime, since: datetime, until: datetime, *, actor: str) -> Weekly:
    """Pin a week that has ended. Where it was pinned while it lasted, its numbers stop there: then the whole week is a correction of that."""
    found = pin(deps, now, since, until, actor=actor)
    if from_text(found.until) < until <= now:
        return pin(deps, now, since, until, actor=actor, corrects=found.review_id, reason=ENDED)
    return found


def rebuild(deps: Deps, review_id: str) -> tuple[Weekly, list[str]]:
    """A recorded review made again as of its pin, and the sections that differ; none when it is identical. Raises Refused for an unknown id."""
    row = _recorded(deps.state, review_id)
    if row is None:
        known = ", ".join(one.artefact_id for one in deps.state.artefacts(KIND)) or "none"
        raise Refused(f"no review {review_id!r} is pinned; there are {known}")
    kept: dict[str, Any] = dict(row.summary)
    which = Version(kept["week"], kept["version"], kept["corrects"], kept["correction_reason"])
    again = make(
        deps,
        Pin(**kept["pin"]),
        from_text(kept["since"]),
        from_text(kept["until"]),
        which,
        registered_policy(deps.state, kept["policy"]["hash"]),
        kept["program_version"],
    )
    again = with_words(again)
    return again, differences(deps, review_id, kept, again)


def differences(deps: Deps, review_id: str, kept: Mapping[str, Any], again: Weekly) -> list[str]:
    """Names of what is not as it was pinned: sections, the record's own content, and the chains that the pin names."""
    now = json.loads(canonical(again.to_dict()))
    found = sorted(key for key in {*kept, *now} if kept.get(key) != now.get(key))
    hashes = {said.get("document_hash") for said in deps.state.vouched(EVENT, review_id)}
    if sha256_text(canonical(dict(kept))) not in hashes:
        found.append("record: the audit log vouches for other content")
    newest = int(rows_of(deps.warehouse, "review/pin", {})[0]["last_batch"])
    if newest < kept["pin"]["last_batch"]:
        found.append(f"facts: they end at batch {newest}, the review was made at batch {kept['pin']['last_batch']}")
    for name, rows in deps.state.chains().items():
        seq, head = kept["pin"][f"{name}_seq"], kept["pin"][f"{name}_head"]
        if seq and not any(row["seq"] == seq and row["hash"] == head for row in rows):
            found.append(f"record: the {name} chain has no row {seq} with the hash that was pinned")
    return found


def of_document(document: Mapping[str, Any]) -> Weekly:
    """The review as a value again. Raises SettingsError for what was written by another version of this program."""
    from controlplane.core.weekly import from_dict

    try:
        return from_dict(document)
    except (KeyError, TypeError) as error:
        raise SettingsError(f"review {document.get('review_id')} cannot be read by this version: {error}") from None


def with_words(found: Weekly) -> Weekly:
    """The review with the sentences that follow from its numbers."""
    from controlplane.core.weekly_words import words

    return rounded(replace(found, words=dict(words(found.to_dict()))))


def write_files(reports: Path, document: Mapping[str, Any]) -> None:
    """`review/ID.json`, as a whole or not at all; left alone where it is what it should be."""
    path = reports / KIND / f"{document['review_id']}.json"
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if not (path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text):
        write_whole(path, text)


def _recorded(state: StateReader, review_id: str) -> ArtefactRow | None:
    return next((row for row in state.artefacts(KIND) if row.artefact_id == review_id), None)


def _version(state: StateReader, week: str, corrects: str, reason: str) -> Version:
    """Which version is to be pinned: the first, the one that was begun, or the next one."""
    rows = [row.summary for row in state.artefacts(KIND) if row.summary.get("week") == week]
    newest = max(rows, key=lambda row: int(row["version"]), default=None)
    if not corrects:
        if newest is None:
            return Version(week)
        return Version(week, int(newest["version"]), str(newest["corrects"]), str(newest["correction_reason"]))
    if not reason.strip():
        raise Refused("a correction says why: give a reason")
    if newest is None:
        raise Refused(f"week {week} has no review to correct: pin it first")
    if newest["corrects"] == corrects and newest["correction_reason"] == reason:  # begun before, and stopped
        return Version(week, int(newest["version"]), corrects, reason)
    if not state.vouched(EVENT, str(newest["review_id"])):
        raise Refused(
            f"{newest['review_id']} was begun ({newest['correction_reason'] or 'the first of its week'}) and not finished: "
            f"`controlplane review weekly --week {week}` finishes it"
        )
    if newest["review_id"] != corrects:
        raise Refused(f"{corrects} is not the newest review of week {week}: correct {newest['review_id']}")
    return Version(week, int(newest["version"]) + 1, corrects, reason)


def _check_window(now: datetime, since: datetime, until: datetime) -> None:
    if until <= since:
        raise SettingsError(f"the week ends at {until.isoformat()}, not after its begin {since.isoformat()}")
    if now <= since:
        raise SettingsError(f"the week begins at {since.isoformat()}, which has not come: nothing is known of it")
