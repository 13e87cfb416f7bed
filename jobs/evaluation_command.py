"""`controlplane eval register | run | list | show`: from options to the evaluation and back to text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from controlplane.core.model import Verdict
from controlplane.evaluation.cases import CaseError
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import RunRow
from controlplane.store.state_rows import to_text
from jobs import datasets
from jobs.compose import open_state, workspace_settings
from jobs.console import stderr
from jobs.evaluation_criteria import KIND as CHANGE_KIND
from jobs.evaluation_criteria import change_text
from jobs.evaluation_run import Candidate, Finished, find_criteria, outcomes_of, plan, register, run
from jobs.evaluation_run import run_json as run_json
from jobs.refused import Refused


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be evaluated: a release file of the embedded assistant, or the records of another one with its artefacts."""

    release: Path | None = None
    label: str | None = None
    replies: tuple[Path, ...] = ()
    artefacts: dict[str, str] | None = None
    story_service: bool = False
    api_key: str = field(default="", repr=False)


def register_command(
    home: str | None, file: Path, name: str | None, actor: str, now: datetime, reason: str = ""
) -> dict[str, Any]:
    """The registered criteria, with what they change and what they would have meant for recorded runs. Raises CriteriaError, Refused."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CaseError(f"{file}: there is no such file: name a criteria file (TOML)") from None
    except UnicodeDecodeError as error:
        raise CaseError(f"{file}: is no UTF-8 text: {error}") from None
    settings = workspace_settings(home)
    with open_state(settings, now) as state:
        before = state.criteria()
        outcomes = settings.workspace.evaluations
        row, new = register(state, text, str(file), actor, now, name, reason=reason, outcomes=outcomes)
        changes = {one.summary["criteria_hash"]: one.summary for one in state.artefacts(CHANGE_KIND)}
    earlier = [item.criteria_hash for item in before if item.name == row.name]
    in_force = row.criteria_hash if new else earlier[-1]
    value = asdict(row) | {"registered_at": to_text(row.registered_at), "new": new, "in_force": in_force}
    value["replaces"] = earlier[-1] if new and earlier else None
    value.pop("text")
    change = changes.get(row.criteria_hash)
    return value | {"change": change if new else None}


def registered_text(value: dict[str, Any]) -> str:
    """What was registered, the hash first: it is what `eval run` takes."""
    pinned = ", ".join(f"{name}@{version[:12]}" for name, version in value["datasets"].items()) or "any data set"
    state = "registered" if value["new"] else "registered before"
    lines = [value["criteria_hash"], f"{value['name']} for {pinned}: {state} at {value['registered_at']}"]
    if value["replaces"] is not None:
        lines.append(f"it replaces {value['replaces'][:12]}: runs under that one no longer open the gate")
    lines += change_text(value["change"] or {})
    if value["in_force"] != value["criteria_hash"]:
        lines.append(
            f"NOT in force: {value['in_force'][:12]} was registered later; change the text to register it anew"
        )
    return "\n".join(lines)


def run_command(
    home: str | None,
    data: Sequence[str],
    criteria: str,
    subject: Subject,
    baseline: str | None,
    seed: int,
    actor: str,
    clock: Callable[[], datetime],
    *,
    html: Path | None = None,
    quiet: bool = False,
) -> Finished:
    """Evaluate and record. Raises Refused before anything is measured, CaseError for files that cannot be used."""
    settings = workspace_settings(home, must_exist=True)
    workspace = settings.workspace
    with open_state(settings, clock()) as state:
        wanted = [_registered(state, item) for item in data]
        find_criteria(state, criteria)  # before the release is built: that takes seconds
        candidate = _candidate(subject, workspace.models, seed)
        planned = plan(state, workspace.datasets, wanted, criteria, candidate.release_hash)
        folders = (workspace.datasets, workspace.evaluations)
        with progress_bar(len(planned.cases), quiet) as progress:
            done = run(state, folders, candidate, wanted, criteria, seed, actor, clock, progress, baseline)
    if html is not None:
        write_report(html, done)
    return done


def write_report(path: Path, done: Finished) -> None:
    """The HTML report of a finished run."""
    from controlplane.evaluation.report_html import report

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report(run_json(done.run), done.outcomes, done.cases), encoding="utf-8")


def _registered(state: StateReader, item: str) -> str:
    """NAME@VERSION of an option of --data: a name, else a file whose content is a registered version. Raises Refused."""
    path = Path(item)
    if state.dataset_versions(item.partition("@")[0]):
        return item  # also where a file has that name
    if not path.is_file():
        if path.suffix:
            raise Refused(f"{item}: there is no such file; name a file, or a data set (`controlplane dataset list`)")
        return item
    from controlplane.evaluation.datasets import DataSet
    from controlplane.evaluation.rows_from import Columns, cases_of_file

    version = DataSet.of(cases_of_file(path, Columns()), str(path)).version
    found = datasets.registered(state, version)
    if found is None:
        raise Refused(
            f"{item}: its content ({version[: datasets.SHOWN]}) is no registered data-set version, or was changed since: "
            f"`controlplane dataset add NAME {item}` registers it, then register criteria for it"
        )
    return f"{found.name}@{found.version}"


def _candidate(subject: Subject, models: Path, seed: int) -> Candidate:
    from jobs.evaluation_subject import embedded, read_release, recorded

    if not subject.replies:
        if subject.artefacts:
            raise Refused("--artefact belongs to --replies: the embedded assistant's hashes are computed")
        config, remote, own = read_release(subject.release, subject.api_key)
        service = subject.story_service
        return embedded(config, models, seed, story_service=service, label=subject.label, remote=remote, own=own)
    if subject.release is not None:
        raise Refused("--release is run here, --replies were given elsewhere: name one of both")
    if not subject.label or not subject.artefacts:
        raise Refused("--replies need --label NAME and at least one --artefact NAME=HASH: what was it that answered?")
    return recorded(subject.label, subject.artefacts, subject.replies)


@contextmanager
def progress_bar(total: int, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, from the first row on; silent where stderr is no terminal and the caller wants JSON."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=stderr, disable=quiet and not sys.stderr.isatty())
    task = bar.add_task("evaluating", total=total)

    def show(done: int, _all: int) -> None:
        bar.start()  # does nothing the second time
        bar.update(task, completed=done)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def passed(row: RunRow) -> bool:
    """Whether a run lets its release in."""
    return row.verdict == Verdict.PASS.name


def run_text(row: RunRow) -> str:
    """A run for people: the answer, every criterion, what to do next."""
    if row.result is None:
        return f"{row.run_id}: begun {to_text(row.started_at)} and not ended; run it again"
    data = ", ".join(f"{name}@{version[:12]}" for name, version in row.datasets.items())
    lines = [
        f"{row.verdict}: {row.release} ({row.release_hash[:12]}) on {row.result['rows']} rows of {data}, seed {row.seed}"
    ]
    for item in row.result["criteria"]:
        verdict = item["verdict"] if item["applied"] else "NOT APPLIED"
        lines.append(f"  {verdict:12} {item['name']}: {item['reason']}")
    lines.extend(_source_lines(row.result.get("source") or {}))
    lines.append(f"run {row.run_id} under {row.criteria_name} ({row.criteria_hash[:12]})")
    if row.verdict == Verdict.PASS.name:
        lines.append(f"it may start: `controlplane release start {row.release} --evaluated {row.run_id} --actor YOU`")
    return "\n".join(lines)


def _source_lines(source: dict[str, Any]) -> list[str]:
    """Where the outcomes come from, where that is not what one expects."""
    if source.get("files"):
        files = ", ".join(f"{name} (sha256 {digest[:12]})" for name, digest in sorted(source["files"].items()))
        return [f"the answers were not given here: records {files}, artefacts as declared"]
    if source.get("service") == "simulated":
        return ["latencies and failures are those of the simulated service"]
    return []


def list_command(home: str | None, now: datetime) -> list[RunRow]:
    """All runs, oldest first."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        return state.evaluation_runs()


def list_line(row: RunRow) -> str:
    """One run in one line."""
    data = ", ".join(f"{name}@{version[:12]}" for name, version in row.datasets.items())
    verdict = row.verdict or "not ended"
    return f"{row.run_id}  {row.started_at:%Y-%m-%d %H:%M}Z  {verdict:12}  {row.release} {row.release_hash[:12]}  {row.criteria_name}  {data}"


def summary_json(row: RunRow) -> dict[str, Any]:
    """A run without its figures."""
    value = run_json(row)
    names = RunRow.__dataclass_fields__
    return {key: item for key, item in value.items() if key in names}


def show_command(
    home: str | None, run_id: str, html: Path | None, now: datetime
) -> tuple[RunRow, list[dict[str, Any]]]:
    """A run and the rows it got wrong, with what was said. Raises Refused for an unknown run or one that was changed."""
    from jobs.evaluation_gate import vouched_run

    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        row = find_run(state, run_id)
        if row.result is None and html is not None:
            raise Refused(f"evaluation {run_id} was begun and not ended: there is no report of it, run it again")
        if row.result is None:
            return row, []
        if (problem := vouched_run(state, row)) is not None:
            raise Refused(problem)
        outcomes = outcomes_of(state, settings.workspace.evaluations, row)
        cases = {}
        for name, version in row.datasets.items():
            loaded = datasets.load(state, settings.workspace.datasets, f"{name}@{version}")
            several = len(row.datasets) > 1
            cases.update({f"{name}/{case.id}" if several else case.id: case for case in loaded.rows.cases})
    if html is not None:
        from controlplane.evaluation.report_html import report

        html.parent.mkdir(parents=True, exist_ok=True)
        found = [_renamed(case, key) for key, case in cases.items()]
        html.write_text(report(run_json(row), outcomes, found), encoding="utf-8")
    wrong = [
        {"id": item.id, "text": cases[item.id].turns[0], "why": list(item.wrong), "said": list(item.said)}
        for item in outcomes
        if item.wrong
    ]
    return row, wrong


def _renamed(case: Any, key: str) -> Any:
    from dataclasses import replace

    return replace(case, id=key)


def find_run(state: StateReader, run_id: str) -> RunRow:
    """The run of that id. Raises Refused."""
    for row in state.evaluation_runs():
        if row.run_id == run_id:
            return row
    raise Refused(f"there is no evaluation {run_id!r}: `controlplane eval list` shows them")
