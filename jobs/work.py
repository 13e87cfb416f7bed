"""Work on the facts that a person asks for: done here, or by the control process while one has them open.

The facts have one writer, which locks every other process out. `do` runs a named piece of work with open stores when no control process runs;
else it leaves a request in `work/` of the workspace and waits for the answer, as ingest does (docs/adr/0005). The control process works requests
off in a job of its own, beside the heartbeat, so that an analysis of minutes delays no decision. A request stays until its answer is written; if
the process dies in between, whoever waits is told, and the next process answers what is left.

Work is a function `(deps, now, **arguments) -> JSON-ready mapping`, named as "module:function" in `WORK`; it is imported when it is asked for.
Arguments are JSON values, paths absolute. Known errors (`Refused`, `SettingsError`, `ValueError`, files) reach the person as their message.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from controlplane.settings import Settings, SettingsError
from controlplane.store.warehouse import Warehouse
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.console import OUTSIDE, fail, plain
from jobs.deps import Deps
from jobs.process import announced
from jobs.refused import Refused

log = logging.getLogger("controlplane.jobs")

Answer = dict[str, Any]
Function = Callable[..., Mapping[str, Any]]

KEPT_SECONDS = 24 * 3600.0
WAIT_SECONDS = 0.2
WORK: dict[str, str] = {
    "metric_register": "jobs.metric_definitions:register",
    "experiment": "jobs.experiment_analyze_rollout:measure",
    "csat": "jobs.csat:measure",
    "drift_run": "jobs.drift_work:run_windows",
    "drift_timeline": "jobs.drift_work:timeline",
    "drift_reference_add": "jobs.drift_work:add_reference",
    "review_draw": "jobs.review_draw:draw",
    "review_take": "jobs.review_work:take",
    "review_disputes": "jobs.review_work:disputes",
    "review_accept": "jobs.review_accept:accept",
    "topics": "jobs.topics:run",
    "review_build": "jobs.weekly_work:build",
    "review_pin": "jobs.weekly_work:pin",
    "review_rebuild": "jobs.weekly_work:rebuild",
}


def do(home: str | None, name: str, arguments: Mapping[str, Any], now: datetime) -> Answer:
    """The answer of a piece of work. Raises what it raises here; an error in the control process comes back as Refused or SettingsError."""
    settings = workspace_settings(home, must_exist=True)
    if announced(settings) is not None:
        return _through_control(settings, name, arguments)
    with open_state(settings, now) as state, Warehouse.open(settings.workspace.facts) as warehouse:
        deps = Deps(settings, warehouse, state, policy_in_force(settings, state))
        return _ready(function_of(name)(deps, now, **arguments))


def function_of(name: str) -> Function:
    """The function of that name. KeyError names the ones there are."""
    try:
        module, _, function = WORK[name].partition(":")
    except KeyError:
        raise KeyError(f"no work {name!r}: there are {', '.join(sorted(WORK))}") from None
    found: Function = getattr(import_module(module), function)
    return found


def run(deps: Deps, now: datetime, clock: Callable[[], datetime] | None = None) -> int:
    """Work off the requests, in the control process; how many there were."""
    folder = deps.home / "work"
    requests = sorted(folder.glob("*.json")) if folder.is_dir() else []
    waiting = [path for path in requests if not path.name.endswith(".done.json")]
    for path in set(requests) - set(waiting):
        with suppress(FileNotFoundError):  # taken at this moment
            if now.timestamp() - path.stat().st_mtime > KEPT_SECONDS:  # who asked has ended without taking the answer
                path.unlink()
    for path in waiting:
        _write(path.with_suffix(".done.json"), _answer(deps, path, clock() if clock else now))
        path.unlink(missing_ok=True)
    return len(waiting)


def _answer(deps: Deps, path: Path, now: datetime) -> Answer:
    """Whatever a request does, it is answered: one that is left would come again and again."""
    try:
        wish = json.loads(path.read_text(encoding="utf-8"))
        return {"answer": _ready(function_of(wish["name"])(deps, now, **wish["arguments"]))}
    except Refused as error:
        return {"refused": str(error)}
    except (SettingsError, ValueError, OSError) as error:
        return {"error": str(error)}
    except Exception as error:
        log.exception("the request %s failed", path.name)
        return {"error": f"{type(error).__name__}: {error}"}


def _through_control(settings: Settings, name: str, arguments: Mapping[str, Any]) -> Answer:
    folder = settings.workspace.home / "work"
    folder.mkdir(exist_ok=True)
    key = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
    asked, done = folder / f"{key}.json", folder / f"{key}.done.json"
    _write(asked, {"name": name, "arguments": dict(arguments)})
    try:
        while not done.exists():
            if announced(settings) is None and not done.exists():
                fail("the control process ended before it had answered: run the same command again", OUTSIDE)
            time.sleep(WAIT_SECONDS)
    except BaseException:
        asked.unlink(missing_ok=True)  # nobody waits for it any more
        raise
    told: Answer = json.loads(done.read_text(encoding="utf-8"))
    done.unlink()
    if "refused" in told:
        raise Refused(str(told["refused"]))
    if "error" in told:
        raise SettingsError(str(told["error"]))
    answer: Answer = told["answer"]
    return answer


def _ready(value: Mapping[str, Any]) -> Answer:
    """The value as it is after a journey through JSON, so that it is the same whoever has done the work."""
    ready: Answer = json.loads(json.dumps(dict(value), default=plain))
    return ready


def _write(path: Path, value: Mapping[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(value), encoding="utf-8")
    draft.replace(path)
