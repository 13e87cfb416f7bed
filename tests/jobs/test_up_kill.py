"""`kill -9` of the control process at any moment: nothing acknowledged is lost, nothing is doubled, people are told once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from typing import Any

import backlot
import httpx
import pytest
from slack_sdk import WebClient

from alerts.receivers.slack import reference
from jobs.metric_definitions import EVENT
from tests.jobs.command_line import OPEN_POLICY, Cli
from tests.jobs.living import Up, eventually
from tests.jobs.slack_server import started
from tests.store.facts_world import interaction

ROUNDS = 3


def stamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Producer:
    """Sends small batches, with feedback in between, as fast as they are acknowledged, until the other side is gone."""

    def __init__(self, up: Up, name: str) -> None:
        self._http = httpx.Client(base_url=up.url, headers=up.http.headers, timeout=30)
        self._name, self._sent = name, 0
        self.acknowledged: list[str] = []
        self.rated: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self._batch()
        except httpx.HTTPError:
            return

    def _batch(self) -> None:
        self._sent += 1
        ids = [f"{self._name}-{self._sent}-{n}" for n in range(self._sent % 7 + 1)]
        lines = [interaction(0, f"c-{key}", interaction_id=key, turn=1, ts=stamp()) for key in ids]
        if self._http.post("/v1/records", content=json_lines(lines)).status_code == 202:
            self.acknowledged += ids
        rating = {"conversation_id": f"c-{ids[0]}", "csat": 4, "feedback_id": f"f-{ids[0]}"}
        if self._http.post("/v1/feedback", json=rating).status_code == 202:
            self.rated.append(f"f-{ids[0]}")

    def ended(self) -> None:
        """Wait until it has seen that nobody answers any more."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._http.close()


def json_lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def test_killed_at_random_moments_every_acknowledged_record_is_stored_exactly_once(tmp_path: Path) -> None:
    rng = random.Random(1)
    home = tmp_path / "home"
    cli = Cli(home)
    before = cli.start()
    acknowledged: list[str] = []
    rated: list[str] = []
    with Up(home) as up:
        for number in range(ROUNDS):
            producer = Producer(up, f"r{number}")
            time.sleep(rng.uniform(0.1, 2.5))
            up.end(SIGKILL)
            producer.ended()
            acknowledged += producer.acknowledged
            rated += producer.rated
            up.start()
        assert len(acknowledged) > 10 * ROUNDS, up.said()
        eventually("all records", lambda: set(acknowledged) <= set(_ids(up, "interaction_id", "interactions")))
        eventually("all ratings", lambda: set(rated) <= set(_ids(up, "feedback_id", "feedback")))
        assert up.end() == 0
        assert "Traceback" not in up.said()
        assert "waiting for the writer lease" not in up.said()  # its own dead predecessor is recognised

    stored = Counter(row[0] for row in cli.json("sql", "SELECT interaction_id FROM interactions LIMIT 9999")["rows"])
    assert set(stored.values()) == {1}
    assert set(acknowledged) <= set(stored)
    assert cli.one("SELECT count(*) - count(DISTINCT feedback_id) FROM feedback") == 0
    assert cli.one("SELECT count(*) - count(DISTINCT conversation_id) FROM conversations") == 0
    assert cli.one("SELECT sum(turns) FROM conversations") == sum(stored.values())
    assert cli.one("SELECT count(*) FROM quarantine WHERE reason <> 'torn_line'") == 0
    assert cli.json("audit", "verify")["ok"] is True
    after = cli.json("status")
    assert {key: after[key] for key in ("rollout", "state", "phase", "share", "version")} == {
        key: before[key] for key in ("rollout", "state", "phase", "share", "version")
    }


def _ids(up: Up, column: str, table: str) -> list[str]:
    answer = up.post("/v1/sql", {"query": f"SELECT {column} FROM {table}", "limit": 10_000})
    assert answer.status_code == 200, answer.text
    return [row[0] for row in answer.json()["rows"]]


class Channel:
    """A Slack channel of an independent emulator, read back with a client of its own."""

    def __init__(self, server: backlot.Server) -> None:
        self._client = WebClient(server.token, base_url=f"{server.base_url}/slack/api/", retry_handlers=[])
        (found,) = self._client.conversations_list()["channels"]
        self._id = str(found["id"])
        self.surroundings = {
            "SLACK_BOT_TOKEN": server.token,
            "SLACK_CHANNEL": self._id,
            "SLACK_BASE_URL": f"{server.base_url}/slack/api",
        }

    def parents(self, incident: str) -> list[dict[str, Any]]:
        """The messages in the channel that belong to an incident."""
        mark = reference(incident, "").split("-")[0]
        history = self._client.conversations_history(channel=self._id, limit=200)["messages"]
        return [message for message in history if f"{mark}-" in message["text"]]

    def thread(self, parent: dict[str, Any]) -> list[str]:
        """What is written below it."""
        answer = self._client.conversations_replies(channel=self._id, ts=parent["ts"])
        return [message["text"] for message in answer["messages"][1:]]


@pytest.fixture(scope="module")
def channel() -> Iterator[Channel]:
    with ExitStack() as stack:
        yield Channel(started(stack))


def live(folder: Path, release: str) -> Cli:
    """A workspace with a release under a policy whose cut is verified within a second or two."""
    policy = folder / "open.toml"
    policy.write_text(OPEN_POLICY)
    cli = Cli(folder / "home")
    cli.start(release, policy=policy)
    return cli


def verified(cli: Cli) -> Any:
    """When the cut was verified."""
    return cli.json("status")["cut_verified_at"]


def told(cli: Cli) -> Any:
    """When the only incident was first told to people."""
    (incident,) = cli.json("incident", "list")["incidents"]
    return incident["alerted_at"]


@pytest.mark.parametrize("moment", ["at once", "as soon as Slack has it"])
def test_a_persons_rollback_is_verified_and_told_once_across_a_kill(
    tmp_path: Path, channel: Channel, moment: str
) -> None:
    """The worst moment is between Slack's taking the message and the note that it did."""
    release = f"v-{moment.replace(' ', '-')}"
    cli = live(tmp_path, release)
    with Up(cli.home, **channel.surroundings) as up:
        assert {up.arm(f"u{n}")["value"] for n in range(40)} == {"assistant", "baseline"}
        (incident,) = cli.json("rollback", "--actor", "cleo", "--reason", "it lies")["open_incidents"]
        if moment != "at once":
            eventually("the message", lambda: channel.parents(incident))
        up.end(SIGKILL)
        up.start()
        eventually("the verified cut", lambda: verified(cli))
        eventually("the note that people know", lambda: told(cli))
        assert {up.arm(f"u{n}")["value"] for n in range(40)} == {"baseline"}
        eventually("the last word", lambda: _nothing_waits(up))
        if moment != "at once":
            up.end(SIGKILL)
            up.start()
            for number in (1, 2):  # when the second is a fact, the heartbeat that stored the first is over
                _wait_for_a_heartbeat(up, number)
        (parent,) = channel.parents(incident)
        assert f"{release} rolled back by cleo" in parent["text"]
        thread = channel.thread(parent)
        assert len([text for text in thread if "verified" in text]) == len(thread) == 1
        assert up.end() == 0
    found = cli.json("status")
    assert (found["state"], found["share"], found["version"]) == ("ROLLED_BACK", 0.0, 2)
    (row,) = cli.json("incident", "list")["incidents"]
    assert row["state"] == "contained"
    assert row["cut_at"] <= row["verified_at"]
    events = [entry["event"] for entry in cli.json("audit", "log")["rows"]]
    assert [event for event in events if event != EVENT] == ["start", "rollback", "cut_verified"]
    assert events.count(EVENT) == 1, "the first start registers the metric definitions, once"
    assert cli.json("audit", "verify")["ok"] is True


def _nothing_waits(up: Up) -> bool:
    metrics = up.http.get("/metrics").text
    return "controlplane_outbox_depth 0" in metrics and "controlplane_outbox_dead 0" in metrics


def _wait_for_a_heartbeat(up: Up, number: int) -> None:
    up.send(interaction(number, f"beat-{number}", ts=stamp()))
    query = f"SELECT count(*) FROM interactions WHERE conversation_id = 'beat-{number}'"
    eventually("a heartbeat", lambda: up.one(query) == 1)


def test_a_cut_made_while_nothing_ran_is_verified_by_the_next_start(tmp_path: Path) -> None:
    cli = live(tmp_path, "v1")
    cut = cli.json("rollback", "--actor", "cleo", "--reason", "it lies")
    assert cut["cut_verified_at"] is None
    with Up(cli.home) as up:
        assert up.arm("u1")["value"] == "baseline"
        eventually("the verified cut", lambda: verified(cli))
        eventually("the last word", lambda: _nothing_waits(up))
        assert up.end() == 0
        assert "v1 rolled back by cleo" in up.said()  # without Slack the console tells
    assert told(cli)
