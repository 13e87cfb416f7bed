"""Work on the facts that a person asks for: done here, or by the control process while one has them open.

The facts have one writer, which locks every other process out. `do` runs a named piece of work with open stores when no control process runs;
else it leaves a request in `work/` of the workspace and waits for the answer (`jobs.requests`), as ingest does (docs/adr/0005). The control
process works requests off in a job of its own, beside the heartbeat, so that an analysis of minutes delays no decision. If the process dies in
between, whoever waits is told, and the next process answers what is left.

Work is a function `(deps, now, **arguments) -> JSON-ready mapping`, named as "module:function" in `WORK`; it is imported when it is asked for.
Arguments are JSON values, paths absolute. Known errors (`Refused`, `SettingsError`, `ValueError`, files) reach the person as their message.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any

from controlplane.settings import Settings, SettingsError
from controlplane.store.warehouse import Warehouse
from jobs import requests
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.console import OUTSIDE, fail, plain
from jobs.deps import Deps
from jobs.process import announced
from jobs.refused import Refused
from jobs.requests import Answer

Function = Callable[..., Mapping[str, Any]]

FOLDER = "work"
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
    "incident_causes": "jobs.cause:measure",
    "review_build": "jobs.weekly_work:build",
    "review_pin": "jobs.weekly_work:pin",
    "review_rebuild": "jobs.weekly_work:rebuild",
    "incident_learn": "jobs.after_learn:learn",
    "incident_report": "jobs.after_report:write",
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
    return requests.work_off(deps.home / FOLDER, now, lambda wish: _answer(deps, wish, clock() if clock else now))


def _answer(deps: Deps, wish: Answer, now: datetime) -> Answer:
    try:
        return {"answer": _ready(function_of(wish["name"])(deps, now, **wish["arguments"]))}
    except Refused as error:
        return {"refused": str(error)}
    except (SettingsError, ValueError, OSError) as error:
        return {"error": str(error)}


def _through_control(settings: Settings, name: str, arguments: Mapping[str, Any]) -> Answer:
    def wait() -> None:
        if announced(settings) is None:
            fail("the control process ended before it had answered: run the same command again", OUTSIDE)
        time.sleep(WAIT_SECONDS)

    told = requests.ask(settings.workspace.home / FOLDER, {"name": name, "arguments": dict(arguments)}, wait)
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
