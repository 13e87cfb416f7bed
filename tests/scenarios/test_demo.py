"""`controlplane demo` from outside: one run told as JSON, its workspace looked at with the other commands."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from controlplane.core.judge import VALIDITY
from controlplane.core.policy import parse
from controlplane.settings import Settings, SettingsError, load, shipped_policy
from jobs.demo import fresh_workspace
from jobs.process import announce, withdraw
from tests.jobs.command_line import Cli
from tests.jobs.living import CONTROLPLANE, environment, eventually
from tests.scenarios.shared_demo import LONGEST_SECONDS, SEED, Run, demo, shared

KEYS = [
    "interactions",
    "conversations",
    "phases",
    "rollback",
    "evaluations",
    "audit_ok",
    "review",
    "report",
    "alerts",
    "seconds",
]
TIMES = ("onset", "detected", "cut", "verified", "alerted")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The one run that these tests share; they only read its workspace."""
    return shared(tmp_path_factory)


@pytest.fixture(scope="module")
def cli(told: Run) -> Cli:
    """Commands on its workspace."""
    return Cli(told.home)


@pytest.fixture
def copy(told: Run, tmp_path: Path) -> Cli:
    """The same workspace, without its facts, to be changed."""
    home = tmp_path / "copy"
    shutil.copytree(told.home, home, ignore=shutil.ignore_patterns("facts.duckdb*", "landing", "models", "snapshots"))
    return Cli(home)


def moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    assert found.utcoffset() == timedelta(0)
    return found


# what is told


def test_the_last_line_is_the_story_and_nothing_comes_after(told: Run) -> None:
    assert told.code == 0, told.err
    assert told.out.endswith("}\n")
    assert list(told.story) == KEYS
    assert told.err == ""


def test_the_bad_change_is_found_cut_verified_and_told_in_this_order(told: Run) -> None:
    rollback = told.story["rollback"]
    onset, detected, cut, verified, alerted = (moment(rollback[name]) for name in TIMES)
    assert onset <= detected <= cut <= verified
    assert cut <= alerted
    assert verified - cut <= timedelta(seconds=60)
    policy = parse(shipped_policy("demo"))
    harmful = {trigger.name for trigger in policy.triggers if trigger.action == "rollback"}
    assert rollback["trigger"] in harmful
    saw = {row["trigger"]: row for row in rollback["saw"]}
    assert set(saw) == {trigger.name for trigger in policy.triggers} | VALIDITY
    assert saw[rollback["trigger"]]["fired"]
    assert saw[rollback["trigger"]]["log_e"] >= saw[rollback["trigger"]]["log_threshold"]


def test_a_release_ramps_and_a_fixed_one_starts_again(told: Run) -> None:
    phases = told.story["phases"]
    assert phases[:3] == ["internal", "canary", "ramp"]
    assert phases[3:4] == ["internal"]


def test_every_release_was_evaluated_before_and_what_the_incident_taught_refuses_the_same_artefacts(
    told: Run, cli: Cli
) -> None:
    first, bad, again, fixed = told.story["evaluations"]
    assert [row["verdict"] for row in (first, bad, again, fixed)] == ["PASS", "PASS", "FAIL", "PASS"]
    assert first["dataset"] == bad["dataset"] != again["dataset"] == fixed["dataset"]
    assert first["criteria"] == bad["criteria"] != again["criteria"] == fixed["criteria"]
    assert "hallucination_rate" in again["failed"]
    before, after = cli.json("eval", "show", bad["run"]), cli.json("eval", "show", again["run"])
    assert before["artefacts"] == after["artefacts"], "the same artefacts, other data"
    assert before["started_at"] <= told.story["rollback"]["onset"].replace("Z", ".000000Z")
    found = cli.json("dataset", "diff", first["dataset"], again["dataset"])
    assert len(found["added"]) == again["rows"] - first["rows"] > 10
    assert (found["removed"], found["changed"]) == ([], [])
    summary = cli.json("dataset", "show", "support")["summary"]
    assert summary["origins"]["incident"] == len(found["added"])
    rows = cli.json("audit", "log", "--limit", "500")["rows"]
    order = [(row["event"], row["subject"]) for row in rows]
    started = [subject for event, subject in order if event in ("start", "restart")]
    for run, rollout_id in ((first, started[0]), (fixed, started[1])):
        done = order.index(("evaluation_finished", run["run"]))
        event = "start" if rollout_id == started[0] else "restart"
        assert done < order.index((event, rollout_id)), "evaluated before it was let in"


def test_people_looked_at_a_sample_of_what_it_said_to_employees(told: Run, cli: Cli) -> None:
    rows = cli.json("audit", "log", "--limit", "500")["rows"]
    reviewed = [row for row in rows if row["event"] == "output_reviewed"]
    assert len(reviewed) >= 15
    assert all("simulated" in row["actor"] for row in reviewed)
    promoted = next(row for row in rows if row["event"] == "promote")
    assert sum(row["seq"] < promoted["seq"] for row in reviewed) >= 15


def test_the_sums_are_those_of_what_landed(told: Run, cli: Cli) -> None:
    """Counted again from the landed lines, by hand."""
    lines = [
        json.loads(line)
        for path in sorted((told.home / "landing" / "embedded").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    interactions = [line for line in lines if line.get("record", "interaction") == "interaction"]
    assert told.story["interactions"] == len(interactions) > 1_000
    assert told.story["conversations"] == len({line["conversation_id"] for line in interactions})
    assert cli.one("SELECT count(*) FROM interactions") == len(interactions)
    assert cli.one("SELECT count(*) FROM quarantine") == 0
    exposures = {line["exposure_id"] for line in lines if line.get("record") == "exposure"}
    assert cli.one("SELECT count(*) FROM exposures") == len(exposures)


def test_the_customers_exposed_are_those_the_assistant_served_from_the_estimated_onset_to_the_cut(
    told: Run, cli: Cli
) -> None:
    rollback = told.story["rollback"]
    since, until = (rollback[name].removesuffix("Z") for name in ("onset_estimated", "cut"))
    served = f"arm = 'assistant' AND started_at >= '{since}' AND started_at < '{until}'"
    assert rollback["customers_exposed"] == cli.one(f"SELECT count(DISTINCT user_id) FROM conversations WHERE {served}")
    assert rollback["customers_exposed"] > 0


def test_after_the_cut_the_assistant_serves_nobody_until_the_restart(told: Run, cli: Cli) -> None:
    restart = next(row for row in cli.json("audit", "log")["rows"] if row["event"] == "restart")
    cut = moment(told.story["rollback"]["cut"]) + timedelta(seconds=5)
    between = f"ts > '{cut:%Y-%m-%d %H:%M:%S}' AND ts < '{restart['at'].removesuffix('Z')}'"
    assert cli.one(f"SELECT count(*) FROM exposures WHERE variant = 'assistant' AND {between}") == 0
    assert cli.one(f"SELECT count(*) FROM exposures WHERE variant = 'baseline' AND {between}") > 100


def test_only_people_grow_it_and_only_the_machine_cut_it(told: Run, cli: Cli) -> None:
    rows = cli.json("audit", "log", "--limit", "500")["rows"]
    actors = {
        event: {row["actor"] for row in rows if row["event"] == event} for event in {row["event"] for row in rows}
    }
    assert actors["rollback"] == actors["cut_verified"] == {"controlplane"}
    for event in ("start", "approve", "promote", "restart", "incident_resolve"):
        assert all("simulated" in actor for actor in actors[event]), event
    assert not actors["approve"] & actors["deploy"]  # who made the change does not approve
    (rollback,) = [row for row in rows if row["event"] == "rollback"]
    assert told.story["rollback"]["trigger"] in rollback["reason"]
    assert rollback["policy_hash"] == parse(shipped_policy("demo")).hash


def test_the_alert_was_told_on_the_console_with_its_evidence(told: Run) -> None:
    text = (told.home / "alerts.txt").read_text(encoding="utf-8")
    assert told.story["alerts"] >= 1
    assert told.story["rollback"]["trigger"] in text
    assert "probability" in text
    assert str(told.story["rollback"]["customers_exposed"]) in text


# its workspace afterwards


def test_the_other_commands_work_on_it(told: Run, cli: Cli) -> None:
    status = cli.json("status")
    assert status["policy"] == "demo"
    assert status["open_incidents"] == []
    (incident,) = cli.json("incident", "list")["incidents"]
    assert incident["incident_id"] == told.story["rollback"]["incident"]
    assert (incident["state"], incident["trigger"]) == ("reviewed", told.story["rollback"]["trigger"])
    items = cli.json("incident", "action", "list", incident["incident_id"])["actions"]
    assert [(item["kind"], item["open"]) for item in items] == [("knowledge", True), ("guardrail", True)]
    report = told.story["report"]
    assert (report["incident"], report["state"]) == (incident["incident_id"], "reviewed")
    assert report["cause"] in ("knowledge", "model")  # the bad change has both: other pages, and a careless model
    assert report["seconds"]["contain"] == 10.0
    assert "The knowledge base" in Path(report["page"]).read_text(encoding="utf-8")
    found = cli.json("explain")
    triggers = {trigger.name for trigger in parse(shipped_policy("demo")).triggers}
    assert (
        {"hallucination_breach", "timeouts"}
        <= {stream["trigger"] for stream in found["streams"]}
        <= triggers | VALIDITY
    )
    certificates = {certificate["name"] for certificate in found["certificates"]}
    assert "escalation" in certificates <= {"csat", "escalation"}  # ratings of the second release may not be mature yet
    assert "promise: a release that stays within its limits" in cli("explain").out
    assert cli("quarantine").out == "none\n"
    assert cli("policy", "show").out == shipped_policy("demo")


def test_its_record_is_whole(told: Run, cli: Cli) -> None:
    assert told.story["audit_ok"] is True
    found = cli.json("audit", "verify")
    assert found["ok"] is True
    assert found["rows"]["ledger"] > 100


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE ledger SET counts = replace(counts, '"nT":', '"nT":1') WHERE seq = 40""",
        "UPDATE ledger SET readings = replace(readings, 'false', 'true') WHERE seq = 40",
        "UPDATE ledger SET block_start = '2026-01-05T09:00:00.000000Z' WHERE seq = 40",
        "DELETE FROM ledger WHERE seq = 39",
    ],
)
def test_evidence_that_was_changed_is_found_with_its_first_row(copy: Cli, change: str) -> None:
    with closing(sqlite3.connect(copy.home / "state.sqlite")) as connection, connection:
        assert connection.execute(change).rowcount == 1
    found = copy.json("audit", "verify", code=1)
    assert (found["breaks"]["audit"], found["breaks"]["ledger"]["seq"]) == (None, 40)


def test_people_finish_what_is_to_be_done_later(copy: Cli) -> None:
    first, _ = copy.json("incident", "action", "list")["actions"]
    done = copy.json(
        "incident", "action", "done", first["action_id"], "--actor", "sam", "--evidence", "the import asks"
    )
    assert (done["outcome"], done["closed_by"]) == ("done", "sam")
    assert copy.json("audit", "verify")["ok"] is True


def test_rollups_are_sums_of_the_facts(told: Run, cli: Cli) -> None:
    summed = dict(cli.json("sql", "SELECT metric, sum(n) FROM rollup_minute GROUP BY metric")["rows"])
    assert summed["request_volume"] == told.story["interactions"]
    assert summed["escalation_rate"] == told.story["conversations"]
    escalated = "SELECT sum(x) FROM rollup_minute WHERE metric = 'escalation_rate'"
    assert cli.one(escalated) == cli.one("SELECT count(*) FROM conversations WHERE escalated")


def test_a_drift_report_of_the_bad_change_is_there(told: Run, cli: Cli) -> None:
    (summary,) = (told.home / "reports" / "drift").glob("*/summary.json")
    found = json.loads(summary.read_text())
    assert found["report_error"] is None
    assert "<html" in summary.with_name("report.html").read_text(encoding="utf-8")[:2_000].lower()
    assert found["columns"]["answer_length"]["drifted"] is True
    assert found["windows"]["current"]["since"] == told.story["rollback"]["onset"]
    ends = found["windows"]["current"]["until"].removesuffix("Z")
    rows = f"arm = 'assistant' AND ts >= '{found['windows']['current']['since'][:-1]}' AND ts < '{ends}'"
    assert found["columns"]["answer_length"]["current_rows"] == cli.one(
        f"SELECT count(*) FROM interactions WHERE {rows}"
    )


def test_what_dashboards_read_is_published(told: Run) -> None:
    current = json.loads((told.home / "snapshots" / "CURRENT").read_text())
    assert (told.home / "snapshots" / current["file"]).stat().st_size > 0
    assert not (told.home / "control.json").exists()


# which folder it takes


@pytest.fixture
def signals() -> Iterator[None]:
    """The demo sets handlers; a test process takes them back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_live_workspace_is_refused_and_left_alone(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "live")
    cli.start()
    before = sorted(path.name for path in cli.home.iterdir())
    message = cli.refused("demo", "--no-serve", "--json", code=2)
    assert "is a live workspace, not a demo one" in message
    assert sorted(path.name for path in cli.home.iterdir()) == before
    assert cli.json("status")["release"] == "v1"


@pytest.mark.usefixtures("signals")
def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    assert "is not empty and no workspace" in Cli(tmp_path).refused("demo", "--no-serve", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load(tmp_path / "home", env={})
    found.workspace.create("demo")
    return found


def test_an_old_demo_is_started_afresh_and_keeps_its_trained_models(settings: Settings) -> None:
    workspace = settings.workspace
    (workspace.models / "intent.joblib").write_text("trained")
    (workspace.landing / "embedded").mkdir()
    for path in (workspace.facts, workspace.state, workspace.landing / "embedded" / "00000001.jsonl"):
        path.write_text("old")
    assert fresh_workspace(str(workspace.home)).workspace == workspace
    assert (workspace.models / "intent.joblib").read_text() == "trained"
    assert workspace.kind() == "demo"
    assert not workspace.facts.exists()
    assert not workspace.state.exists()
    assert list(workspace.landing.iterdir()) == []


def test_a_demo_that_is_running_is_not_swept_away(settings: Settings) -> None:
    settings.workspace.facts.write_text("in use")
    announce(settings, "http://127.0.0.1:1")
    try:
        with pytest.raises(SettingsError, match="a demo is running"):
            fresh_workspace(str(settings.workspace.home))
    finally:
        withdraw(settings)
    assert settings.workspace.facts.read_text() == "in use"
    assert fresh_workspace(str(settings.workspace.home))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_ends_with_a_word_and_can_be_told_again(tmp_path: Path, number: signal.Signals) -> None:
    home = tmp_path / "home"
    argv = [CONTROLPLANE, "demo", "--no-serve", "--json"]
    with subprocess.Popen(
        argv, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as told:
        eventually("its announcement", (home / "control.json").exists)
        told.send_signal(number)
        out, err = told.communicate(timeout=LONGEST_SECONDS)
    assert (told.returncode, out) == (130, "")
    assert err.strip() == "controlplane: interrupted"
    assert not (home / "control.json").exists()
    assert fresh_workspace(str(home)).workspace.kind() == "demo"


# slow: several runs


@pytest.mark.slow
def test_the_same_seed_tells_the_same_story_afresh(told: Run, tmp_path: Path) -> None:
    """In another folder, and again in the same one."""
    shutil.copytree(told.home / "models", tmp_path / "home" / "models")
    (tmp_path / "home" / "workspace.toml").write_text('kind = "demo"\n')
    first = {key: value for key, value in told.story.items() if key != "seconds"}
    for _ in range(2):
        again = demo(tmp_path / "home", "--no-serve", "--json", "--seed", SEED)
        assert {key: value for key, value in again.story.items() if key != "seconds"} == first


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["3", "5"])
def test_a_healthy_release_is_not_rolled_back_and_grows_to_the_end(tmp_path: Path, seed: str) -> None:
    story = demo(tmp_path / "home", "--healthy", "--no-serve", "--json", "--seed", seed).story
    assert story["rollback"] is None
    assert story["phases"] == ["internal", "canary", "ramp", "full"]
    assert (story["alerts"], story["audit_ok"]) == (0, True)
    cli = Cli(tmp_path / "home")
    assert cli.json("status")["state"] == "COMPLETE"
    assert cli.json("incident", "list")["incidents"] == []


@pytest.mark.slow
def test_people_read_the_story_and_dashboards_live_on_until_they_end_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    argv = [CONTROLPLANE, "demo", "--seed", SEED]
    said = tmp_path / "said.txt"
    with said.open("w") as file, subprocess.Popen(argv, env=environment(home), stdout=file, stderr=file) as living:
        deadline = time.monotonic() + LONGEST_SECONDS
        while "dashboards on http" not in said.read_text() and living.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        assert "dashboards on http" in said.read_text()
        url = said.read_text().split("dashboards on ")[1].split()[0]
        cli = Cli(home)
        before = cli.one("SELECT count(*) FROM interactions")
        eventually("live traffic", lambda: cli.one("SELECT count(*) FROM interactions") > before)
        eventually("the dashboards", lambda: _answers(url))
        living.send_signal(signal.SIGINT)
        assert living.wait(60) == 0
    assert not _answers(url)
    text = said.read_text()
    for words in ("the rollback", "onset", "verified", "customers exposed", "record whole"):
        assert words in text
    assert "Traceback" not in text


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_stcore/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
