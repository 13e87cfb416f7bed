"""The desk that takes what people press in Slack: kept first, answered at once, done after; and taken up again by the next process after a crash.

    taken (durable) -> Slack has its answer -> done, in one transaction with its audit row -> the person is told -> finished (with an audit row)

Killed between any two of these, the next process finds the press open. What was done already is recognised by the press's reference in the audit
log, so it is only told and finished. Presses are done one after the other in the order in which they came; so two at once are a first and a
second, and the second is told what the first has done. Doing goes before telling: no press waits for more than one answer of another.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from controlplane.store.state_claims import FencedOff
from controlplane.store.state_incidents import RECEIVED, Press
from controlplane.store.state_rows import AuditEntry
from jobs import slack_text
from jobs.deps import Deps
from jobs.slack_acts import DONE, REFUSED, Outcome, actor_of, carry_out
from jobs.slack_answer import Answers
from jobs.slack_request import COMMAND, Asked, asked, complaint

log = logging.getLogger("controlplane.slack")

LOOK_SECONDS = 1.0  # how often the desk looks without being woken: what an earlier process has left
TRIES = 5
STOP_SECONDS = 10.0


class Desk:
    """Takes presses from every way in, and works them off in one thread. `clock` is the process's time."""

    def __init__(self, deps: Deps, answers: Answers, clock: Callable[[], datetime]) -> None:
        self._deps, self._answers, self._clock = deps, answers, clock
        self._wake, self._stop = threading.Event(), threading.Event()
        self._keys: dict[str, tuple[str, str]] = {}  # response_url and trigger_id of presses of this process
        self._decided: dict[str, Outcome] = {}
        self._failed: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def take(self, kind: str, payload: Mapping[str, Any], channel: str = "http") -> dict[str, Any]:
        """Keep what is asked; returns what Slack is answered at once. A repeat is answered and not kept again.

        Raises ValueError for a request that makes no sense, and the database's error when it could not be kept: then it must not be acknowledged.
        """
        if wrong := complaint(payload):
            return wrong
        for one in asked(kind, payload):
            self._keys.setdefault(one.press_id, (one.response_url, one.trigger_id))
            if not self._deps.state.receive_press(self._press(one, channel)):
                self._came_again(one.press_id)
        self._wake.set()
        return {}

    def _came_again(self, press_id: str) -> None:
        """A repeat of one that is still open may be answered by its keys; of one that is finished nothing is kept."""
        log.info("press %s came again", press_id[:12])
        known = self._deps.state.press(press_id)
        if known is None or known.status != RECEIVED:
            self._keys.pop(press_id, None)

    def _press(self, one: Asked, channel: str) -> Press:
        """As it is kept. A command is for the rollout that runs when it is given, whatever runs when it is done."""
        payload, subject = one.payload, one.subject
        if one.action.startswith(COMMAND):
            rollout = self._deps.state.rollout()
            subject = "" if rollout is None else rollout.rollout_id
            payload = payload | {"rollout": subject}
        return Press(one.press_id, self._clock(), channel, one.user_id, one.action, subject, payload)

    def run(self) -> int:
        """Work off what is open; how many presses were finished. Raises FencedOff when another process writes now."""
        finished = 0
        while not self._stop.is_set() and (press := self._decide_all(self._clock())) is not None:
            outcome = self._told(press, self._decided[press.press_id])
            self._finish(press, outcome, self._clock())
            finished += 1
        return finished

    def _decide_all(self, now: datetime) -> Press | None:
        """Do everything that is open and not done yet; the first that is still to be told."""
        waiting = self._deps.state.open_presses()
        for press in waiting:
            if press.press_id in self._decided:
                continue
            try:
                self._decided[press.press_id] = self._opened(press, carry_out(self._deps, press, now))
            except FencedOff:
                raise
            except Exception as error:
                self._count_failure(press, error)
        return next((press for press in waiting if press.press_id in self._decided), None)

    def _opened(self, press: Press, outcome: Outcome) -> Outcome:
        """With the form opened, where one is asked for: at once, because Slack forgets the press in three seconds."""
        if not outcome.form:
            return outcome
        _, trigger_id = self._keys.get(press.press_id, ("", ""))
        if self._answers.open_form(trigger_id, slack_text.override_form(press.payload)):
            return outcome
        return Outcome(REFUSED, "the form could not be opened in time: please press Override again", outcome.actor)

    def _count_failure(self, press: Press, error: Exception) -> None:
        tries = self._failed[press.press_id] = self._failed.get(press.press_id, 0) + 1
        log.exception("press %s (%s) failed, try %d of %d", press.press_id[:12], press.action, tries, TRIES)
        if tries >= TRIES:
            told = f"this could not be done ({type(error).__name__}); look at `controlplane status`, and use the command line"
            self._decided[press.press_id] = Outcome(REFUSED, told, actor_of(self._deps, press))

    def _told(self, press: Press, outcome: Outcome) -> Outcome:
        response_url, _ = self._keys.get(press.press_id, ("", ""))
        if outcome.answer:
            self._answers.tell(press.user_id, outcome.answer, str(press.payload.get("channel", "")), response_url)
        return outcome

    def _finish(self, press: Press, outcome: Outcome, now: datetime) -> None:
        said = outcome.answer.splitlines()[0] if outcome.answer else "the form was opened" if outcome.form else "seen"
        reason = f"{press.action}: {said}" if outcome.status == DONE else f"{press.action} refused: {said}"
        payload = {"press": press.press_id, "status": outcome.status, "channel": press.channel}
        audit = AuditEntry(outcome.actor, "slack_press", press.subject or press.action, reason, payload)
        self._deps.state.finish_press(press.press_id, outcome.status, outcome.answer, audit, now)
        for known in (self._keys, self._decided, self._failed):
            known.pop(press.press_id, None)

    def start(self, on_fenced: Callable[[], None]) -> None:
        """Work in a thread until `stop`; `on_fenced` is called when another process has taken over."""
        self._thread = threading.Thread(target=self._work, args=(on_fenced,), name="slack-desk", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being done and end; what is still open is there for the next process. Stopping twice is harmless."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _work(self, on_fenced: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                self.run()
            except FencedOff as error:
                log.error("slack: %s", error)
                on_fenced()
                return
            except Exception:
                log.exception("presses of Slack could not be worked off; tried again in %g s", LOOK_SECONDS)
                self._stop.wait(LOOK_SECONDS)
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
