"""Offline evaluation with acceptance criteria fixed beforehand: register criteria, run a release on data sets, judge, record.

"Beforehand" is held to this (docs/adr/0006): criteria are registered, with the versions of the data sets that they are for, **before anybody has
run this release on that data**. A run is recorded before it measures anything, so whoever stops one half-way has still looked. The order is that
of the audit log, not of clocks. Criteria may be registered after *other* releases were seen: that is how lines are drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from controlplane.core.acceptance import Criteria
from controlplane.core.acceptance_file import parse_criteria
from controlplane.core.audit import canonical, sha256_text, verify
from controlplane.evaluation.cases import Case
from controlplane.evaluation.measures import Correct
from controlplane.evaluation.runner import Outcome, outcome_of
from controlplane.evaluation.verdicts import Baseline, Judged, judge
from controlplane.store import content_files
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_evaluation import (
    CRITERIA_EVENT,
    STARTED_EVENT,
    CriteriaRow,
    RunRow,
    criteria_identity,
    result_identity,
)
from controlplane.store.state_rows import to_text
from jobs import datasets
from jobs.evaluation_criteria import need_reason, record_change
from jobs.evaluation_gate import SHORTEST_HASH, is_named, lost_evaluation, untrusted_criteria, vouched_run
from jobs.refused import Refused

OUTCOMES_HEADER = "controlplane evaluation outcomes 1\n"
Measure = Callable[[Sequence[Case]], Iterable[Outcome]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is evaluated: its label, the hashes it is made of, and how it answers rows. `check` raises before anything is recorded.

    `source` says where the outcomes come from, run here or handed in, and stands in the result: hashes alone do not tell.
    """

    label: str
    artefacts: Mapping[str, str]
    measure: Measure
    check: Callable[[Sequence[Case]], None] = lambda _cases: None
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def release_hash(self) -> str:
        """Identity of the release, as the rollout knows it."""
        return sha256_text(canonical(dict(self.artefacts)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do; made only when nothing speaks against it."""

    criteria: Criteria
    row: CriteriaRow
    datasets: dict[str, str]
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A recorded run with its outcomes."""

    run: RunRow
    judged: Judged
    outcomes: tuple[Outcome, ...]
    cases: tuple[Case, ...]


def register(
    state: StateWriter,
    text: str,
    source: str,
    actor: str,
    now: datetime,
    name: str | None = None,
    *,
    reason: str = "",
    outcomes: Path | None = None,
) -> tuple[CriteriaRow, bool]:
    """Keep criteria with the versions of their data sets; False beside the row when exactly these were registered before.

    `reason`: why they replace those of the same name. `outcomes`: the folder of recorded outcomes, to tell what they would have meant for past
    runs. Raises CriteriaError with every problem, Refused for a data set that is not there or a change without a reason.
    """
    criteria = parse_criteria(text, source)
    pinned = {}
    for wanted in criteria.datasets:
        found = datasets.find(state, wanted)
        pinned[found.name] = found.version
    row = CriteriaRow(
        criteria_hash=criteria_identity(text, pinned),
        name=name or criteria.name,
        owner=criteria.owner,
        text=text,
        datasets=pinned,
        actor=actor,
        registered_at=now,
    )
    before = need_reason(state, row, reason)
    if state.register_criteria(row):
        if before is not None or reason.strip():
            record_change(state, row, before, reason, outcomes or Path(), now)
        return row, True
    known = next(item for item in state.criteria() if item.criteria_hash == row.criteria_hash)
    if known.name != row.name:
        raise Refused(
            f"these criteria are registered already, as {known.name}: a name of its own needs a text of its own"
        )
    return known, False


def plan(state: StateReader, folder: Path, data: Sequence[str], criteria: str, release_hash: str) -> Plan:
    """Everything that must hold before a run. Raises Refused naming what does not, with the remedy."""
    if (broken := verify(state.audit_rows())) is not None:
        raise Refused(
            f"the audit log is broken at row {broken.seq}, so nothing vouches for criteria: `controlplane audit verify`"
        )
    row = find_criteria(state, criteria)
    if (problem := untrusted_criteria(state, row)) is not None:
        raise Refused(problem)
    loaded = [datasets.load(state, folder, wanted) for wanted in data]
    _need_distinct(loaded)
    versions = {item.row.name: item.row.version for item in loaded}
    _need_pinned(row, versions)
    for item in loaded:
        _need_beforehand(state, row, item, release_hash)
    return Plan(parse_criteria(row.text, row.name), row, versions, _merged(loaded))


def find_criteria(state: StateReader, wanted: str) -> CriteriaRow:
    """Registered criteria by name (the newest) or by eight digits or more of their hash. Raises Refused."""
    found = [row for row in state.criteria() if is_named(row, wanted)]
    if not found:
        hint = f" (a hash has at least {SHORTEST_HASH} digits)" if len(wanted) < SHORTEST_HASH else ""
        raise Refused(
            f"no criteria {wanted!r} are registered{hint}: acceptance criteria come first, `controlplane eval register FILE`"
        )
    return found[-1]


def _need_distinct(loaded: Sequence[datasets.Loaded]) -> None:
    if not loaded:
        raise Refused("name at least one data set with --data")
    names = [item.row.name for item in loaded]
    if len(set(names)) < len(names):
        raise Refused(f"--data names {', '.join(names)}: each data set once")


def _need_pinned(row: CriteriaRow, versions: Mapping[str, str]) -> None:
    """The run is on exactly the data that the criteria were registered for, where they name any."""
    if not row.datasets:
        return
    short = datasets.SHOWN
    for name, pinned in row.datasets.items():
        if name not in versions:
            raise Refused(
                f"criteria {row.criteria_hash[:short]} are for data set {name}@{pinned[:short]} too: name it with --data"
            )
        if versions[name] != pinned:
            raise Refused(
                f"data set {name} was changed after the criteria were registered: they are for {pinned[:short]}, this is "
                f"{versions[name][:short]}; run on {name}@{pinned[:short]}, or register the criteria again for the new version"
            )
    extra = sorted(set(versions) - set(row.datasets))
    if extra:
        raise Refused(
            f"criteria {row.criteria_hash[:short]} are not for {', '.join(extra)}: leave it out, or register criteria for it"
        )


def _need_beforehand(state: StateReader, row: CriteriaRow, item: datasets.Loaded, release_hash: str) -> None:
    """Criteria stand in the audit log before the first run of this release on this data."""
    if (lost := lost_evaluation(state, release_hash)) is not None:
        raise Refused(lost)
    for entry in state.audit_rows():
        if (entry["event"], entry["subject"]) == (CRITERIA_EVENT, row.criteria_hash):
            return
        if entry["event"] != STARTED_EVENT:
            continue
        said = json.loads(entry["payload"])
        if said["release_hash"] == release_hash and item.row.version in said["datasets"].values():
            raise Refused(
                f"criteria {row.criteria_hash[: datasets.SHOWN]} were registered after this release was run on "
                f"{item.row.name}@{item.row.version[: datasets.SHOWN]} (evaluation {entry['subject']}, {said['started_at']}): criteria that "
                "may know the result prove nothing. Use criteria registered before, or a data-set version that this release has not seen"
            )


def _merged(loaded: Sequence[datasets.Loaded]) -> tuple[Case, ...]:
    if len(loaded) == 1:
        return loaded[0].rows.cases
    return tuple(replace(case, id=f"{item.row.name}/{case.id}") for item in loaded for case in item.rows.cases)


def run(
    state: StateWriter,
    folders: tuple[Path, Path],
    candidate: Candidate,
    data: Sequence[str],
    criteria: str,
    seed: int,
    actor: str,
    clock: Callable[[], datetime],
    progress: Progress = lambda _done, _all: None,
    baseline: str | None = None,
) -> Finished:
    """Evaluate a release and record it. `folders`: of data sets, of outcomes. Raises Refused before anything is measured.

    Interrupted at any point it leaves a run that is begun and not ended; the next one begins anew, with the same result.
    """
    datasets_folder, outcomes_folder = folders
    planned = plan(state, datasets_folder, data, criteria, candidate.release_hash)
    candidate.check(planned.cases)
    before = find_baseline(state, outcomes_folder, planned, candidate.release_hash, seed, None)
    shown = (
        None
        if baseline is None
        else find_baseline(state, outcomes_folder, planned, candidate.release_hash, seed, baseline)
    )
    row = _begun(planned, candidate, seed, actor, clock(), len(state.evaluation_runs()))
    state.begin_evaluation(row)
    outcomes: list[Outcome] = []
    for outcome in candidate.measure(planned.cases):
        outcomes.append(outcome)
        progress(len(outcomes), len(planned.cases))
    accepted = accepted_release(state, candidate.release_hash) is not None
    judged = judge(
        planned.criteria, outcomes, before, seed, accepted_before=accepted, correct=correction(), shown=shown
    )
    stored = content_files.save(
        outcomes_folder, "".join(f"{canonical(item.row())}\n" for item in outcomes), OUTCOMES_HEADER
    )
    now = clock()
    found = judged.value | {"source": dict(candidate.source)}
    ended = replace(row, finished_at=now, verdict=judged.verdict.name, result=found, outcomes_hash=stored)
    ended = replace(ended, result_hash=result_identity(ended))
    state.finish_evaluation(ended, now)
    return Finished(ended, judged, tuple(outcomes), planned.cases)


def correction() -> Correct | None:
    """The groundedness detector's own error, for the corrected hallucination rate; None where its calibration does not say it.

    It was measured on the calibration's labelled answers and carries over as far as ours resemble them: read it beside the reported rate.
    """
    from controlplane.assistant.groundedness_calibration import shipped_calibration
    from controlplane.evaluation.corrected_rate import Share
    from controlplane.evaluation.groundedness import corrector

    known = shipped_calibration().metrics
    if not {"rows", "prevalence", "sensitivity", "specificity"} <= set(known):
        return None
    bad = round(known["rows"] * known["prevalence"])
    good = known["rows"] - bad
    return corrector(Share(round(known["sensitivity"] * bad), bad), Share(round(known["specificity"] * good), good))


def _begun(planned: Plan, candidate: Candidate, seed: int, actor: str, now: datetime, number: int) -> RunRow:
    identity = {
        "number": number,
        "release": candidate.release_hash,
        "criteria": planned.row.criteria_hash,
        "datasets": planned.datasets,
        "seed": seed,
        "at": to_text(now),
    }
    return RunRow(
        run_id=f"ev-{sha256_text(canonical(identity))[:10]}",
        release=candidate.label,
        release_hash=candidate.release_hash,
        artefacts=dict(candidate.artefacts),
        criteria_hash=planned.row.criteria_hash,
        criteria_name=planned.row.name,
        datasets=planned.datasets,
        seed=seed,
        code_version=version("controlplane"),
        actor=actor,
        started_at=now,
    )


def accepted_release(state: StateReader, besides: str) -> str | None:
    """Hash of the release that was let in last and not rolled back, other than `besides`."""
    gone = state.rolled_back()
    rows = [row for row in state.started_releases() if row not in gone and row != besides]
    return rows[-1] if rows else None


def find_baseline(
    state: StateReader, folder: Path, planned: Plan, candidate: str, seed: int, wanted: str | None
) -> Baseline | None:
    """The finished run to compare with, on the same data with the same seed: of the accepted release, or of the run or release named.

    Raises Refused for a named one that has none, or that was changed. None: there is nothing to compare with.
    """
    accepted = accepted_release(state, candidate)
    runs = [
        row
        for row in state.evaluation_runs()
        if row.finished_at is not None and row.datasets == planned.datasets and row.seed == seed
    ]
    if wanted is not None:
        runs = [
            row
            for row in runs
            if wanted in (row.run_id, row.release) or (len(wanted) >= 8 and row.release_hash.startswith(wanted))
        ]
        if not runs:
            raise Refused(
                f"baseline {wanted!r} has no finished run on the same data with seed {seed}: evaluate it there first, "
                "`controlplane eval run --release ITS.toml`"
            )
    else:
        runs = [row for row in runs if row.release_hash == accepted]
    if not runs:
        return None
    return Baseline(runs[-1].run_id, runs[-1].release, outcomes_of(state, folder, runs[-1]))


def outcomes_of(state: StateReader, folder: Path, row: RunRow) -> tuple[Outcome, ...]:
    """The outcomes of a finished run. Raises Refused for a run that was changed, ContentError for outcomes that were."""
    if row.outcomes_hash is None:
        raise Refused(f"evaluation {row.run_id} was begun and not ended: it has no outcomes")
    if (problem := vouched_run(state, row)) is not None:
        raise Refused(problem)
    text = content_files.load(folder, row.outcomes_hash, OUTCOMES_HEADER)
    return tuple(outcome_of(json.loads(line)) for line in text.split("\n") if line)


def run_json(row: RunRow) -> dict[str, Any]:
    """A run as one JSON object: who, what, when, and what it found."""
    value: dict[str, Any] = {name: getattr(row, name) for name in RunRow.__dataclass_fields__ if name != "result"}
    for name in ("started_at", "finished_at"):
        value[name] = None if value[name] is None else to_text(value[name])
    return value | {key: item for key, item in (row.result or {}).items() if key != "verdict"}
