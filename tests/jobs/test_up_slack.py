"""`controlplane up` as a real process beside a small Slack: nobody sets more than environment variables, and a kill loses no press."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from alerts.buttons import Press
from tests.jobs.command_line import OPEN_POLICY, Cli
from tests.jobs.living import Up, eventually
from tests.jobs.slack_fake import (
    APP_TOKEN,
    BOT_TOKEN,
    CHANNEL,
    SECRET,
    FakeSlack,
    button,
    command,
    envelope,
    form_body,
    signature,
)

PEOPLE = """
[[people]]
name = "Kim"
role = "operator"
slack = "U0KIM"
"""


@pytest.fixture(scope="module")
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as fake:
        yield fake


def surroundings(slack: FakeSlack, folder: Path) -> dict[str, str]:
    shipped = resources.files("alerts").joinpath("alerting.toml").read_text(encoding="utf-8")
    (folder / "alerting.toml").write_text(shipped + PEOPLE, encoding="utf-8")
    (folder / "policy.toml").write_text(OPEN_POLICY)
    return {
        "SLACK_BOT_TOKEN": BOT_TOKEN,
        "SLACK_CHANNEL": CHANNEL,
        "SLACK_BASE_URL": slack.base,
        "SLACK_APP_TOKEN": APP_TOKEN,
        "SLACK_SIGNING_SECRET": SECRET,
        "CONTROLPLANE_ALERTING": str(folder / "alerting.toml"),
    }


def test_presses_by_both_ways(slack: FakeSlack, tmp_path: Path) -> None:
    cli = Cli(tmp_path / "home")
    with Up(tmp_path / "home", **surroundings(slack, tmp_path)) as up:
        rollout = cli.start(policy=tmp_path / "policy.toml")["rollout"]
        connection = slack.connected()
        told = " ".join(up.said().split())
        assert f"signed requests are taken on {up.url}/v1/slack/interactions" in told
        assert "connecting by Socket Mode" in told

        connection.send(envelope("slash_commands", command("status", "U0KIM", slack.response_url)))
        slack.said()
        assert "running in ramp at 50%" in eventually("the status", slack.answers)[0]

        hold = form_body(button(Press.HOLD, "U0KIM", rollout=rollout, response_url=slack.response_url))
        assert up.http.post("/v1/slack/interactions", content=hold).status_code == 401
        assert pressed(up, hold)
        assert pressed(up, hold)  # a replay, within five minutes
        eventually("the answer", lambda: slack.answers()[1:])
        assert slack.answers()[1:] == ["done: the ramp is held"]
        assert up.http.get("/v1/status").json()["state"] == "HELD"
        assert [row["actor"] for row in record(cli, "slack_press")] == ["Kim"] * 2
        assert up.end() == 0
    need_clean(up, cli)


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.002, 0.01, 0.05, 0.2])
def test_killed_after_a_press_was_taken_the_next_process_does_it_once(
    slack: FakeSlack, tmp_path: Path, wait: float
) -> None:
    cli = Cli(tmp_path / "home")
    with Up(tmp_path / "home", **surroundings(slack, tmp_path)) as up:
        rollout = cli.start(policy=tmp_path / "policy.toml")["rollout"]
        rollback = form_body(button(Press.ROLLBACK, "U0KIM", rollout=rollout))
        silence = form_body(command("silence metric=csat 2h known outage", "U0KIM"), "command")
        assert pressed(up, rollback)
        assert pressed(up, silence, "commands")
        time.sleep(wait)
        up._process.send_signal(signal.SIGKILL)
        up._process.wait()
        up.http.close()
        up.start()
        assert pressed(up, rollback)
        eventually("both", lambda: len(record(cli, "slack_press")) == 2)
        assert up.http.get("/v1/status").json()["state"] == "ROLLED_BACK"
        assert len([row for row in record(cli, "rollback") if row["actor"] == "Kim"]) == 1
        assert len(record(cli, "silence_added")) == 1
        assert len(cli.json("incident", "list")["incidents"]) == 1
        assert up.end() == 0
    need_clean(up, cli)


def pressed(up: Up, body: bytes, path: str = "interactions") -> bool:
    answer = up.http.post(f"/v1/slack/{path}", content=body, headers=signature(body))
    return (answer.status_code, answer.content) == (200, b"")


def record(cli: Cli, event: str) -> list[dict[str, str]]:
    return [row for row in cli.json("audit", "log")["rows"] if row["event"] == event]


def need_clean(up: Up, cli: Cli) -> None:
    said = up.said()
    assert "Traceback" not in said, said
    assert not any(secret in said for secret in (APP_TOKEN, BOT_TOKEN, SECRET, "ticket="))
    assert cli.json("audit", "verify")["ok"] is True
