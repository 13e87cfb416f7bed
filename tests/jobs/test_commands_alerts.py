"""`controlplane alerts` as a person uses it: lint, show, route-test, silence, log."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.config import shipped_text
from tests.jobs.command_line import Cli

PERSON = ("--actor", "ana", "--reason", "the survey is being changed")
SLACK = {"SLACK_BOT_TOKEN": "xoxb-hidden", "SLACK_CHANNEL": "C1"}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


@pytest.fixture
def started(cli: Cli) -> Cli:
    cli.start()
    return cli


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


# lint


def test_lint_of_what_ships_says_what_is_not_configured(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path, shipped_text())
    value = cli.json("alerts", "lint", file)
    assert (value["ok"], value["errors"], value["warnings"]) == (True, [], [])
    assert value["not_configured"]["slack"] == "SLACK_BOT_TOKEN, SLACK_CHANNEL"
    assert "slack" not in Cli(cli.home, SLACK).json("alerts", "lint", file)["not_configured"]
    assert f"{file} can be used: 0 errors, 0 warnings" in cli("alerts", "lint", file).out


def test_lint_names_line_key_and_remedy_of_every_error(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path, shipped_text().replace("group_wait =", "group_weight =", 1) + "\nextra = 1\n")
    said = cli("alerts", "lint", file, code=1).out
    assert f"{file}:9: timing.group_weight: unknown key; known here: group_wait" in said
    assert f"{file} cannot be used: 2 errors" in said


def test_lint_finds_half_a_receiver_without_showing_its_secret(tmp_path: Path) -> None:
    half = Cli(tmp_path / "home", {"CONTROLPLANE_ALERT_ML_SECRET": "hunter2"})
    said = half("alerts", "lint", written(tmp_path, shipped_text()), code=1).everything
    assert "receiver 'ml-oncall' is configured by half: CONTROLPLANE_ALERT_ML_URL is not set" in said
    assert "hunter2" not in said


def test_a_file_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    assert "no.toml does not exist" in cli.refused("alerts", "lint", tmp_path / "no.toml", code=2)
    assert "cannot be read" in cli.refused("alerts", "lint", tmp_path, code=2)


# which file


def test_the_workspace_has_a_file_of_its_own_and_the_environment_wins(started: Cli, tmp_path: Path) -> None:
    assert started.json("alerts", "show")["source"] == "alerts/alerting.toml"
    (started.home / "alerting.toml").write_text(shipped_text())
    assert started.json("alerts", "show")["source"] == str(started.home / "alerting.toml")
    other = written(tmp_path, shipped_text() + "\n# another\n")
    named = Cli(started.home, {"CONTROLPLANE_ALERTING": str(other)})
    assert named.json("alerts", "show")["source"] == str(other)


def test_a_heartbeat_refuses_a_file_that_cannot_be_used(started: Cli) -> None:
    (started.home / "alerting.toml").write_text("schema = 1\n")
    message = started.refused("tick", code=2)
    assert "alerting.toml:1: routes: the last route does not take everything" in message


# show


def test_show_says_the_routes_in_words(started: Cli) -> None:
    said = Cli(started.home, SLACK)("alerts", "show").everything
    assert "Platform on-call -> platform-oncall*; then those below are asked too" in said
    assert "incidents -> slack, else webhook*, else console" in said
    assert "or category is drift or safety" in said
    assert "5m later: tier 1, first line, in the incident's thread" in said
    assert "nothing is told where category is metric, and incident is no" in said
    assert "xoxb-hidden" not in said


# route-test


def test_route_test_says_which_routes_whom_and_why_and_why_not(started: Cli) -> None:
    value = Cli(started.home, SLACK).json("alerts", "route-test", "metric=csat", "severity=error", "incident=yes")
    assert [(one["route"], one["receivers"]) for one in value["routes"]] == [("incidents", ["slack", "console"])]
    passed = {one["route"]: one["why"] for one in value["passed"]}
    assert passed["ML on-call"].startswith("not configured here: CONTROLPLANE_ALERT_ML_URL")
    assert "it is csat" in passed["Platform on-call"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("metric", "'metric' is no label: write NAME=VALUE"),
        ("metric=csat,contact_rate", "metric has several values: an alert has one"),
        ("severity=grave", "'grave' is no severity: one of critical"),
        ("incident=perhaps", "'perhaps' is no incident: one of yes, no"),
    ],
)
def test_what_is_no_alert_is_named(started: Cli, word: str, message: str) -> None:
    assert message in started.refused("alerts", "route-test", word, code=2)


def test_route_test_knows_the_quiet_hours(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path, shipped_text() + '\n[quiet_hours]\nfrom = "22:00"\nuntil = "07:00"\n')
    pager = {"CONTROLPLANE_ALERT_ML_URL": "http://127.0.0.1:9/", "CONTROLPLANE_ALERT_ML_SECRET": "s"}
    ask = ("alerts", "route-test", "metric=csat", "--file", file, "--at")
    night = Cli(cli.home, pager).json(*ask, "2026-01-05T23:00Z")
    noon = Cli(cli.home, pager).json(*ask, "2026-01-05T12:00Z")
    assert [one["route"] for one in noon["routes"]] == ["ML on-call", "everything else"]
    assert [one["route"] for one in night["routes"]] == ["everything else"]
    assert {"route": "ML on-call", "why": "quiet hours: it takes only what is critical now"} in night["passed"]
    assert "--at 'soon' is no time" in cli.refused(*ask, "soon", code=2)


# silence


def test_a_silence_is_added_asked_listed_and_ended(started: Cli) -> None:
    added = started.json("alerts", "silence", "add", "metric=csat", "severity=warning,error", "--hours", "4", *PERSON)
    assert (added["matchers"], added["active"]) == ({"metric": ["csat"], "severity": ["warning", "error"]}, True)
    asked = started("alerts", "route-test", "metric=csat", code=1).out
    assert f"not told now: silenced ({added['silence_id']} by ana until " in asked
    assert "would go by 'everything else' to console" in asked
    assert started.json("alerts", "route-test", "metric=csat", "severity=critical")["told"] is True
    assert "metric=csat severity=" in started("alerts", "silence", "list").out
    ended = started.json("alerts", "silence", "end", added["silence_id"], *PERSON)
    assert (ended["active"], ended["ended_by"]) == (False, "ana")
    assert started("alerts", "silence", "list").out == "no silences\n"
    assert "ended by ana" in started("alerts", "silence", "list", "--all").out
    assert "is not in force" in started.refused("alerts", "silence", "end", added["silence_id"], *PERSON, code=1)


def test_a_silence_without_end_or_for_safety_is_refused(started: Cli) -> None:
    add = ("alerts", "silence", "add")
    assert "at most 720 hours" in started.refused(*add, "metric=csat", "--hours", "9999", *PERSON, code=1)
    assert "cannot be silenced" in started.refused(*add, "safety=confirmed", "--hours", "1", *PERSON, code=1)
    assert "is no label" in started.refused(*add, "csat", "--hours", "1", *PERSON, code=2)
    assert "--hours" in started(*add, "metric=csat", *PERSON, code=2).err
    assert started.json("alerts", "silence", "list", "--all")["silences"] == []
    misspelt = started(*add, "metrik=csat", "--hours", "1", *PERSON)
    assert "no alert of ours has the label 'metrik'" in misspelt.err


# log


def test_the_log_says_what_was_told_and_what_was_withheld_and_why(started: Cli) -> None:
    assert started("alerts", "log").out == "no messages\n"
    started("alerts", "silence", "add", "trigger=person", "--hours", "1", *PERSON)
    started("rollback", *PERSON)
    (waiting,) = started.json("alerts", "log")["messages"]
    assert (waiting["status"], waiting["severity"]) == ("pending", "critical")
    started("tick")
    (silenced,) = started.json("alerts", "log", "--status", "suppressed")["messages"]
    assert silenced["why"].startswith("silence: silenced (s-")
    assert "the survey is being changed" in silenced["why"]
    assert "suppressed critical v1 rolled back by ana" in started("alerts", "log").out
    assert started.json("alerts", "log", "--status", "dead")["messages"] == []
    assert "'lost' is not known: one of pending" in started.refused("alerts", "log", "--status", "lost", code=2)


def test_a_message_that_was_told_names_its_receiver(started: Cli) -> None:
    started("rollback", *PERSON)
    started("tick")
    messages = started.json("alerts", "log", "--status", "sent")["messages"]
    assert {one["receiver"] for one in messages} == {"console"}
    assert any(one["title"] == "v1 rolled back by ana" for one in messages)
