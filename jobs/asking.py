"""What the dashboards may ask of the control process: rows of the facts that no snapshot holds, and long analyses as tasks with progress.

`ASKS` is the whole list: a name, the function that does it, and the permission that it takes. A function is
`(deps, now, **arguments) -> JSON-ready mapping`; with `signed` it is also given `actor`, who asks. Quick ones are answered at once. A
`long` one is a task: one at a time, in a thread of its own, so that an analysis of minutes delays no decision; where the function takes
`progress`, it is a callable `(part 0..1, text)`. Tasks live in memory: after a restart a page is told to ask again. Known errors reach
the person as their message, others only as a reference in the log.
"""

from __future__ import annotations

import inspect
import json
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from threading import Lock
from typing import Any

from controlplane.core.roles import Permission
from controlplane.server.services import ActionRefused, QueryRefused
from controlplane.settings import SettingsError
from jobs.asking_arguments import check
from jobs.console import plain
from jobs.deps import Deps
from jobs.refused import Refused

log = logging.getLogger("controlplane.jobs")

KEPT_TASKS = 200
MOST_WAITING = 20


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to ask for: "module:function", what it takes, whether it is a task, and whether the function is told who asks."""

    function: str
    permission: Permission
    long: bool = False
    signed: bool = False


ASKS: dict[str, Ask] = {
    "review_sign": Ask("jobs.ask_review:sign", Permission.SIGN, signed=True),
    "audit": Ask("jobs.ask_governance:audit", Permission.LOOK),
    "conversation_reads": Ask("jobs.ask_governance:readers", Permission.QUERY),
    "audit_check": Ask("jobs.ask_governance:check", Permission.LOOK, long=True),
    "drills": Ask("jobs.ask_governance:drills", Permission.LOOK),
    "evidence_pack": Ask("jobs.ask_governance:pack", Permission.QUERY, long=True),
    "incident": Ask("jobs.ask_incidents:show", Permission.LOOK),
    "incident_causes": Ask("jobs.ask_incidents:causes", Permission.QUERY, long=True),
    "incident_act": Ask("jobs.ask_incidents:act", Permission.RESPOND, signed=True),
    "incident_disagree": Ask("jobs.ask_incidents:disagree", Permission.RESPOND, signed=True),
    "incident_report": Ask("jobs.ask_incidents:report", Permission.RESPOND, long=True, signed=True),
    "incident_serious": Ask("jobs.ask_incidents:serious", Permission.RESPOND, signed=True),
    "incident_reported": Ask("jobs.ask_incidents:reported", Permission.RESPOND, signed=True),
    "incident_not_serious": Ask("jobs.ask_incidents:not_serious", Permission.RESPOND, signed=True),
    "action_add": Ask("jobs.ask_incidents:add_action", Permission.RESPOND, signed=True),
    "action_close": Ask("jobs.ask_incidents:close_action", Permission.RESPOND, signed=True),
    "drift_run": Ask("jobs.ask_science:drift_run", Permission.QUERY, long=True),
    "experiment_run": Ask("jobs.ask_science:experiment", Permission.QUERY, long=True),
    "rollout_what_if": Ask("jobs.ask_rollout:what_if", Permission.LOOK),
    "rollout_traffic": Ask("jobs.ask_rollout:traffic", Permission.LOOK, long=True),
    "rollout_backtest": Ask("jobs.ask_rollout:run_backtest", Permission.QUERY, long=True, signed=True),
    "conversation_find": Ask("jobs.ask_conversation:find", Permission.QUERY),
    "conversation_read": Ask("jobs.ask_conversation:read", Permission.QUERY, signed=True),
    "cost_traffic": Ask("jobs.ask_cost:traffic", Permission.QUERY, long=True),
    "quality_routed": Ask("jobs.ask_quality:routed", Permission.QUERY),
    "quality_misrouted": Ask("jobs.ask_quality:misrouted", Permission.QUERY),
    "quality_judged": Ask("jobs.ask_quality:judged", Permission.QUERY, signed=True),
    "quality_confused": Ask("jobs.ask_quality:confused", Permission.QUERY, signed=True),
    "quality_examples": Ask("jobs.ask_quality:examples", Permission.QUERY, signed=True),
    "quality_topics": Ask("jobs.ask_quality:find_topics", Permission.QUERY, long=True, signed=True),
    "quality_draw": Ask("jobs.ask_quality:draw", Permission.LABEL, signed=True),
    "quality_take": Ask("jobs.ask_quality:take", Permission.LABEL, signed=True),
    "quality_submit": Ask("jobs.ask_quality:submit", Permission.LABEL, signed=True),
    "quality_disputes": Ask("jobs.ask_quality:disputes", Permission.LABEL, signed=True),
    "quality_adjudicate": Ask("jobs.ask_quality:adjudicate", Permission.LABEL, signed=True),
    "silence_end": Ask("jobs.ask_live:end_silence", Permission.RESPOND, signed=True),
}


@dataclass(slots=True)
class Task:
    """One piece of long work and how it stands."""

    name: str
    state: str = "waiting"  # waiting | running | done | refused | failed
    part: float | None = None
    text: str = ""
    answer: Mapping[str, Any] | None = None


class Desk:
    """Answers questions with the open stores of the control process."""

    def __init__(self, deps: Deps, clock: Callable[[], datetime], asks: Mapping[str, Ask] = ASKS) -> None:
        self._deps = deps
        self._clock = clock
        self._asks = asks
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._lock = Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="task")

    def permission(self, name: str) -> Permission | None:
        """What asking for it takes; None when there is no such thing."""
        return self._asks[name].permission if name in self._asks else None

    def ask(self, name: str, arguments: Mapping[str, Any], actor: str) -> Mapping[str, Any]:
        """`{"answer": ...}`, or `{"task": id}` for long work. Raises ActionRefused (not now) and QueryRefused (wrong arguments)."""
        wanted = self._asks[name]
        function = _function(wanted.function)
        given = {**arguments, **({"actor": actor} if wanted.signed else {})}
        if wanted.signed and not actor:
            raise QueryRefused("actor: needed, who asks is kept in the record")
        try:
            check(function, given)
        except ValueError as error:
            raise QueryRefused(f"{name}: {error}") from None
        if wanted.long:
            return {"task": self._begin(name, function, given)}
        try:
            return {"answer": _ready(function(self._deps, self._clock(), **given))}
        except Refused as error:
            raise ActionRefused(str(error)) from None
        except (SettingsError, ValueError, OverflowError) as error:
            raise QueryRefused(str(error)) from None

    def task(self, task_id: str) -> Mapping[str, Any] | None:
        """How long work stands; None when it is not known."""
        with self._lock:
            found = self._tasks.get(task_id)
        if found is None:
            return None
        return {
            "name": found.name,
            "state": found.state,
            "part": found.part,
            "text": found.text,
            "answer": found.answer,
        }

    def close(self) -> None:
        """Take no more and wait for the one that runs."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _begin(self, name: str, function: Callable[..., Mapping[str, Any]], given: Mapping[str, Any]) -> str:
        task, task_id = Task(name), uuid.uuid4().hex
        with self._lock:
            if sum(one.state == "waiting" for one in self._tasks.values()) >= MOST_WAITING:
                raise ActionRefused(
                    f"{MOST_WAITING} pieces of long work are waiting already: ask again when they are done"
                )
            self._tasks[task_id] = task
            while len(self._tasks) > KEPT_TASKS:
                self._tasks.popitem(last=False)
        self._worker.submit(self._run, task, function, given)
        return task_id

    def _run(self, task: Task, function: Callable[..., Mapping[str, Any]], given: Mapping[str, Any]) -> None:
        def progress(part: float, text: str) -> None:
            task.part, task.text = min(max(part, 0.0), 1.0), text

        task.state = "running"
        more = {"progress": progress} if "progress" in inspect.signature(function).parameters else {}
        try:
            task.answer = _ready(function(self._deps, self._clock(), **given, **more))
            task.part, task.state = 1.0, "done"
        except Refused as error:
            task.text, task.state = str(error), "refused"
        except (SettingsError, ValueError, OverflowError) as error:
            task.text, task.state = str(error), "failed"
        except OSError as error:  # why, not where: the path is of the control process's machine
            log.warning("the task %s failed: %s", task.name, error)
            task.text, task.state = error.strerror or str(error), "failed"
        except Exception:
            reference = uuid.uuid4().hex[:12]
            log.exception("the task %s failed (%s)", task.name, reference)
            task.text, task.state = (
                f"an internal error; the log of the control process has it under {reference}",
                "failed",
            )


def _function(name: str) -> Callable[..., Mapping[str, Any]]:
    module, _, function = name.partition(":")
    found: Callable[..., Mapping[str, Any]] = getattr(import_module(module), function)
    return found


def _ready(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The value as it is after a journey through JSON."""
    ready: Mapping[str, Any] = json.loads(json.dumps(dict(value), default=plain))
    return ready
