"""`controlplane up` as a real process: readiness, flags, records, feedback, files, queries, clean ends, refusals."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.jobs.command_line import OPEN_POLICY, Cli
from tests.jobs.living import CONTROLPLANE, Up, environment, eventually, run
from tests.store.facts_world import interaction, write_lines


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One process for all tests that leave it running; started without any rollout, ended as a person ends it."""
    with Up(tmp_path_factory.mktemp("up") / "Zoë's home") as running:
        yield running
        assert running.end(signal.SIGINT) == 0, running.said()
        assert not (running.home / "control.json").exists()
        assert "Traceback" not in running.said()


@pytest.fixture(scope="module")
def cli(up: Up) -> Cli:
    """Commands on the same workspace."""
    return Cli(up.home)


@pytest.fixture(scope="module")
def rollout(cli: Cli, up: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release that a person starts while the process runs, under a policy of its own."""
    path = tmp_path_factory.mktemp("policy") / "open.toml"
    path.write_text(OPEN_POLICY)
    started: str = cli.start(policy=path)["rollout"]
    path.unlink()
    eventually("the policy of the rollout", lambda: up.http.get("/v1/status").json()["policy"] == "open")
    return started


def test_it_lives_is_ready_and_says_where(up: Up) -> None:
    assert up.http.get("/healthz").json() == {"alive": True}
    assert up.http.get("/readyz").json()["ready"] is True
    assert json.loads((up.home / "control.json").read_text()) == {"url": up.url, "pid": up.pid}
    assert up.url in " ".join(up.said().split())
    assert (up.home / "token").stat().st_mode & 0o077 == 0


def test_nothing_but_health_is_told_without_the_token(up: Up) -> None:
    bare = httpx.Client(base_url=up.url)
    assert bare.get("/v1/status").status_code == 401
    assert bare.post("/v1/sql", json={"query": "SELECT 1"}).status_code == 401
    assert bare.post("/v1/records", content=b"{}\n").status_code == 401
    assert bare.post("/v1/actions/rollback", json={"actor": "x", "reason": "y"}).status_code == 401
    bare.close()


def test_records_are_facts_within_seconds_and_bad_ones_in_quarantine(up: Up, cli: Cli) -> None:
    good = [interaction(n, "live", ts=now()) for n in (101, 102)]
    answer = up.send(*good, interaction(103, "live", ts=now(), arm="robot"))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3})
    query = "SELECT count(*) FROM interactions WHERE conversation_id = 'live'"
    assert eventually("the records", lambda: cli.one(query)) == 2
    assert any(row[2] == "unknown_arm" for row in cli.json("quarantine")["rows"])
    up.send(*good)
    up.send(interaction(104, "live", ts=now()))
    eventually("the record behind", lambda: cli.one(query) == 3)


def test_feedback_reaches_its_conversation(up: Up) -> None:
    up.send(interaction(111, "rated", ts=now()))
    first = up.post("/v1/feedback", {"conversation_id": "rated", "csat": 2, "comment": "call me on 079 555 12 12"})
    assert first.status_code == 202
    assert first.json()["feedback_id"]
    eventually("the rating", lambda: up.one("SELECT max(csat) FROM conversations WHERE conversation_id = 'rated'") == 2)
    assert "555" not in up.one("SELECT comment FROM feedback WHERE conversation_id = 'rated'")
    assert up.post("/v1/feedback", {"conversation_id": "rated", "csat": 7}).status_code == 422


def test_files_are_taken_by_the_running_process(up: Up, cli: Cli, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [interaction(121, "filed"), interaction(122, "filed"), "torn"])
    assert cli.json("ingest", log) == {"read": 3, "stored": 2, "duplicates": 0, "quarantined": 1}
    assert cli.json("ingest", log)["stored"] == 0
    assert cli.one("SELECT count(*) FROM interactions WHERE conversation_id = 'filed'") == 2
    assert "missing.jsonl does not exist" in cli.refused("ingest", tmp_path / "missing.jsonl", code=2)
    assert list((up.home / "inbox").iterdir()) == []


def test_queries_are_answered_by_the_running_process_and_read_no_file(cli: Cli, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("hidden,1\n")
    assert cli.json("sql", "SELECT 1 AS x, TIMESTAMP '2026-01-05 09:00:00' AS t") == {
        "columns": ["x", "t"],
        "rows": [[1, "2026-01-05T09:00:00Z"]],
    }
    for query in (f"SELECT * FROM read_text('{secret}')", f"FROM '{secret}'", "DELETE FROM interactions", "SELEC 1"):
        message = cli.refused("sql", query, code=2)
        assert message not in ("", "bad_query")
        assert "hidden" not in message
    assert "interactionz" in cli.refused("sql", "SELECT * FROM interactionz", code=2)


def test_drift_is_worked_out_by_the_running_process(up: Up, cli: Cli) -> None:
    message = cli.refused("drift", "run", "--no-report", "--until", "2020-01-01", code=1)
    assert "ingest logs with time stamps first, or name other windows" in message


def test_a_second_one_on_the_workspace_is_told_who_has_it(up: Up, cli: Cli) -> None:
    second = run(up.home, "up", "--no-dashboards")
    assert second.returncode == 3
    assert f"process {up.pid} serves {up.home} already, at {up.url}" in second.stderr
    assert "Traceback" not in second.stderr
    assert up.http.get("/healthz").status_code == 200


def test_a_port_in_use_is_a_message_and_the_workspace_is_let_go(up: Up, tmp_path: Path) -> None:
    port = up.url.rsplit(":", 1)[-1]
    other = run(tmp_path / "other", "up", "--no-dashboards", "--port", port)
    assert other.returncode == 3
    assert f"port {port} on 127.0.0.1 is in use" in other.stderr
    assert "CONTROLPLANE_PORT" in other.stderr
    assert "Traceback" not in other.stderr
    with Up(tmp_path / "other") as free:  # at once: the failed start keeps no lease
        assert free.end() == 0
        assert "waiting for the writer lease" not in free.said()


def test_the_dashboards_port_in_use_is_a_message_too(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = run(tmp_path / "home", "up", CONTROLPLANE_DASHBOARD_PORT=port)
    assert refused.returncode == 3
    assert f"port {port}" in refused.stderr
    assert "CONTROLPLANE_DASHBOARD_PORT" in refused.stderr
    assert not (tmp_path / "home" / "control.json").exists()


def test_a_demos_workspace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "workspace.toml").write_text('kind = "demo"\n')
    assert "demo's workspace" in Cli(tmp_path / "home").refused("up", "--no-dashboards", "--port", "0", code=2)


# with a rollout


def test_flags_follow_the_rollout(up: Up, cli: Cli, rollout: str) -> None:
    """Half the customers, always the same ones, under the policy that the release was started with."""
    customers = [f"u{n}" for n in range(40)]
    served = eventually("exposure", lambda: _exposed(up, customers, rollout))
    assert set(served.values()) == {"assistant", "baseline"}
    assert {key: up.arm(key)["value"] for key in customers} == served
    answer = up.arm("u1", mandatory_person=True)
    assert (answer["value"], answer["metadata"]["ineligible_reason"]) == ("baseline", "mandatory_person")
    assert (answer["metadata"]["rollout_id"], answer["metadata"]["phase"], answer["metadata"]["share"]) == (
        rollout,
        "ramp",
        0.5,
    )
    assert up.post("/ofrep/v1/evaluate/flags/arm", {"context": {}}).json()["errorCode"] == "TARGETING_KEY_MISSING"
    assert up.post("/ofrep/v1/evaluate/flags/colour", {"context": {"targetingKey": "u1"}}).status_code == 404
    every = up.post("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "u1"}}).json()
    assert {flag["key"] for flag in every["flags"]} == {"arm", "execution_enabled"}


def _exposed(up: Up, customers: list[str], rollout: str) -> dict[str, str]:
    answers = {key: up.arm(key) for key in customers}
    known = all(answer["metadata"]["rollout_id"] == rollout for answer in answers.values())
    return {key: answer["value"] for key, answer in answers.items()} if known else {}


def test_actions_over_http_are_those_of_the_command_line(up: Up, cli: Cli, rollout: str) -> None:
    person: dict[str, Any] = {"actor": "cleo", "reason": "I looked"}
    version = cli.json("status")["version"]
    assert up.post("/v1/actions/hold", person | {"expected_version": version + 5}).status_code == 409
    assert up.post("/v1/actions/hold", person | {"expected_version": version}).json()["state"] == "HELD"
    refused = cli.refused("promote", "--actor", "cleo", code=1)
    assert "state: HELD, needs RUNNING" in refused
    assert cli.json("resume", "--actor", "cleo", "--reason", "fine")["state"] == "RUNNING"
    assert "approvals: only the author" in cli.refused("promote", "--actor", "ben", code=1)
    stale = up.post("/v1/actions/promote", person | {"expected_version": version})
    assert stale.status_code == 409
    assert cli.json("status")["share"] == 0.5
    assert cli.json("promote", "--actor", "cleo")["share"] == 1.0
    assert [row["event"] for row in cli.json("audit", "log")["rows"]] == [
        *("metric_definitions_registered", "start", "hold", "resume", "approve", "promote")
    ]


def test_what_dashboards_read_is_published(up: Up) -> None:
    current = up.home / "snapshots" / "CURRENT"
    eventually("a snapshot", current.exists)
    assert (up.home / "snapshots" / json.loads(current.read_text())["file"]).exists()


# processes of their own


def test_a_stop_by_sigterm_is_clean_and_a_restart_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Cli(home).start()
    with Up(home) as up:
        up.send(*(interaction(n, f"c{n}", ts=now()) for n in range(50)))
        assert up.end(signal.SIGTERM) == 0
        assert not (home / "control.json").exists()
        assert "Traceback" not in up.said()
    assert Cli(home).json("status")["version"] == 1
    with Up(home) as up:
        eventually("the records sent before", lambda: up.one("SELECT count(*) FROM interactions") == 50)
        assert "waiting for the writer lease" not in up.said()
        assert up.end() == 0
    assert Cli(home).one("SELECT count(*) FROM interactions") == 50


def test_who_loses_the_workspace_to_another_stops_by_itself(tmp_path: Path) -> None:
    """As after a long sleep of the machine, when another host has taken over."""
    with Up(tmp_path / "home") as up:
        with closing(sqlite3.connect(tmp_path / "home" / "state.sqlite")) as connection, connection:
            take = "UPDATE leases SET owner = 'elsewhere:1', token = token + 1, lease_until = '2999-01-01T00:00:00.000000Z'"
            assert connection.execute(take).rowcount == 1
        assert eventually("its end", up.ended) == 3
        assert "another control process has taken over" in up.said()
        assert "Traceback" not in up.said()
        assert not (tmp_path / "home" / "control.json").exists()


def test_a_command_that_waits_is_told_when_the_process_is_gone(tmp_path: Path) -> None:
    """The process is stopped, so the request lies there; then it is killed."""
    log = write_lines(tmp_path / "log.jsonl", [interaction(1)])
    home = tmp_path / "home"
    with Up(home) as up:
        os.kill(up.pid, signal.SIGSTOP)
        asking = _Asking(home, log)
        eventually("the request", lambda: list((home / "inbox").glob("*.json")))
        up.end(signal.SIGKILL)
        code, message = asking.answer()
    assert code == 3
    assert "run the same command again" in message
    assert list((home / "inbox").iterdir()) == []
    assert Cli(home).json("ingest", log)["stored"] == 1


class _Asking:
    """`controlplane ingest` in a process of its own."""

    def __init__(self, home: Path, log: Path) -> None:
        argv = [CONTROLPLANE, "ingest", str(log)]
        self._process = subprocess.Popen(argv, env=environment(home), stderr=subprocess.PIPE, text=True)

    def answer(self) -> tuple[int, str]:
        _, message = self._process.communicate(timeout=60)
        return self._process.returncode, message


def test_dashboards_come_back_when_killed_and_end_with_their_process_however_it_ends(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    with Up(tmp_path / "home", dashboards=True, CONTROLPLANE_DASHBOARD_PORT=port) as up:
        assert url in " ".join(up.said().split())
        eventually("the dashboards", lambda: _answers(url))
        (first,) = up.children()
        os.kill(first, signal.SIGKILL)
        eventually("another process", lambda: up.children() not in ([first], []))
        assert up.http.get("/healthz").status_code == 200
        eventually("the dashboards again", lambda: _answers(url))
        up.end(signal.SIGKILL)
        eventually("their end", lambda: not _answers(url))
        up.start()
        eventually("the dashboards of the restart", lambda: _answers(url))
        assert up.end() == 0
        assert not _answers(url)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_stcore/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
