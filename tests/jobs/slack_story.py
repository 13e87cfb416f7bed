"""One incident in a real control process that dies by SIGKILL at a chosen step: a program that the tests of Slack start.

It reads one JSON object a line ("home": folder, "die_at": number or name of a step, or null; "release": label) and answers with one ("signal",
"steps", "error"). Each line is lived in a process of its own (a fork, so that nothing is imported again). What there is to do is read from the state,
so that the next process goes on where the one before was killed, as people do who see that their word did not arrive.

A step is one change of the state or one request to Slack; the process can die right before and right after each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slack_sdk import WebClient

from controlplane import settings as settings_module
from controlplane.core.policy import parse
from controlplane.core.rollout import Event
from controlplane.store.state import StateWriter
from jobs import actions, incidents, tick
from jobs.control import Control, control_process
from jobs.refused import Refused
from jobs.story import StoryClock
from tests.jobs.command_line import OPEN_POLICY

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BEAT = timedelta(seconds=30)
BEATS = 8  # at most after each word of a person, for the cut to be verified and for everything to be told
STATE = (
    "commit",
    "record_cut_verified",
    "record_sending",
    "record_sent",
    "record_failed",
    "record_suppressed",
    "record_alerted",
)
SLACK = ("chat_postMessage", "chat_update", "conversations_history", "conversations_replies")
WORDS = ("rollback", "acknowledge", "note", "resolve")


class Steps:
    """Counts, and dies when it is time."""

    def __init__(self, die_at: int | str | None) -> None:
        self.taken, self._die_at = 0, die_at

    def step(self, where: str) -> None:
        """`where`: "before" or "after" and the method; a process that is to die there does at the first time."""
        if self._die_at in (self.taken, where):
            os.kill(os.getpid(), signal.SIGKILL)
        self.taken += 1

    def around(self, owner: type, name: str) -> None:
        """Have every call of that method take a step before it and one after it."""
        plain: Callable[..., Any] = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.step(f"before {name}")
            answer = plain(*args, **kwargs)
            self.step(f"after {name}")
            return answer

        setattr(owner, name, call)


def live(home: Path, release: str, steps: Steps) -> None:
    """From the rollback to the resolved incident, or to the step at which it dies."""
    settings = settings_module.load(home)
    policy = parse(OPEN_POLICY)
    clock = StoryClock(START)
    if settings.workspace.kind() is None:
        settings.workspace.create("live")
    with (
        (home.with_suffix(".console")).open("a") as console,
        control_process(settings, policy, clock, 0, console) as control,
    ):
        deps = control.deps
        if deps.state.rollout() is None:
            actions.start_release(deps.state, policy, release, {"model": release}, "ben", "ana", clock.now)
        with suppress(FileNotFoundError):
            clock.now = datetime.fromisoformat((home / "clock").read_text())
        for owner, names in ((StateWriter, STATE), (WebClient, SLACK)):
            for name in names:
                if hasattr(owner, name):
                    steps.around(owner, name)
        for word in WORDS:
            _say(control, clock, word)
            for _ in range(BEATS):
                _beat(control, clock, home)
                if _all_is_told(control):
                    break
            else:
                raise AssertionError(f"not verified or not told {BEATS} heartbeats after {word}")


def _say(control: Control, clock: StoryClock, word: str) -> None:
    """A person's word; one that has arrived already is not said again."""
    state = control.deps.state
    rows = state.incidents()
    if word == "rollback":
        if not rows:
            actions.act(state, control.deps.policy, Event.ROLLBACK, "cleo", "it lies", clock.now)
        return
    row = rows[0]
    said = [entry.get("event") for entry in row.timeline]
    if word not in said:
        with suppress(Refused):  # a resolved incident is not acknowledged any more
            incidents.act(state, row.incident_id, word, "kim", f"{word} by kim", clock.now)


def _all_is_told(control: Control) -> bool:
    state = control.deps.state
    return state.incidents()[0].verified_at is not None and not [
        item for item in state.outbox() if item.status in ("pending", "sending")
    ]


def _beat(control: Control, clock: StoryClock, home: Path) -> None:
    clock.now += BEAT
    (home / "clock").write_text(clock.now.isoformat())
    control.landing.heartbeat(clock.now)
    tick.run(control.deps, clock.now)


def child(job: dict[str, Any], out: int) -> None:
    """Live one line and write what came of it; never returns."""
    steps, error = Steps(job["die_at"]), ""
    try:
        live(Path(job["home"]), job["release"], steps)
    except BaseException:
        error = traceback.format_exc()
    os.write(out, json.dumps({"steps": steps.taken, "error": error}).encode())
    os._exit(0)


def main() -> None:
    """A fork for every line of standard input."""
    for line in sys.stdin:
        job = json.loads(line)
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            child(job, write_end)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(pid, 0)
        answer = json.loads(said) if said else {"steps": None, "error": ""}
        print(json.dumps({**answer, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}), flush=True)


if __name__ == "__main__":
    main()
