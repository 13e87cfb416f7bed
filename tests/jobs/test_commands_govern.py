"""The commands on the rollout and its record: release, status, hold, promote, rollback, incident, audit, policy, explain."""

from __future__ import annotations

import json
import signal
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from controlplane.core.audit import GENESIS
from controlplane.core.model import Rollout
from controlplane.core.policy import parse
from controlplane.settings import shipped_policy
from controlplane.store.state import StateWriter
from jobs.cli import app
from tests.jobs.command_line import OPEN_POLICY, Cli, last_line

PERSON = ("--actor", "cleo", "--reason", "I looked")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


@pytest.fixture
def open_policy(tmp_path: Path) -> Path:
    """A policy whose gate asks for nothing but an approval."""
    path = tmp_path / "open.toml"
    path.write_text(OPEN_POLICY)
    return path


@pytest.fixture
def signals() -> Iterator[None]:
    """`up` sets handlers before it reads anything; a test process takes them back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def tamper(home: Path, statement: str, *values: object) -> None:
    """Change the state behind the program's back."""
    with closing(sqlite3.connect(home / "state.sqlite")) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


# help


def commands(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every command that does something, with the words that reach it."""
    children = getattr(command, "commands", None)
    if not children:
        yield words, command
    for name, child in (children or {}).items():
        yield from commands(child, (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_says_in_a_sentence_or_an_example_what_a_command_does(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert f"controlplane {' '.join(words)} " in text
    description = text.split("Options:")[0].split("Usage:")[1]
    sentence = [part for part in description.split(". ") if len(part.split()) >= 4]
    assert sentence, description


MAKES_ONE = {("demo",), ("up",), ("ingest",), ("replay",), ("release", "start"), ("assistant", "chat")}
NEEDS_NONE = {
    ("policy", "lint"),
    ("drill",),
    ("experiment", "replay"),
    *(("assistant", name) for name in ("train", "models", "recalibrate")),
    *(("eval", name) for name in ("groundedness", "calibrate-groundedness", "intents")),
}
MAKES_ONE |= {("dataset", "add"), ("eval", "register")}


@pytest.mark.parametrize("words", [words for words in COMMANDS if words not in MAKES_ONE | NEEDS_NONE], ids=" ".join)
def test_a_command_that_needs_a_workspace_says_so_and_makes_none(words: tuple[str, ...], tmp_path: Path) -> None:
    """A mistyped --home must not look like an empty installation."""
    needed = {
        ("sql",): ("SELECT 1",),
        ("release", "changed"): ("a prompt",),
        **{("incident", name): ("i1",) for name in ("ack", "own", "show", "resolve", "review", "reopen", "report")},
        ("incident", "note"): ("i1", "seen"),
        ("incident", "causes"): ("i1",),
        ("incident", "disagree"): ("i1", "--cause", "model"),
        ("incident", "serious"): ("i1", "--kind", "rights"),
        ("incident", "learn"): ("i1", "--data", "support"),
        ("incident", "action", "add"): ("i1", "do it", "--kind", "prompt", "--owner", "sam"),
        ("incident", "action", "done"): ("i1-a1", "--evidence", "run"),
        ("incident", "action", "drop"): ("i1-a1",),
        ("eval", "run"): ("--data", "support", "--criteria", "quality"),
        ("eval", "show"): ("ev-1",),
        ("dataset", "append"): ("support", "--from-incident", "i1"),
        ("dataset", "show"): ("support",),
        ("dataset", "diff"): ("support", "support"),
        ("dataset", "export"): ("support", "--out", str(tmp_path / "out.jsonl")),
        ("policy", "apply"): ("other.toml",),
        ("policy", "diff"): ("in-force", "in-force"),
        ("policy", "backtest"): ("in-force",),
        ("override", "add"): ("timeouts", "--hours", "1"),
        ("override", "end"): ("v1-o1",),
        ("containment", "release"): ("fraud",),
        ("audit", "export"): ("--from", "2026-01-01", "--to", "2026-01-31", "--out", str(tmp_path / "pack")),
        ("metric", "show"): ("csat",),
        ("review", "label"): ("c1:1", "correct", "--reviewer", "rita"),
        ("review", "take"): ("--reviewer", "rita"),
        ("review", "assign"): ("--to", "rita"),
        ("review", "accept"): ("--evaluation", "support", "--training", "more"),
        **{("review", name): ("q-1", "correct", "--reviewer", "rita") for name in ("submit", "adjudicate")},
        **{("review", name): ("latest",) for name in ("verify", "correct")},
        ("review", "sign"): ("latest", "--note", "read"),
        ("drift", "show"): ("latest",),
        ("drift", "reference", "add"): ("launch", "--since", "2026-01-01", "--until", "2026-01-05"),
        ("retrain", "propose"): (*("--evaluation", "support", "--training", "more"), *("--criteria", "quality")),
        ("experiment", "analyze"): ("--rollout",),
        ("alerts", "route-test"): ("metric=csat",),
        ("alerts", "silence", "add"): ("metric=csat", "--hours", "1"),
        ("alerts", "silence", "end"): ("s-1",),
    }.get(words, ())
    options = [parameter.name for parameter in getattr(COMMANDS[words], "params", [])]
    person = [word for name in ("actor", "reason") if name in options for word in (f"--{name}", "x")]
    message = Cli(tmp_path / "typo").refused(*words, *needed, *person, code=2)
    assert "typo is no workspace yet" in message
    assert "--home" in message
    assert not (tmp_path / "typo").exists()


def test_the_option_wins_over_the_environment(cli: Cli, tmp_path: Path) -> None:
    cli.start()
    other = Cli(tmp_path / "other")
    assert other.json("status", "--home", cli.home)["release"] == "v1"
    assert "no workspace" in other.refused("status", code=2)


def test_a_home_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert str(tmp_path / "file") in Cli(tmp_path / "file").refused(
        *("release", "start", "v1", "--artefact", "a=b", "--actor", "ana"), code=2
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    message = Cli(tmp_path / "full").refused("ingest", tmp_path / "full" / "thesis.txt", code=2)
    assert "not empty and no workspace" in message
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("CONTROLPLANE_PORT", "http", "CONTROLPLANE_PORT"),
        ("CONTROLPLANE_DASHBOARD_PORT", "70000", "CONTROLPLANE_DASHBOARD_PORT"),
        ("CONTROLPLANE_STATE_URL", "nonsense", "CONTROLPLANE_STATE_URL"),
        ("CONTROLPLANE_STATE_URL", "oracle9://x", "CONTROLPLANE_STATE_URL"),
        ("SLACK_CHANNEL", "C1", "SLACK_BOT_TOKEN is not set"),
        ("SLACK_BOT_TOKEN", "xoxb-1", "SLACK_CHANNEL is not set"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(cli: Cli, name: str, value: str, named: str) -> None:
    cli.start()
    assert named in Cli(cli.home, {name: value}).refused("status", code=2)


UP = ("up", "--no-dashboards", "--port", "0")


@pytest.mark.usefixtures("signals")
def test_a_token_that_could_be_guessed_is_refused(cli: Cli) -> None:
    assert "CONTROLPLANE_TOKEN" in Cli(cli.home, {"CONTROLPLANE_TOKEN": "letmein"}).refused(*UP, code=2)


@pytest.mark.usefixtures("signals")
def test_up_says_which_database_it_cannot_use(cli: Cli) -> None:
    cli.start()
    (cli.home / "facts.duckdb").write_text("not a database, but long enough to look like one " * 100)
    assert "facts.duckdb" in cli.refused(*UP, code=3)


# release, status, explain


def test_before_any_release_the_baseline_is_served(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("{}\n")
    cli("ingest", tmp_path / "log.jsonl")
    assert cli.json("status") == {"rollout": None, "served": "baseline", "policy": "default", "last_drilled": None}
    assert "no rollout has been started" in cli("explain").out
    assert cli.json("explain")["streams"] == []
    assert cli.json("incident", "list") == {"incidents": []}
    assert cli("incident", "list").out == "no incidents\n"
    assert cli.json("audit", "verify")["ok"] is True
    for event in ("hold", "resume", "rollback"):
        assert "release start" in cli.refused(event, *PERSON, code=1)


def test_a_release_starts_at_the_first_stage_and_a_second_is_refused(cli: Cli) -> None:
    status = cli.start("v1")
    assert (status["release"], status["state"], status["phase"], status["share"]) == ("v1", "RUNNING", "internal", 1.0)
    assert status["policy"] == "default"
    assert "roll it back" in cli.refused(
        *("release", "start", "v2", "--artefact", "model=m2", "--actor", "ana"), code=1
    )
    assert cli.json("status") == status | {"last_drilled": None}
    assert "v1" in cli("status").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--actor", "ana"), "--artefact"),
        (("--actor", "ana", "--artefact", "model"), "model"),
        (("--artefact", "model=m1"), "--actor"),
    ],
)
def test_a_release_names_who_and_what(cli: Cli, words: tuple[str, ...], message: str) -> None:
    assert message in cli("release", "start", "v1", *words, code=2).err


def test_a_known_change_is_recorded(cli: Cli) -> None:
    cli.start()
    assert cli.json("release", "changed", "knowledge base of May", "--actor", "ana")["version"] == 2
    assert cli.json("audit", "log")["rows"][-1]["event"] == "deploy"


def test_explain_says_where_it_stands_what_was_decided_and_what_is_promised(cli: Cli) -> None:
    cli.start()
    cli("hold", *PERSON)
    found = cli.json("explain")
    assert found["status"]["state"] == "HELD"
    assert [row["event"] for row in found["decisions"]] == ["start", "hold"]
    assert found["gate"]["name"] == "internal"
    text = cli("explain").out
    assert "at most 0.01" in text
    assert "I looked" in text


# hold, resume, promote, rollback


def test_hold_resume_and_their_record(cli: Cli) -> None:
    cli.start()
    assert cli.json("hold", *PERSON)["state"] == "HELD"
    assert "HELD" in cli.refused("hold", *PERSON, code=1)
    assert cli.json("resume", *PERSON)["state"] == "RUNNING"
    assert "RUNNING" in cli.refused("resume", *PERSON, code=1)
    rows = cli.json("audit", "log")["rows"]
    assert [(row["actor"], row["event"]) for row in rows] == [("ana", "start"), ("cleo", "hold"), ("cleo", "resume")]
    assert {row["reason"] for row in rows[1:]} == {"I looked"}
    assert len(cli.json("audit", "log", "--limit", "1")["rows"]) == 1
    assert "cleo" in cli("audit", "log").out


@pytest.mark.parametrize("event", ["hold", "resume", "rollback"])
def test_a_person_says_who_and_why(cli: Cli, event: str) -> None:
    cli.start()
    assert "--reason" in cli(event, "--actor", "cleo", code=2).err
    assert "--actor" in cli(event, "--reason", "why", code=2).err
    assert cli.json("status")["version"] == 1


def test_a_refused_promotion_names_everything_that_is_missing(cli: Cli) -> None:
    cli.start()
    message = cli.refused("promote", "--actor", "ben", code=1)
    assert "time in stage: 0 min, needs 1440 min" in message
    assert "treated customers: 0, needs 50" in message
    assert "approvals: only the author" in message
    assert cli.json("status")["version"] == 1
    assert cli.json("audit", "log")["rows"][-1]["event"] == "start"


def test_a_promotion_with_an_open_gate_grows_to_the_end_and_no_further(cli: Cli, open_policy: Path) -> None:
    cli.start(policy=open_policy)
    assert "not the author" in cli.refused("promote", "--actor", "ben", code=1)
    after = cli.json("promote", "--actor", "cleo")
    assert (after["share"], after["state"]) == (1.0, "COMPLETE")
    assert cli.refused("promote", "--actor", "cleo", code=1)
    assert [row["event"] for row in cli.json("audit", "log")["rows"]] == ["start", "approve", "promote"]
    assert cli.json("audit", "verify")["ok"] is True


def test_two_promotions_at_once_pass_one_gate(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second person's gate was that of a stage that is left by now; the next one has not been judged."""
    policy = tmp_path / "stages.toml"
    policy.write_text(OPEN_POLICY.replace("[0.5, 1.0]", "[0.1, 0.5, 1.0]"))
    cli.start(policy=policy)
    approve = StateWriter.approve

    def somebody_is_faster(state: StateWriter, rollout: Rollout, approver: str, note: str, now: datetime) -> None:
        if approver == "cleo":
            assert cli.json("promote", "--actor", "dora")["share"] == 0.5
        approve(state, rollout, approver, note, now)

    monkeypatch.setattr(StateWriter, "approve", somebody_is_faster)
    assert "look again" in cli.refused("promote", "--actor", "cleo", code=1)
    assert cli.json("status")["share"] == 0.5


def test_the_policy_in_force_is_the_rollouts(cli: Cli, open_policy: Path) -> None:
    assert "shares = [0.5" not in shipped_policy("default")
    cli.start(policy=open_policy)
    open_policy.unlink()
    assert cli("policy", "show").out == OPEN_POLICY
    assert cli.json("status")["policy"] == "open"


def test_another_policy_that_is_named_waits_for_the_next_release(cli: Cli, open_policy: Path, tmp_path: Path) -> None:
    cli.start(policy=open_policy)
    other = tmp_path / "other.toml"
    other.write_text(OPEN_POLICY.replace('name = "open"', 'name = "other"'))
    elsewhere = Cli(cli.home, {"CONTROLPLANE_POLICY": str(other)})
    assert elsewhere.json("status")["policy"] == "open"
    assert elsewhere("policy", "show").out == OPEN_POLICY


def test_streams_that_have_closed_no_block_are_explained_too(cli: Cli, open_policy: Path) -> None:
    cli.start(policy=open_policy)
    triggers = {trigger.name for trigger in parse(OPEN_POLICY, "open").triggers}
    streams = cli.json("explain")["streams"]
    assert triggers
    assert {stream["trigger"] for stream in streams} == triggers
    assert {stream["verdict"] for stream in streams} == {"NO_DATA"}
    assert cli("explain").out.count("no block closed yet") == len(triggers)


@pytest.mark.parametrize("text", ["kind = ", "what = 1", "\xff"], ids=["not TOML", "no kind", "not UTF-8"])
def test_a_broken_marker_is_named_with_the_remedy(cli: Cli, text: str) -> None:
    cli.start()
    (cli.home / "workspace.toml").write_text(text, encoding="latin-1")
    message = cli.refused("status", code=2)
    assert "workspace.toml cannot be read" in message
    assert 'kind = "live"' in message


def test_from_a_persons_rollback_to_the_next_release(cli: Cli, open_policy: Path) -> None:
    cli.start("v1", policy=open_policy)
    cut = cli.json("rollback", *PERSON)
    assert (cut["state"], cut["share"], cut["execution_enabled"], cut["cut_verified_at"]) == (
        "ROLLED_BACK",
        0.0,
        False,
        None,
    )
    (incident_id,) = cut["open_incidents"]
    (incident,) = cli.json("incident", "list")["incidents"]
    assert (incident["incident_id"], incident["trigger"], incident["state"]) == (incident_id, "person", "open")
    assert datetime.fromisoformat(incident["cut_at"]) == datetime.fromisoformat(cut["since"])
    for event in ("rollback", "hold", "resume"):
        assert "ROLLED_BACK" in cli.refused(event, *PERSON, code=1)
    assert cli.refused("promote", "--actor", "cleo", code=1)

    restart = ("release", "start", "v2", "--actor", "ana", "--policy", open_policy, "--artefact")
    assert incident_id in cli.refused(*restart, "model=m2", code=1)
    assert "open" in cli.refused("incident", "review", incident_id, *PERSON, code=1)
    for event, state in (("ack", "acknowledged"), ("resolve", "resolved"), ("review", "reviewed")):
        assert cli.json("incident", event, incident_id, *PERSON)["state"] == state
    assert "other artefacts" in cli.refused(*restart, "model=m1", code=1)
    after = cli.json(*restart, "model=m2")
    assert (after["release"], after["state"], after["share"], after["open_incidents"]) == ("v2", "RUNNING", 0.5, [])
    assert incident_id in cli("incident", "list").out
    (incident,) = cli.json("incident", "list")["incidents"]
    assert [entry["actor"] for entry in incident["timeline"]] == ["cleo"] * 4
    found = cli.json("audit", "verify")
    assert found.pop("heads")["ledger"] == GENESIS
    assert found == {
        "ok": True,
        "rows": {"audit": 6, "ledger": 0},
        "breaks": {"audit": None, "ledger": None},
    }


@pytest.mark.parametrize("option", ["--actor", "--reason"])
def test_nobody_and_nothing_are_no_entries_in_the_record(cli: Cli, option: str) -> None:
    cli.start()
    given = {"--actor": "cleo", "--reason": "I looked", option: "  "}
    said = cli("hold", *(word for pair in given.items() for word in pair), code=2)
    assert option in said.err
    assert "must not be empty" in said.err
    assert cli.json("status")["state"] == "RUNNING"


def test_an_unknown_incident_is_refused(cli: Cli) -> None:
    cli.start()
    for event in ("ack", "resolve", "review"):
        assert "'i9'" in cli.refused("incident", event, "i9", *PERSON, code=1)


# audit


@pytest.fixture
def recorded(cli: Cli) -> Cli:
    """A workspace with five audit rows."""
    cli.start()
    for event in ("hold", "resume", "hold", "resume"):
        cli(event, *PERSON)
    return cli


@pytest.mark.parametrize(
    ("statement", "broken", "why"),
    [
        ("UPDATE audit SET reason = 'all was well' WHERE seq = 2", 2, "was changed"),
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 5", 5, "was changed"),
        ("UPDATE audit SET at = '2020-01-01T00:00:00.000000Z' WHERE seq = 1", 1, "was changed"),
        ("UPDATE audit SET payload = 'no JSON' WHERE seq = 3", 3, "was changed"),
        ("UPDATE audit SET hash = 'x' WHERE seq = 4", 4, "was changed"),
        ("UPDATE audit SET prev_hash = 'x' WHERE seq = 4", 4, "removed, inserted or reordered"),
        ("DELETE FROM audit WHERE seq = 3", 4, "removed, inserted or reordered"),
        ("DELETE FROM audit WHERE seq = 1", 2, "removed, inserted or reordered"),
        (
            "INSERT INTO audit SELECT 6, at, actor, event, subject, reason, payload, policy_hash, 'x', hash FROM audit WHERE seq = 5",
            6,
            "removed, inserted or reordered",
        ),
    ],
)
def test_whatever_is_changed_in_the_record_is_found_with_its_first_row(
    recorded: Cli, statement: str, broken: int, why: str
) -> None:
    tamper(recorded.home, statement)
    said = recorded("audit", "verify", code=1)
    assert (
        f"audit: {5 + statement.startswith('INS') - statement.startswith('DEL')} rows, BROKEN at row {broken}"
        in said.out
    )
    assert why in said.out
    assert "ledger: 0 rows, whole" in said.out
    found = last_line(recorded("audit", "verify", "--json", code=1).out)
    assert found["ok"] is False
    assert found["breaks"]["audit"]["seq"] == broken


def test_a_whole_record_is_said_to_be_whole(recorded: Cli) -> None:
    assert recorded("audit", "verify").out == "audit: 5 rows, whole\nledger: 0 rows, whole\n"


def test_an_end_that_was_cut_off_is_found_by_a_head_kept_elsewhere(recorded: Cli, tmp_path: Path) -> None:
    note = tmp_path / "heads.json"
    note.write_text(recorded("audit", "verify", "--json").out)
    recorded("hold", *PERSON)
    assert recorded.json("audit", "verify", "--anchor", note)["ok"] is True
    for seq in (6, 5):
        tamper(recorded.home, f"DELETE FROM audit WHERE seq = {seq}")
    assert recorded.json("audit", "verify")["ok"] is True  # whole in itself
    said = recorded("audit", "verify", "--anchor", note, code=1)
    assert "audit: 4 rows, BROKEN at row 4" in said.out
    assert "was cut off" in said.out
    assert "ledger: 0 rows, whole" in said.out
    (recorded.home / "state.sqlite").unlink()
    assert "BROKEN at row 0" in recorded("audit", "verify", "--anchor", note, code=1).out


@pytest.mark.parametrize("content", [None, "", "no JSON", "[]", '{"ok": true}', '{"heads": {"audit": "a"}}'])
def test_an_anchor_without_heads_is_a_message(recorded: Cli, tmp_path: Path, content: str | None) -> None:
    note = tmp_path / "heads.json"
    if content is not None:
        note.write_text(content)
    assert "heads.json" in recorded.refused("audit", "verify", "--anchor", note, code=2)


def test_a_state_that_is_no_database_is_a_message(recorded: Cli) -> None:
    for name in ("state.sqlite-wal", "state.sqlite-shm"):
        (recorded.home / name).unlink(missing_ok=True)
    (recorded.home / "state.sqlite").write_text("not a database, but long enough to look like one " * 100)
    for words in (("status",), ("audit", "verify"), ("hold", *PERSON), ("explain",)):
        assert "state database" in recorded.refused(*words, code=3)


# policy

DEFAULT = shipped_policy("default")


def edited(old: str, new: str) -> tuple[str, int]:
    """The default policy with one change, and the line of it."""
    assert DEFAULT.count(old) >= 1
    return DEFAULT.replace(old, new, 1), DEFAULT[: DEFAULT.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("schema = 1", "schema = 9", "schema"),
        ("false_rollback = 0.01", "false_rolback = 0.01", "budget.false_rolback"),
        ("horizon_weeks = 10", 'horizon_weeks = "ten"', "budget.horizon_weeks"),
        ("probes = 20", "probes = 0", "watch.probes"),
        ('audience = "low_risk"', 'audience = "everybody"', "phases.1.audience"),
        ("shares = [0.01, 0.05]", "shares = [0.05, 0.01]", "phases.1.shares"),
        ('metric = "csat"', 'metric = "karma"', "triggers.0.metric"),
        ('action = "rollback"', 'action = "pray"', "triggers.0.action"),
        ("slo_ms = 4000", "slo_ms = -1", "triggers.4.slo_ms"),
        ("weight = 0.125", "weight = 0", "triggers.3.weight"),
    ],
)
@pytest.mark.usefixtures("signals")
def test_lint_names_file_line_and_key_of_a_mistake(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = tmp_path / "policy.toml"
    text, line = edited(old, new)
    path.write_text(text)
    said = Cli(tmp_path / "home")("policy", "lint", path, code=2)
    assert f"{path}:{line}: {key}: " in said.out
    problems = Cli(tmp_path / "home").json("policy", "lint", path, code=2)["problems"]
    assert (line, key) in [(problem["line"], problem["key"]) for problem in problems]
    assert all(problem["remedy"] for problem in problems)
    message = Cli(tmp_path / "home").refused("up", "--no-dashboards", "--port", "0", "--policy", path, code=2)
    assert f"{path}:{line}: {key}: " in message


def test_lint_finds_all_mistakes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        DEFAULT.replace("probes = 20", "probes = 0").replace("lateness_seconds = 30", "lateness_seconds = -1")
    )
    assert len(Cli(tmp_path / "home").json("policy", "lint", path, code=2)["problems"]) == 2


def test_lint_of_a_good_policy(tmp_path: Path) -> None:
    for name in ("default", "demo"):
        path = tmp_path / f"{name}.toml"
        path.write_text(shipped_policy(name))
        found = Cli(tmp_path / "home").json("policy", "lint", path)
        triggers = len(tomllib.loads(path.read_text())["triggers"])
        assert (found["ok"], found["name"], found["triggers"]) == (True, name, triggers)
        assert f": ok, {triggers} triggers" in Cli(tmp_path / "home")("policy", "lint", path).out
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"\xff\xfe", "cannot be read"),
        (b"[budget\n", "policy.toml:1"),
        (b"", "policy.toml"),
    ],
)
def test_a_policy_that_cannot_be_read_stops_every_command_that_needs_it(
    cli: Cli, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "policy.toml"
    if content is not None:
        path.write_bytes(content)
    start = ("release", "start", "v1", "--artefact", "model=m", "--actor", "ana", "--policy", path)
    for command in (start, ("up", "--no-dashboards", "--port", "0", "--policy", path)):
        message = cli.refused(*command, code=2)
        assert words in message
        assert "policy.toml" in message
    assert "policy.toml" in cli("policy", "lint", path, code=2).everything
    assert cli.json("status")["rollout"] is None


def test_a_folder_as_policy_is_named(cli: Cli, tmp_path: Path) -> None:
    assert str(tmp_path) in cli.refused("policy", "lint", tmp_path, code=2)


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("explain",),
        ("audit", "verify"),
        ("audit", "log"),
        ("incident", "list"),
        ("release", "changed", "x", "--actor", "a"),
    ],
    ids=" ".join,
)
def test_the_last_line_of_json_output_is_one_object(cli: Cli, words: tuple[str, ...]) -> None:
    cli.start()
    out = cli(*words, "--json").out
    assert isinstance(json.loads(out.splitlines()[-1]), dict)
    assert out.endswith("}\n")
