"""What a person asks of drift that needs the facts: run here, or by the control process that has them open (`jobs.work`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from controlplane.analysis.drift_timeline import sparkline
from controlplane.settings import SettingsError
from jobs import drift_timeline
from jobs.deps import Deps
from jobs.drift import Plan, run, settings_of, start
from jobs.drift_reference import Reference, add, choose
from jobs.drift_rows import Rows, compared, export
from jobs.drift_windows import Window, against, current_of, known_until, rows
from jobs.refused import Refused

EMPTY = "there is no data in {which} window ({since} to {until}{of}): {remedy}"
REMEDY = "ingest logs with time stamps first, or name other windows"


def run_windows(
    deps: Deps, now: datetime, *, progress: Callable[[float, str], None] = lambda _part, _text: None, **asked: Any
) -> Mapping[str, Any]:
    """An analysis of two windows of the workspace: as asked, else by the policy. Raises Refused when one has no data.

    Keys of `asked`: hours, days, since, until, reference, release, against, arm, against_arm, report (all but the last may be None).
    `progress` is told how far it is, as a part of 1 and in words.
    """
    progress(0.02, "looking for both windows")
    with deps.warehouse.cursor() as cursor:
        reference, current = _windows(deps, cursor, asked)
        for which, window in (("the current", current), ("the reference", reference.window)):
            _not_empty(cursor, which, window)
    plan = plan_of(deps, "person", reference, report=bool(asked.get("report", True)))
    progress(0.1, "reading both windows and comparing every column")
    running = start(deps, now, reference.window, current, plan)
    progress(0.6, "drawing Evidently's report" if plan.report else "keeping the analysis")
    outcome = running.finish()
    return answer(outcome.summary, outcome.folder)


def plan_of(deps: Deps, trigger: str, reference: Reference, *, report: bool = True) -> Plan:
    """An analysis by the policy's thresholds that tells people."""
    return Plan(
        trigger=trigger,
        reference=reference,
        settings=settings_of(deps.policy),
        alert_columns=deps.policy.drift.alert_columns,
        policy_hash=deps.policy.hash,
        tell=True,
        report=report,
        dashboard_url=deps.dashboard_url,
    )


def monthly(deps: Deps, now: datetime, due: datetime, *, report: bool = True) -> str:
    """The scheduled analysis of the policy's window before its due time, however late it runs; its id."""
    length = timedelta(days=deps.policy.drift.window_days)
    current = Window(f"last {deps.policy.drift.window_days:g} days", due - length, due)
    with deps.warehouse.cursor() as cursor:
        try:
            reference, current = choose(deps, cursor, current, deps.policy.drift.reference)
        except SettingsError as error:  # a name that nobody registered: the month is not lost for it
            reference, current = choose(deps, cursor, current, "previous")
            reference = replace(reference, note=f"{error}; the span before instead")
    return run(deps, now, reference.window, current, plan_of(deps, "monthly", reference, report=report)).artefact_id


def add_reference(deps: Deps, now: datetime, **asked: Any) -> Mapping[str, Any]:
    """Keep a named window."""
    return add(deps, now, **asked)


def timeline(deps: Deps, now: datetime, **asked: Any) -> Mapping[str, Any]:
    """Distance of each column to the reference over the last days, without an artefact. Raises Refused without data.

    Keys of `asked`: days, column, reference, arm, release (each may be None).
    """
    days = float(asked.get("days") or deps.policy.drift.window_days)
    with deps.warehouse.cursor() as cursor:
        reference, current = _windows(deps, cursor, {**asked, "days": days})
        for which, window in (("the current", current), ("the reference", reference.window)):
            _not_empty(cursor, which, window)
        with TemporaryDirectory(dir=deps.home) as folder:
            exported = Rows(cursor, Path(folder), leave_out=("arm",) if current.arm else ())
            known = known_until(cursor, now)
            export(exported, reference.window, current, known)
            result, _ = compared(exported, settings_of(deps.policy))
            _watched(asked.get("column"), [column.column for column in result.columns])
            kept = deps.home / "reports" / "drift" / "days"
            shown = drift_timeline.whole_days(current)
            found = drift_timeline.measure(exported, reference.window, current, shown, known, kept)
    onsets = drift_timeline.began(found, result, settings_of(deps.policy))
    names = [column.column for column in result.columns if column.column in found.scores]
    if asked.get("column") is not None:
        _watched(asked["column"], names)
        names = [asked["column"]]
    told = result.to_dict()["columns"]
    columns = {}
    for name in names:
        series, top = found.scores[name], 2 * told[name]["threshold"]
        own = {key: told[name][key] for key in ("verdict", "score", "threshold", "method", "reason")}
        own |= {"timeline": found.column(name), "sparkline": sparkline(series, top)}
        columns[name] = own | drift_timeline.onset_json(onsets.get(name), found)
    head = {"reference": reference.to_dict(), "windows": {"current": current.to_dict()}, "days_read": found.read}
    return head | {"timeline": found.head(), "columns": columns}


def _watched(column: str | None, names: list[str]) -> None:
    if column is not None and column not in names:
        raise SettingsError(f"no column {column!r} is watched: there are {', '.join(names)}")


def answer(summary: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What the command prints: the summary with the ways to its files, and where the report is."""
    report = summary["report"]
    return {
        "artefact": summary["artefact_id"],
        **{key: value for key, value in summary.items() if key not in ("artefact_id", "evidently")},
        "report": str(folder / report) if report else None,
        "summary": str(folder / "summary.json"),
    }


def _windows(deps: Deps, cursor: duckdb.DuckDBPyConnection, asked: Mapping[str, Any]) -> tuple[Reference, Window]:
    _consistent(asked)
    current = current_of(cursor, asked, deps.policy.drift.window_days)
    if current is None:
        of = "".join(f" of {key} {asked[key]}" for key in ("release", "arm") if asked.get(key))
        raise Refused(f"there are no interactions{of} with a time: {REMEDY}")
    other = against(cursor, current, asked)
    if other is not None:
        return Reference(other.label, other), current
    return choose(deps, cursor, current, asked.get("reference") or deps.policy.drift.reference)


def _consistent(asked: Mapping[str, Any]) -> None:
    ways = [name for name in ("reference", "against", "against_arm") if asked.get(name)]
    if len(ways) > 1:
        raise SettingsError(
            f"{' and '.join('--' + way.replace('_', '-') for way in ways)} each name a reference: give one"
        )
    for name, needs in (("against", "release"), ("against_arm", "arm")):
        if asked.get(name) and not asked.get(needs):
            raise SettingsError(f"--{name.replace('_', '-')} names what --{needs} is compared with: give both")
    if asked.get("hours") and asked.get("days"):
        raise SettingsError("--hours and --days are both lengths of the window: give one")


def _not_empty(cursor: duckdb.DuckDBPyConnection, which: str, window: Window) -> None:
    if rows(cursor, window):
        return
    told = window.to_dict()
    of = "".join(f", {kind} {told[kind]}" for kind in ("release", "arm") if told.get(kind))
    raise Refused(EMPTY.format(which=which, since=told["since"], until=told["until"], of=of, remedy=REMEDY))
