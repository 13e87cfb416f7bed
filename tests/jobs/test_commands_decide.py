"""The commands of the decision engine as a person uses them: tick, override, containment, policy apply; and promotion that is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.store.landing import LandingWriter
from controlplane.store.state import StateWriter
from jobs.control import flags_for_a_moment
from jobs.deps import Deps
from jobs.lease import LEASE
from tests.jobs.command_line import OPEN_POLICY, Cli
from tests.jobs.conftest import START, FactsByHand, Minutes
from tests.jobs.test_evaluate import run_minutes

PERSON = ("--actor", "cleo", "--reason", "I looked")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


@pytest.fixture
def started(cli: Cli, tmp_path: Path) -> Cli:
    """A workspace with a running release under a policy whose gate asks for an approval alone."""
    path = tmp_path / "open.toml"
    path.write_text(OPEN_POLICY)
    cli.start(policy=path)
    return cli


def land(cli: Cli, *records: dict[str, Any]) -> None:
    with LandingWriter(cli.home / "landing", "shop") as writer:
        writer.write(records)


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def heard(moment: datetime) -> dict[str, Any]:
    return {"record": "heartbeat", "ts": iso(moment), "source": "shop"}


# tick


def test_a_tick_stores_judges_verifies_and_publishes(started: Cli) -> None:
    now = datetime.now(UTC)
    land(started, heard(now))
    first = started.json("tick")
    assert (first["state"], first["decision"], first["verified"]) == ("RUNNING", None, None)
    assert first["fresh"] is True
    assert Path(first["snapshot"]).is_file()
    started("rollback", *PERSON)
    land(started, heard(datetime.now(UTC) + timedelta(seconds=30)))  # a producer whose clock is ahead: beyond the cut
    cut = started.json("tick")
    assert (cut["state"], cut["share"], cut["verified"]) == ("ROLLED_BACK", 0.0, True)
    assert "probes" in cut["verification"]
    assert started.json("status")["cut_verified_at"] is not None
    assert started.json("audit", "verify")["ok"] is True
    said = started("tick")
    assert "decision: none" in said.out
    assert "ROLLED_BACK" in said.out


def test_a_tick_of_the_past_is_judged_as_of_then(started: Cli) -> None:
    since = datetime.fromisoformat(started.json("status")["since"])
    message = started.refused("tick", "--at", iso(since - timedelta(seconds=1)), code=1)
    assert "older than the newest thing recorded" in message
    assert started.json("tick", "--at", iso(since))["at"] == iso(since)
    for text, words in (
        ("yesterday", "no time with a zone"),
        ("2026-01-05T09:00:00", "no time with a zone"),
        ("2999-01-01T00:00:00Z", "future"),
    ):
        assert words in started.refused("tick", "--at", text, code=2)


def test_a_tick_waits_for_no_api_that_is_gone(started: Cli) -> None:
    with LandingWriter(started.home / "landing", "api") as writer:
        writer.heartbeat(datetime.now(UTC) - timedelta(hours=2))
    started.json("tick")
    land(started, heard(datetime.now(UTC)))
    assert started.json("tick")["fresh"] is True


def test_two_control_processes_never_write_one_workspace(started: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.lease.LEASE_TTL", timedelta(0))  # how long the second waits
    other = StateWriter(f"sqlite:///{started.home / 'state.sqlite'}")
    now = datetime.now(UTC)
    other.take_lease(LEASE, "elsewhere:1", now, timedelta(hours=1))
    assert "held by elsewhere:1" in started.refused("tick", code=3)
    other.give_up_lease(LEASE, "elsewhere:1", now)
    monkeypatch.undo()
    started.json("tick")
    with pytest.raises(Exception, match="taken over by another process"):
        other.register_policy("h", "n", "t", now)  # the token of the first is no longer good
    other.close()


# approvals


def test_two_people_approve_and_a_deploy_between_them_begins_anew(cli: Cli, tmp_path: Path) -> None:
    policy = tmp_path / "two.toml"
    policy.write_text(OPEN_POLICY.replace("approvals = 1", "approvals = 2"))
    cli.start(policy=policy)
    first = cli.refused("promote", *PERSON, code=1)
    assert "approvals: cleo, needs 2" in first
    assert "The approval of cleo is recorded" in first
    again = cli.refused("promote", "--actor", " Cleo", "--reason", "once more", code=1)
    assert "approvals: Cleo, needs 2" in again, "one person is one approval, however the name is written"
    author = cli.refused("promote", "--actor", "Ben", "--reason", "mine", code=1)  # the release's author is ben
    assert "approvals: Cleo, needs 2" in author
    assert "is recorded" not in author
    cli("release", "changed", "new knowledge base", "--actor", "cleo")
    assert "approvals: eva, needs 2" in cli.refused("promote", "--actor", "eva", "--reason", "looks good", code=1)
    assert cli.json("promote", *PERSON)["version"] == 3
    events = [row["event"] for row in cli.json("audit", "log")["rows"]]
    assert events.count("approve") == 4, "cleo before and after the deploy, Cleo, eva"
    assert cli.json("audit", "verify")["ok"] is True


# overrides, containments, execution


def test_an_override_is_added_listed_and_ended_on_record(started: Cli) -> None:
    assert started("override", "list").out.strip() == "no overrides"
    added = started.json("override", "add", "escalation_increase", "--hours", "4", *PERSON)
    assert (added["active"], added["actor"]) == (True, "cleo")
    assert "more than 0 and at most" in started.refused(
        "override", "add", "escalation_increase", "--hours", "99", *PERSON, code=1
    )
    assert "can never be overridden" in started.refused("override", "add", "tripwire", "--hours", "1", *PERSON, code=1)
    assert "escalation_increase" in started("explain").out
    assert started.json("status")["overridden"] == ["escalation_increase"]
    ended = started.json("override", "end", added["override_id"], *PERSON)
    assert (ended["active"], ended["ended_by"]) == (False, "cleo")
    (row,) = started.json("override", "list")["overrides"]
    assert row["ended_at"] is not None
    events = [row["event"] for row in started.json("audit", "log")["rows"]]
    assert events[-2:] == ["override_added", "override_ended"]
    assert "no override" in started.refused("override", "end", "nothing", *PERSON, code=1)


def test_a_severe_misrouting_that_lands_is_contained_and_released_by_a_person(started: Cli) -> None:
    rollout = started.json("status")["rollout"]
    now = datetime.now(UTC)
    turn = {
        "record": "interaction",
        "interaction_id": "i1",
        "conversation_id": "c1",
        "turn": 1,
        "ts": iso(now),
        "user_id": "u1",
    }
    exposure = {
        "record": "exposure",
        "exposure_id": "x1",
        "ts": iso(now),
        "conversation_id": "c1",
        "user_id": "u1",
        "rollout_id": rollout,
    }
    exposure |= {"variant": "assistant", "intent_first": "card_stolen", "eligible": True, "flag_key": "arm"}
    label = {
        "record": "evaluation",
        "evaluation_id": "e1",
        "ts": iso(now),
        "interaction_id": "i1",
        "name": "safety_route",
    }
    label |= {"label": "misrouted", "score": 0.9, "evaluator": "human:eve"}
    land(started, turn | {"arm": "assistant"}, exposure, label, heard(now))
    done = started.json("tick")
    assert done["decision"]["event"] == "contain", done
    assert (done["execution_enabled"], done["state"]) == (False, "RUNNING")
    assert started.json("status")["contained"] == ["card_stolen"]
    (row,) = started.json("containment", "list")["containments"]
    assert (row["category"], row["contained"], row["evaluator"]) == ("card_stolen", True, "human:eve")
    assert "not contained" in started.refused("containment", "release", "fees", *PERSON, code=1)
    assert started.json("containment", "release", "card_stolen", *PERSON)["contained"] == []
    assert started.json("enable-execution", *PERSON)["execution_enabled"] is True
    assert started.json("tick")["decision"] is None
    assert started.json("disable-execution", *PERSON)["execution_enabled"] is False


# a change of policy


def test_a_policy_takes_over_by_command_and_the_next_tick_follows(started: Cli, tmp_path: Path) -> None:
    tighter, other = tmp_path / "tighter.toml", tmp_path / "other.toml"
    tighter.write_text(OPEN_POLICY.replace("limit = 0.03", "limit = 0.02"))
    other.write_text(OPEN_POLICY.replace('salt = "s"', 'salt = "t"'))
    assert "draws all customers anew" in started.refused("policy", "apply", other, *PERSON, code=1)
    before = started.json("status")["policy_hash"]
    after = started.json("policy", "apply", tighter, *PERSON)
    assert (after["policy_hash"] != before, after["state"]) == (True, "RUNNING")
    assert "limit = 0.02" in started("policy", "show").out
    assert started.json("tick")["version"] == 2
    payload = json.loads(started.json("audit", "log")["rows"][-1]["payload"])
    assert (payload["old"], payload["new"]) == (before, after["policy_hash"])
    assert any("0.02" in change for change in payload["changes"])
    (tmp_path / "bad.toml").write_text("schema = 1\n")
    assert "bad.toml" in started.refused("policy", "apply", tmp_path / "bad.toml", *PERSON, code=2)


# promotion, through the command line and the control API


@contextmanager
def api(deps: Deps, now: datetime) -> Iterator[httpx.Client]:
    with flags_for_a_moment(deps, lambda: now):
        (url,) = deps.flag_urls
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {deps.settings.token}"}) as client:
            yield client


def test_promotion_without_certificate_or_by_the_author_alone_is_refused_through_the_api(
    deps: Deps, facts: FactsByHand, at: Minutes
) -> None:
    from jobs import actions

    rollout = actions.start_release(deps.state, deps.policy, "v1", {"model": "m1"}, "ben", "ana", START)
    facts.heard(at(6))
    with api(deps, at(6)) as client:
        answer = client.post("/v1/actions/promote", json={"actor": "cleo", "reason": "please"})
        assert answer.status_code == 409
        assert "certificate escalation: no data" in answer.json()["message"]
    assert run_minutes(deps, facts, 0, 60, 0.1, 0.1, rollout.rollout_id) is None
    with api(deps, at(60)) as client:
        answer = client.post("/v1/actions/promote", json={"actor": "ben", "reason": "I made it"})
        assert (answer.status_code, "only the author" in answer.json()["message"]) == (409, True)
        answer = client.post("/v1/records", content='{"record": "heartbeat"}\n')
        assert answer.status_code == 503  # it lives for a moment and takes no records
        answer = client.post("/v1/actions/promote", json={"actor": "cleo", "reason": "certified"})
        assert (answer.status_code, answer.json()["share"]) == (200, 0.5)


CERTIFICATE = '[[certificates]]\nname = "calm"\nmetric = "escalation_rate"\nkind = "two_sample"\nmargin = 0.06\n'


def test_promotion_without_certificate_or_by_the_author_alone_is_refused_on_the_command_line(
    cli: Cli, tmp_path: Path
) -> None:
    policy = tmp_path / "certified.toml"
    policy.write_text(OPEN_POLICY.replace("approvals = 1", 'approvals = 1\ncertificates = ["calm"]') + CERTIFICATE)
    cli.start(policy=policy)
    assert "certificate calm: no data" in cli.refused("promote", *PERSON, code=1)
    policy.write_text(OPEN_POLICY)
    cli("rollback", *PERSON)
    for incident in cli.json("incident", "list")["incidents"]:
        cli("incident", "ack", incident["incident_id"], *PERSON)
        cli("incident", "resolve", incident["incident_id"], *PERSON)
        cli("incident", "review", incident["incident_id"], *PERSON)
    cli.start("v2", policy=policy, model="m2")
    land(cli, heard(datetime.now(UTC)))
    cli.json("tick")
    assert "only the author" in cli.refused("promote", "--actor", "ben", "--reason", "mine", code=1)
    assert cli.json("promote", *PERSON)["share"] == 1.0
