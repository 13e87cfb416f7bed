"""A running control process, traffic that obeys its flags, and a Slack on loopback that stamps arrivals: what `reaction_bench` uses."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controlplane.core.assignment import bucket
from controlplane.settings import shipped_policy
from controlplane.store.landing import LandingWriter
from jobs.drill_web_api import Answer, Request, web_api
from tests.jobs.command_line import Cli
from tests.jobs.living import Up

CHANNEL = "C-INCIDENTS"
STEP_SECONDS = 0.1
SHARE = 0.5
INTENT = "fees"
SALT = "bench"
BLOCK_SECONDS = 1
LATENESS_SECONDS = 1


class FakeSlack:
    """Takes what a Slack client posts and remembers when (seconds of `time.time`) and what."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str, dict[str, Any]]] = []
        self._stack = ExitStack()
        self.url = self._stack.enter_context(web_api(self._answer))

    def _answer(self, request: Request) -> Answer:
        at = time.time()
        self.told.append((at, request.method, request.arguments))
        return Answer({"ok": True, "channel": CHANNEL, "ts": f"{at:.6f}", "messages": []})

    def first(self, since: float) -> float | None:
        """When the first message after `since` was posted."""
        return next((at for at, method, _ in list(self.told) if method == "chat.postMessage" and at >= since), None)

    def close(self) -> None:
        """Stop serving."""
        self._stack.close()


class Traffic:
    """Customers who come at a steady rate, half of them served by the assistant while its flag says so; their records land in batches."""

    def __init__(self, home: Path, rollout: str, release: str, salt: str, per_second: int) -> None:
        self._writer = LandingWriter(home / "landing", "app")
        self._rollout, self._release, self._salt = rollout, release, salt
        self._per_step = max(1, round(per_second * STEP_SECONDS))
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self.failing = 0.0  # share of the assistant's calls that fail
        self.serving = True  # what the flag says
        self.version = 1
        self.first_bad: float | None = None
        self.treated: list[str] = []
        self.count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._writer.close()

    def _run(self) -> None:
        due = time.time()
        while not self._stop.is_set():
            bad = False
            records: list[dict[str, Any]] = []
            for _ in range(self._per_step):
                found, failed = self._conversation(datetime.now(UTC).isoformat().replace("+00:00", "Z"))
                records += found
                bad = bad or failed
            self._writer.write(records)
            if bad and self.first_bad is None:
                self.first_bad = time.time()
            due += STEP_SECONDS
            self._stop.wait(max(0.0, due - time.time()))

    def _conversation(self, ts: str) -> tuple[list[dict[str, Any]], bool]:
        number = next(self._numbers)
        name, customer = f"c{number}", f"u{number}"
        treated = self.serving and bucket(self._salt, customer) < SHARE
        who = {"conversation_id": name, "user_id": customer, "ts": ts}
        arm = "assistant" if treated else "baseline"
        release = self._release if treated else "menu"
        exposure = {
            "record": "exposure", "exposure_id": f"x{number}", **who, "flag_key": "arm", "variant": arm, "rollout_id": self._rollout,
            "release": release, "phase": "ramp", "eligible": True, "flag_version": self.version, "intent_first": INTENT,
        }  # fmt: skip
        turn = {
            "interaction_id": f"i{number}", "turn": 1, **who, "arm": arm, "intent_pred": INTENT, "latency_ms": 700, "timed_out": False,
            "model": "small", "cost_usd": 0.001,
        }  # fmt: skip
        failed = treated and (number * 7919 % 1000) < self.failing * 1000
        if not treated:
            return [exposure, turn], False
        self.count += 1
        self.treated.append(name)
        call = {
            "record": "model_call",
            "call_id": f"m{number}",
            "ts": ts,
            "interaction_id": f"i{number}",
            "conversation_id": name,
        }
        call |= {"model": "small", "error_type": "http_500" if failed else None}
        return [exposure, turn, call], failed

    def confirm_misrouting(self) -> float:
        """A person finds that one of the assistant's newest conversations was severely misrouted; when the record had landed."""
        name = self.treated[-20]
        record = {
            "record": "evaluation", "evaluation_id": f"e{name}", "ts": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "conversation_id": name, "interaction_id": f"i{name[1:]}", "name": "safety_route", "label": "misrouted", "score": 1.0,
            "evaluator": "human:reviewer",
        }  # fmt: skip
        self._writer.write([record])
        return time.time()


@contextmanager
def running(home: Path, policy: str, per_second: int) -> Iterator[tuple[Up, Traffic, FakeSlack]]:
    """A control process under that policy with a rollout at half of the traffic, told to a Slack on loopback."""
    home.parent.mkdir(parents=True, exist_ok=True)
    path = home.parent / "policy.toml"
    path.write_text(policy)
    slack = FakeSlack()
    cli = Cli(home)
    started = cli.start(policy=path)
    surroundings = {"SLACK_BOT_TOKEN": "xoxb-bench", "SLACK_CHANNEL": CHANNEL, "SLACK_BASE_URL": f"{slack.url}/api/"}
    try:
        with (
            Up(home, **surroundings) as up,
            Traffic(home, started["rollout"], started["release"], SALT, per_second) as traffic,
        ):
            yield up, traffic, slack
            assert up.end() == 0, up.said()
    finally:
        slack.close()


def fast_policy() -> str:
    """The default policy as one for fast reaction at half of all traffic: short blocks for API errors, producers at most a second late."""
    text = shipped_policy("default")
    head, rest = text.split("[review]", 1)
    tail = rest[rest.index("# Two-sample triggers") :]
    phases = f'[[phases]]\nname = "ramp"\naudience = "eligible"\nshares = [{SHARE}]\napprovals = 1\n\n'
    head = head.replace("required = true", "required = false").replace('salt = "rollout-1"', f'salt = "{SALT}"')
    head = head.replace("lateness_seconds = 30", f"lateness_seconds = {LATENESS_SECONDS}")
    for name in ("api_errors", "timeouts"):
        before, mine = tail.split(f'name = "{name}"', 1)
        short = mine.replace("block_seconds = 60", f"block_seconds = {BLOCK_SECONDS}", 1)
        tail = f'{before}name = "{name}"{short}'
    return head + phases + tail
