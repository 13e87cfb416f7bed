"""`controlplane policy backtest`: try a policy on history before it is trusted, report it, and record it in the workspace."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from controlplane.analysis.backtest import Request, Tick, backtest
from controlplane.analysis.backtest_html import page
from controlplane.analysis.backtest_incidents import Window
from controlplane.analysis.backtest_ramp import TooLittleHistory
from controlplane.core.policy import Policy
from controlplane.settings import Settings
from controlplane.store.backtest_facts import ARMS
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_rows import AuditEntry, Commit, to_text
from jobs.backtest_gate import FINISHED_EVENT, KIND, failing, vouched
from jobs.backtest_history import histories, microseconds, opened, read_windows, workspace_or_none
from jobs.compose import open_state
from jobs.console import BAD_INPUT, fail, stderr
from jobs.policy_files import named_policy

TOP = ("replays", "false_rollback", "harms", "rivals")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; `history` None = the workspace."""

    home: str | None
    policy: str
    history: Path | None
    replays: int
    seed: int
    arm: str
    out: Path | None
    incidents: Path | None
    actor: str


def backtest_command(options: Options, now: datetime) -> dict[str, Any]:
    """The result as it is printed. Ends with exit code 2 on bad input or too little history."""
    began = time.monotonic()
    if options.arm not in ARMS:
        fail(f"--arm {options.arm}: choose {', '.join(ARMS)}", BAD_INPUT)
    policy = named_policy(options.policy, options.home, now)
    windows = read_windows(options.incidents) if options.incidents is not None else ()
    settings = workspace_or_none(options.home)
    deploys: tuple[int, ...] = ()
    if settings is not None and options.history is None:
        with open_state(settings, now) as state:
            windows, deploys = windows or recorded_incidents(state), known_deploys(state)
    with opened(options.home, options.history, now) as warehouse:
        history, recorded = histories(warehouse, options.arm, both=bool(windows))
    request = Request(options.replays, options.seed, deploys, windows)
    try:
        with _bar() as tick:
            result = backtest(policy, history, request, recorded, tick)
    except TooLittleHistory as error:
        fail(f"too little history for a backtest: {error}", BAD_INPUT)
    complete(result, str(options.history or "workspace"), now, began)
    return _kept(options, settings, policy, result, now)


def complete(result: dict[str, Any], source: str, now: datetime, began: float) -> None:
    """Add where the history came from, what made the result, what it holds against the policy, and how long it took since `began` (monotonic)."""
    result["detail"] |= {"source": source, "code": version("controlplane"), "at": to_text(now)}
    result["failing"] = failing(result)
    result["seconds"] = round(time.monotonic() - began, 2)


def _kept(
    options: Options, settings: Settings | None, policy: Policy, result: dict[str, Any], now: datetime
) -> dict[str, Any]:
    """Write the report, record the result where there is a workspace, and say where."""
    artefact = name_of(policy, now)
    out = options.out
    if out is None and settings is not None:
        out = settings.workspace.reports / KIND / f"{artefact}.html"
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page(result), encoding="utf-8")
    recorded = None
    if settings is not None:
        with open_state(settings, now) as state:
            record(state, artefact, str(out), policy, result, options.actor, now)
        recorded = artefact
    top = {name: result[name] for name in TOP}
    rest = {"ok": not result["failing"], "failing": result["failing"], "policy_hash": policy.hash, "recorded": recorded}
    return {
        **top,
        "seconds": result["seconds"],
        **rest,
        "report": None if out is None else str(out),
        "detail": result["detail"],
    }


def name_of(policy: Policy, now: datetime) -> str:
    """The id of a backtest that is recorded now."""
    return f"backtest-{policy.hash[:8]}-{now:%Y%m%dT%H%M%S%f}"


def record(
    state: StateWriter, artefact: str, path: str, policy: Policy, result: Mapping[str, Any], actor: str, now: datetime
) -> None:
    """One artefact and one audit row; the gate at `release start` wants both to agree."""
    about = result["detail"]["history"]
    rollbacks = result["false_rollback"]
    summary = {
        "policy_hash": policy.hash,
        "policy": policy.name,
        "verdict": rollbacks["verdict"],
        "failing": list(result["failing"]),
        "false_rollback": {
            key: rollbacks[key] for key in ("count", "replays", "lower95", "upper95", "promised", "triggers", "judged")
        },
        "history": {key: about[key] for key in ("hash", "conversations", "units", "from", "to", "arm")},
        "seed": result["detail"]["seed"],
        "code": result["detail"]["code"],
    }
    state.record_artefact(artefact, KIND, path, summary, now)
    reason = "; ".join(result["failing"]) or f"verdict {rollbacks['verdict']}"
    entry = AuditEntry(actor, FINISHED_EVENT, artefact, reason, vouched(summary))
    state.commit(Commit(audit=(entry,)), now)


def recorded_incidents(state: StateReader) -> tuple[Window, ...]:
    """Incidents of the workspace: from their onset, or else their detection, to the cut or resolution."""
    found = []
    for row in state.incidents():
        start, end = row.onset_at or row.detected_at, row.cut_at or row.resolved_at or row.detected_at
        if end > start:
            found.append(Window(row.title, microseconds(start), microseconds(end)))
    return tuple(found)


def known_deploys(state: StateReader) -> tuple[int, ...]:
    """Known deploys of the workspace's rollout, in microseconds: they draw weight in a replay as they did."""
    rollout = state.rollout()
    history = state.stages(rollout.rollout_id) if rollout is not None else []
    return tuple(microseconds(row.started_at) for row in history if row.event == "deploy")


class _bar:
    """A progress bar on stderr, as a `Tick`."""

    def __init__(self) -> None:
        columns = (
            TextColumn("backtest"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=stderr, disable=not stderr.is_terminal, transient=True)

    def __enter__(self) -> Tick:
        self._progress.__enter__()
        task = self._progress.add_task("replays", total=None)

        def tick(part: str, done: int, of: int) -> None:
            self._progress.update(task, description=part, completed=done, total=of)

        return tick

    def __exit__(self, *error: Any) -> None:
        self._progress.__exit__(*error)


def text(result: Mapping[str, Any]) -> str:
    """What a person reads in the terminal."""
    rollbacks, detail = result["false_rollback"], result["detail"]
    words = {
        "kept": "keeps its promise",
        "broken": "BREAKS its promise",
        "not shown": "is not shown to keep its promise (too few replays for the bound)",
    }
    lines = [
        f"policy '{detail['policy']['name']}' {words[rollbacks['verdict']]}: {rollbacks['count']} of {rollbacks['replays']} harmless replays "
        f"rolled back, at most {rollbacks['upper95']:.2%} with 95 % confidence, promised {rollbacks['promised']:.2%}",
        f"  judged: {rollbacks['judged']} of {rollbacks['triggers']} triggers that roll back; alarms of any trigger in "
        f"{rollbacks['any_alarm']['count']} replays; this history puts at most {rollbacks['at_stake']:.2%} of false rollbacks at stake",
        f"  history: {detail['history']['conversations']} conversations ({detail['history']['units']} units) of arm "
        f"{detail['history']['arm']}, {detail['history']['from']} to {detail['history']['to']}",
        *(f"  {note}" for note in detail["history"]["notes"]),
        *(f"  {name}: {how}; not counted as a false rollback" for name, how in detail["breaks"].items()),
        *(f"  {name} was not judged: {why}" for name, why in detail["untested"].items()),
        "harm                                               found   minutes (median, p95)   exposed",
        *(_harm_line(row) for row in result["harms"]),
        *_incident_lines(detail["incidents"]),
        "the same harmless replays under other rules:",
        *(f"  {name:<24}{rival['false_rollback']:>8.1%} rolled back" for name, rival in result["rivals"].items()),
        "stress:",
        *(f"  {row['name']:<24}{row['share']:>8.1%}  {row['verdict']}" for row in detail["stress"]),
        *(f"FAILING: {reason}" for reason in result["failing"]),
        f"report: {result['report'] or 'none (name one with --out)'}; {result['seconds']:.1f} s",
    ]
    return "\n".join(lines)


def _incident_lines(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    lines = [f"incidents ({found['mode']}):"]
    for window in found["windows"]:
        fired = (
            f"{', '.join(window['streams'])} after {window['after_minutes']:g} minutes"
            if window["fired"]
            else "nothing fired"
        )
        lines.append(f"  {window['name']}: {fired if window['in_history'] else 'outside the history'}")
    return [
        *lines,
        *(f"  outside all windows: {alarm['stream']} at {alarm['at']}" for alarm in found["alarms_outside"]),
    ]


def _harm_line(row: Mapping[str, Any]) -> str:
    median = "-" if row["detect_minutes"] is None else f"{row['detect_minutes']:g}"
    p95 = "-" if row["p95_minutes"] is None else f"{row['p95_minutes']:g}"
    exposed = "-" if row["exposed"] is None else row["exposed"]
    return f"  {row['name']:<48}{row['found']:>6.0%}   {median:>8}, {p95:<12} {exposed:>9}"
