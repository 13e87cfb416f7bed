"""The catalogue of incidents, each from log lines to verified containment; and that the drill can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.metrics import metric
from controlplane.core.model import MetricKind, RolloutState
from controlplane.core.policy import parse
from controlplane.settings import SettingsError, Workspace, shipped_policy
from controlplane.simulation.catalogue import SCENARIOS
from controlplane.simulation.incident_catalogue import INCIDENTS, incident
from controlplane.simulation.incidents import TRAPS, Change, Expect, Incident, Promote
from controlplane.simulation.lines import Behaviour
from jobs import drill_run
from jobs.drill import Outcome, rehearse
from jobs.drill_checks import failures
from jobs.drill_contained import Contained
from jobs.drill_statements import STATEMENTS
from tests.jobs.command_line import Cli

POLICIES = ("drill", "drill_ramp")
# Carried out by `make slow` and by `controlplane drill all`; what each of them would find here, another one finds, too.
LATER = {
    "ungrounded_and_unhelpful": "ungrounded_answers",  # the same trigger, with stronger harm
    "delayed_worse_ratings": "csat_drop",  # the same trigger; the delays are those of delayed_ratings
    "time_outs": "api_outage",  # the same kind of evidence and the same action
    "latency_slo": "latency_surge",  # whose first decision is this one
    "costly_answers": "override",  # the same kind of evidence and the same action
    "one_arm": "no_control",  # the other arm is missing
    "nulls": "metric_stops",  # one field of those that are missing here
    "author_approves": "no_certificate",  # the other reason for a refusal; tests/jobs/test_commands_govern.py has this one, too
    "unaccepted_judge": "ungrounded_answers",  # the same evidence; that the action is weakened: tests/core/test_judge.py
}


OUTAGE = "api_outage"  # carried out once for all tests that look at one: see the fixture `outage`


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in LATER else name for name in INCIDENTS if name != OUTAGE],
)
def test_an_incident_goes_as_expected(name: str, tmp_path: Path) -> None:
    outcome = rehearse(incident(name), tmp_path / "home")
    assert outcome.failures == ()


def test_what_is_left_for_later_is_stood_in_for_by_what_is_not() -> None:
    assert set(LATER) | set(LATER.values()) <= set(INCIDENTS)
    assert not set(LATER) & set(LATER.values())


# the catalogue


def fired() -> set[tuple[str, str]]:
    """(policy, trigger) of every decision that an incident expects."""
    return {(item.policy, trigger) for item in INCIDENTS.values() for _, trigger in item.expect.decisions}


def test_every_trigger_of_the_drills_acts_in_some_incident() -> None:
    triggers = {trigger.name for trigger in parse(shipped_policy("drill")).triggers}
    assert triggers <= {trigger for _, trigger in fired()} | {"timeouts"}
    assert {metric(trigger.metric).family for trigger in parse(shipped_policy("drill")).triggers} == {
        metric(trigger.metric).family for trigger in parse(shipped_policy("default")).triggers
    }


def test_every_kind_of_evidence_and_every_action_is_drilled() -> None:
    acting = {trigger for _, trigger in fired()}
    triggers = [trigger for trigger in parse(shipped_policy("drill")).triggers if trigger.name in acting]
    assert {trigger.kind for trigger in triggers} == set(MetricKind)
    assert {event for item in INCIDENTS.values() for event, _ in item.expect.decisions} >= {
        "hold",
        "disable_execution",
        "rollback",
        "resume",
    }


def test_the_default_policy_has_no_trigger_whose_metric_is_not_drilled() -> None:
    drilled = {trigger.metric for trigger in parse(shipped_policy("drill")).triggers}
    asked = {trigger.metric for trigger in parse(shipped_policy("default")).triggers}
    assert asked <= drilled


def test_every_trap_has_an_incident_and_every_incident_names_known_traps() -> None:
    covered = {trap for item in INCIDENTS.values() for trap in item.covers}
    assert covered == set(TRAPS)


def test_every_release_fault_is_drilled_with_its_own_words() -> None:
    assert {item.fault for item in INCIDENTS.values()} - {""} == set(SCENARIOS)
    for item in INCIDENTS.values():
        assert item.told
        assert item.expected
        assert not (item.fault and item.injected), "one set of words"
        assert set(item.expect.ledger) <= set(STATEMENTS)


def test_both_policies_promise_the_same_and_test_the_same() -> None:
    first, second = (parse(shipped_policy(name), f"{name}.toml") for name in POLICIES)
    assert [(t.name, t.metric, t.limit, t.weight, t.action) for t in first.triggers] == [
        (t.name, t.metric, t.limit, t.weight, t.action) for t in second.triggers
    ]
    assert first.budget == second.budget
    for policy in (first, second):
        minutes = policy.budget.horizon_weeks * 7 * 24 * 60
        assert all(item.minutes < minutes for item in INCIDENTS.values()), "the promise covers every story"


def test_every_naive_rule_that_must_fire_fires_on_a_harmless_story() -> None:
    """A trap is only one if the release does no harm and the common rule accuses it."""
    trapped = [item for item in INCIDENTS.values() if item.expect.naive_fires and item.onset is None]
    assert len(trapped) >= 3
    assert all(item.expect.decisions == () for item in trapped)


def test_without_the_correlation_in_the_policy_the_same_noise_is_taken_for_harm(tmp_path: Path) -> None:
    """Else the incident would show nothing: its causes hit good and bad alike, and only the policy's `icc` knows that they come in clumps."""
    outcome = rehearse(replace(incident("over_dispersion"), amended=()), tmp_path / "home")
    assert ("rollback", "escalation_increase") in outcome.seen.decisions


@pytest.mark.slow
def test_with_a_rate_the_same_complaints_would_count(tmp_path: Path) -> None:
    """What keeps hand-picked answers out is that no sampling rate is stated for them: drawn answers that bad do roll back."""
    told = incident("biased_sampling")
    drawn = replace(told, acts=(Change(at=3.0, to={"ungrounded": 0.5}),))
    assert ("rollback", "hallucination_breach") in rehearse(drawn, tmp_path / "home").seen.decisions


# the check can fail

CUT_UNSEEN = Contained(
    "rollback",
    "api_collapse",
    4.0,
    False,
    None,
    "control plane",
    "3 conversations reached the assistant behind the cut",
)


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return rehearse(incident(OUTAGE), tmp_path_factory.mktemp("outage") / "home")


def test_the_outage_goes_as_expected(outage: Outcome) -> None:
    assert outage.failures == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"state": RolloutState.RUNNING}, "the rollout is ROLLED_BACK, expected RUNNING"),
        ({"decisions": (("rollback", "csat_drop"),)}, "rollback by api_collapse, expected rollback by csat_drop"),
        ({"decisions": ()}, "expected none"),
        ({"execution": True}, "execution is off, expected on"),
        ({"verdicts": {"api_errors": "PASS"}}, "the verdict of api_errors is FAIL, expected PASS"),
        ({"detected_within": 0.5}, "later than 0.5 minutes"),
        ({"quarantined": frozenset({"not_json"})}, "expected ['not_json']"),
        ({"naive_fires": True}, "the naive rule was not looked at"),
    ],
)
def test_a_wrong_expectation_fails(outage: Outcome, wrong: dict[str, object], said: str) -> None:
    assert outage.ok
    changed = replace(outage.incident, expect=replace(outage.incident.expect, **wrong))
    found = failures(changed, outage.seen)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"contained": (CUT_UNSEEN,)}, "rollback at minute 4 did not contain: 3 conversations reached the assistant"),
        ({"contained": (CUT_UNSEEN,)}, "rollback at minute 4 was not verified"),
        ({"told": False}, "not sent"),
        ({"exposed_truth": 1}, "by the producer's own count"),
        ({"treated_after_cut": 3}, "3 conversations were served"),
        ({"refusals": ("granted",)}, "granted"),
        ({"ledger": {"60s+0s": "blocks with a gap"}}, "blocks with a gap"),
        ({"incident": None}, "no incident"),
    ],
)
def test_what_must_not_be_seen_fails(outage: Outcome, seen: dict[str, object], said: str) -> None:
    found = failures(outage.incident, replace(outage.seen, **seen))
    assert any(said in line for line in found), found


def test_what_is_lost_fails(outage: Outcome) -> None:
    lost = replace(outage.seen.lost, problems=("version 2 of the rollout is not in the audit log",))
    assert failures(outage.incident, replace(outage.seen, lost=lost)) == [f"lost: {lost.problems[0]}"]


def test_times_out_of_order_fail(outage: Outcome) -> None:
    late = replace(outage.seen.times, onset=99.0)
    assert any("not in this order" in line for line in failures(outage.incident, replace(outage.seen, times=late)))
    never = replace(outage.seen.times, verified=None)
    assert any("missing" in line for line in failures(outage.incident, replace(outage.seen, times=never)))


# the command


def harmless(expect: Expect) -> Incident:
    """A minute in which nothing happens."""
    return Incident(name="quiet", injected="nothing", expected="nothing", minutes=1.0, expect=expect)


def quiet(monkeypatch: pytest.MonkeyPatch, expect: Expect) -> None:
    monkeypatch.setattr(drill_run, "INCIDENTS", {"quiet": harmless(expect)})


def test_the_command_says_what_was_seen_and_records_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cli: Cli
) -> None:
    quiet(monkeypatch, Expect())
    keep = tmp_path / "kept"
    found = cli.json("drill", "quiet", "--keep", keep, "--record", "--actor", "ana")
    assert (found["ok"], found["failed"]) == (True, [])
    (row,) = found["drills"]
    assert (row["name"], row["state"], row["decisions"]) == ("quiet", "RUNNING", [])
    assert (row["contained"], row["verified"], row["told"]) == (None, None, None), (
        "nothing was to be done and nothing was"
    )
    assert row["lost"] == {"records": 0, "messages": 0, "audit": 0}
    assert row["records"]["landed"] == row["records"]["stored"] > 0
    assert found["summary"]["acted"] == 0
    assert (keep / "quiet" / "facts.duckdb").exists()
    logged = [row for row in cli.json("audit", "log")["rows"] if row["event"] == "drill"]
    assert [(row["actor"], row["reason"]) for row in logged] == [("ana", "1 of 1 drills as expected")]
    assert json.loads(logged[0]["payload"])["drills"][0]["name"] == "quiet"
    assert cli.json("audit", "verify")["ok"]
    again = cli("drill", "quiet", "--keep", keep, code=2)
    assert "not an empty folder" in again.everything


def test_a_drill_that_fails_ends_with_1_and_is_recorded_as_failed(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    quiet(monkeypatch, Expect(state=RolloutState.HELD))
    found = cli.json("drill", "all", "--actor", "ana", code=1)
    assert found["failed"] == ["quiet"]
    assert found["drills"][0]["failures"] == ["the rollout is RUNNING, expected HELD"]
    assert "0 of 1 drills as expected" in [row["reason"] for row in cli.json("audit", "log")["rows"]]
    (listed,) = cli.json("drill", "--list")["drills"]
    assert (listed["last_drilled"]["ok"], listed["last_drilled"]["actor"]) == (False, "ana")
    assert cli.json("status")["last_drilled"]["failing"] == ["quiet"]
    said = cli("drill", "--no-record", code=1)
    assert "FAILED" in said.out
    assert "0 of 1 drills as expected; 0 of 0 contained, 0 verified, nothing lost" in said.out
    assert len([row for row in cli.json("audit", "log")["rows"] if row["event"] == "drill"]) == 1


def test_a_drill_that_breaks_off_is_a_failure_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    broken = replace(harmless(Expect()), name="broken", amended=(("no such text", ""),))
    monkeypatch.setattr(drill_run, "INCIDENTS", {"broken": broken, "quiet": harmless(Expect())})
    found = cli.json("drill", "--record", "--actor", "ana", code=1)
    assert found["failed"] == ["broken"]
    assert "broke off: ValueError: drill.toml does not say 'no such text'" in found["drills"][0]["failures"][0]
    assert found["drills"][1]["ok"]
    assert found["summary"]["broke_off"] == 1
    assert "broke off" in cli("drill", "broken", code=1).out


def test_an_interruption_keeps_what_was_finished_before_it(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    quick = {name: replace(harmless(Expect()), name=name) for name in ("first", "second")}
    monkeypatch.setattr(drill_run, "INCIDENTS", quick)
    rehearse = drill_run.rehearse

    def interrupted(incident: Incident, *words: Any) -> Any:
        if incident.name == "second":
            raise KeyboardInterrupt
        return rehearse(incident, *words)

    monkeypatch.setattr(drill_run, "rehearse", interrupted)
    assert "interrupted" in cli("drill", "all", "--actor", "ana", code=130).err
    (logged,) = [row for row in cli.json("audit", "log")["rows"] if row["event"] == "drill"]
    assert [one["name"] for one in json.loads(logged["payload"])["drills"]] == ["first"]


def test_the_list_says_what_is_injected_and_expected(cli: Cli) -> None:
    found = cli.json("drill", "--list")
    assert [row["name"] for row in found["drills"]] == list(INCIDENTS)
    assert all(row["injected"] and row["expected"] for row in found["drills"])
    assert found["never"] == list(INCIDENTS), "nothing was drilled in this workspace yet"
    assert cli.json("status")["last_drilled"] is None
    shown = cli("drill", "--list").out
    assert "api_outage" in shown
    assert "never" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("earthquake",), "no drill 'earthquake'"),
        (("api_outage", "--all"), "not both"),
        (("api_outage", "all"), "not both"),
        (("--all", "--record"), "--actor"),
    ],
)
def test_wrong_use_says_what_to_do(cli: Cli, words: tuple[str, ...], said: str) -> None:
    assert said in cli("drill", *words, code=2).everything


def test_a_drill_is_recorded_only_in_a_workspace_that_is_there(tmp_path: Path) -> None:
    nowhere = Cli(tmp_path / "nowhere")
    assert nowhere.json("drill", "--list")["drills"][0]["last_drilled"] is None
    assert not (tmp_path / "nowhere").exists()
    assert "no workspace yet" in nowhere("drill", "--all", "--record", "--actor", "ana", code=2).everything
    with pytest.raises(SettingsError, match="no drill 'x'"):
        drill_run.chosen(["x"])


# the stories are those they are told to be


def test_acts_lie_within_their_story_and_changes_name_real_fields() -> None:
    for item in INCIDENTS.values():
        assert all(0 < act.at <= item.minutes for act in item.acts), item.name
        for act in item.acts:
            if isinstance(act, Change):
                assert replace(Behaviour(), **act.to) is not None
    assert any(isinstance(act, Promote) and act.refused for item in INCIDENTS.values() for act in item.acts)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Commands on a workspace that is there."""
    Workspace(tmp_path / "workspace").create("live")
    return Cli(tmp_path / "workspace")
