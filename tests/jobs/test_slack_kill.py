"""Against an independent Slack emulator: from opening to resolution one message with its thread, however often the control process is killed.

`tests.jobs.slack_story` lives the incident in real processes that die by SIGKILL between two steps; what people see is read back with a client
of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from slack_sdk import WebClient

from controlplane.store.state import StateReader
from tests.jobs.command_line import OPEN_POLICY, Cli
from tests.jobs.living import Up, environment, eventually
from tests.jobs.slack_server import emulated

ROOT = Path(__file__).parents[2]
WORST = "after chat_postMessage"  # Slack has the message, and nothing has noted it
THREAD = [
    "*cut verified: read-back, 3 probes, no assistant exposure since the cut*",
    "*kim acknowledged: acknowledge by kim*",
    "*kim: note by kim*",
    "*kim resolved it: resolve by kim*",
]


@dataclass
class Told:
    """What people see in the channel, and the program that lives incidents."""

    client: WebClient
    channel: str
    program: subprocess.Popen[str]
    surroundings: Mapping[str, str]

    def live(self, home: Path, release: str, die_at: int | str | None = None) -> dict[str, Any]:
        """One process on that workspace, until the incident is resolved or until it is killed."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        job = {"home": str(home), "die_at": die_at, "release": release}
        self.program.stdin.write(json.dumps(job) + "\n")
        self.program.stdin.flush()
        answer: dict[str, Any] = json.loads(self.program.stdout.readline())
        assert not answer["error"], answer["error"]
        return answer

    def parents(self, release: str) -> list[dict[str, Any]]:
        history = self.client.conversations_history(channel=self.channel, limit=900)["messages"]
        return [message for message in history if f" · {release} rolled back by cleo" in message["text"]]

    def thread(self, parent: dict[str, Any]) -> list[str]:
        answer = self.client.conversations_replies(channel=self.channel, ts=parent["ts"], limit=900)
        return [message["text"].rpartition("\nref ")[0] for message in answer["messages"][1:]]


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with emulated() as slack:
        command = [sys.executable, "-m", "tests.jobs.slack_story"]
        pipe = subprocess.PIPE
        surroundings = environment(ROOT, **slack.surroundings, OPENBLAS_NUM_THREADS="1")
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=surroundings) as program:
            yield Told(slack.client, slack.channel, program, slack.surroundings)
            assert program.stdin is not None
            program.stdin.close()
            assert program.wait(60) == 0


def check(told: Told, home: Path, release: str) -> None:
    """One message that was updated in place, each step once and in order beneath it, and nothing left to tell."""
    (parent,) = told.parents(release)
    assert parent["text"].startswith(f"RESOLVED · {release} rolled back by cleo — ")
    assert "verified in" in parent["text"]
    assert "edited" in parent
    found = told.thread(parent)
    assert _lines(found) == THREAD, found
    state = StateReader(f"sqlite:///{home / 'state.sqlite'}")
    try:
        assert {item.status for item in state.outbox()} <= {"sent", "suppressed"}
        (row,) = state.incidents()
        assert row.state == "resolved"
        assert row.alerted_at is not None
        assert state.verify_chains() == {"audit": None, "ledger": None}
    finally:
        state.close()
    assert (
        "rolled back by cleo" not in home.with_suffix(".console").read_text()
    )  # Slack took everything: nobody stood in


def _lines(entries: list[str]) -> list[str]:
    """The steps of a thread; several that were told at once stand in one entry, a line each."""
    steps = []
    for entry in entries:
        lines = entry.split("\n")
        steps += [f"*{line[2:]}*" for line in lines] if lines[0].startswith("• ") else lines
    return steps


@pytest.mark.slow
def test_a_whole_life_is_one_message_and_its_thread(told: Told, tmp_path: Path) -> None:
    assert told.live(tmp_path / "home", "whole")["signal"] == 0
    check(told, tmp_path / "home", "whole")


def killed_once(told: Told, folder: Path, die_at: int | str) -> None:
    key = str(die_at).replace(" ", "-")
    home, release = folder / f"home-{key}", f"killed-{key}-{folder.name}"
    assert told.live(home, release, die_at)["signal"] == SIGKILL
    assert told.live(home, release)["signal"] == 0
    check(told, home, release)


@pytest.mark.slow  # in the default suite: deaths at every step in one process (tests/alerts), and a real `up` that is killed (test_up_kill)
def test_killed_between_slack_and_the_note_people_see_everything_once(told: Told, tmp_path: Path) -> None:
    killed_once(told, tmp_path, WORST)


@pytest.mark.slow
@pytest.mark.parametrize("quarter", range(4))
def test_killed_between_any_two_steps_people_see_everything_once(told: Told, tmp_path: Path, quarter: int) -> None:
    steps = told.live(tmp_path / "whole", f"whole-{quarter}")["steps"]
    assert steps > 40
    for die_at in range(quarter, steps, 4):
        killed_once(told, tmp_path, die_at)


@pytest.mark.slow
def test_killed_again_and_again_people_see_everything_once(told: Told, tmp_path: Path) -> None:
    home, release = tmp_path / "home", "again"
    killed = 0
    for die_at in (
        3,
        5,
        7,
        11,
        13,
        2,
        17,
        19,
        4,
        23,
        6,
    ):  # steps of each next process, which goes on where the last one was
        killed += told.live(home, release, die_at)["signal"] == SIGKILL
    assert killed > 5
    assert told.live(home, release)["signal"] == 0
    check(told, home, release)


@pytest.mark.slow
def test_a_real_up_killed_at_random_moments_tells_everything_once(told: Told, tmp_path: Path) -> None:
    """Its delivery runs in a thread of its own, beside the heartbeat; people work with the command line meanwhile."""
    rng, release = random.Random(5), "up"
    policy = tmp_path / "open.toml"
    policy.write_text(OPEN_POLICY)
    cli = Cli(tmp_path / "home")
    cli.start(release, policy=policy)
    (incident,) = cli.json("rollback", "--actor", "cleo", "--reason", "it lies")["open_incidents"]
    with Up(cli.home, **told.surroundings) as up:
        said = (
            ("ack", "--reason", "acknowledge by kim"),
            ("note", "note by kim"),
            ("resolve", "--reason", "resolve by kim"),
        )
        for word, *words in said:
            if word == "resolve":
                eventually("the verified cut", lambda: cli.json("status")["cut_verified_at"])
            cli("incident", word, incident, *words, "--actor", "kim")
            time.sleep(rng.uniform(0, 2))
            up.end(SIGKILL)
            up.start()
        eventually("the last word", lambda: [p for p in told.parents(release) if p["text"].startswith("RESOLVED")])
        eventually("the thread", lambda: len(_lines(told.thread(told.parents(release)[0]))) >= len(THREAD))
        assert up.end() == 0
    (parent,) = told.parents(release)
    steps = _lines(told.thread(parent))
    assert sorted(line for line in steps if not line.startswith("*cut verified")) == sorted(THREAD[1:])
    assert len([line for line in steps if line.startswith("*cut verified")]) == 1
