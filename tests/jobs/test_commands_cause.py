"""`incident causes` and `incident disagree`: the page, the record, repeats, the control process, bad input."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.simulation.planted import Planted, plant
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow
from controlplane.store.warehouse import Warehouse
from jobs import cause, requests, work
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.deps import Deps
from tests.jobs.cause_exam import START, ingest
from tests.jobs.command_line import Cli

SEED = 1007  # an intent classifier that reads one subject wrongly
INCIDENT = "v1-x-v3"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cli, Planted]:
    """A workspace with the records of a planted cause and an incident of it."""
    folder = tmp_path_factory.mktemp("cause")
    cli = Cli(folder / "home")
    cli.start()
    planted = plant(SEED, START, 5_000)
    settings = workspace_settings(str(cli.home), must_exist=True)
    with open_state(settings, planted.until) as state:
        row = IncidentRow(
            incident_id=INCIDENT,
            rollout_id="v1-x",
            release="v1",
            state="open",
            severity="critical",
            title="escalation_increase <rolled back>",
            trigger="escalation_increase",
            detected_at=planted.until,
            onset_at=planted.onset,
            cut_at=planted.until,
        )
        noted = [
            AuditEntry("noor", one.event, "v1-x", one.text, {"artefacts": one.artefacts, "release_hash": "h"})
            for one in planted.noted
            if one.event != "start"
        ]
        state.commit(Commit(incident=row), planted.until)
        for one, entry in zip((n for n in planted.noted if n.event != "start"), noted, strict=True):
            state.commit(Commit(audit=[entry]), one.at)
    with Warehouse.open(settings.workspace.facts) as warehouse:
        ingest(planted, warehouse, folder)
    return cli, planted


def test_the_ranking_the_text_and_the_page(world: tuple[Cli, Planted], tmp_path: Path) -> None:
    cli, planted = world
    out = tmp_path / "causes.html"
    found = cli.json("incident", "causes", INCIDENT, "--out", out)
    first = found["causes"][0]
    assert (first["kind"], first["slice"]["value"]) == (planted.answer.kind, planted.answer.value)
    assert found["standing"] == "likely"
    assert planted.answer.value in found["line"]
    assert len(found["causes"]) == 10
    for one in found["causes"]:
        assert one["points"] == pytest.approx(sum(line["points"] for line in one["lines"]), abs=0.01)
    page = out.read_text()
    assert "&lt;rolled back&gt;" in page
    assert "<rolled back>" not in page
    assert page.count("<details class='card cause'") == 10
    assert "incident disagree" in page
    assert "http" not in page.replace("http-equiv", "")
    text = cli("incident", "causes", INCIDENT).out
    assert found["line"] in text
    assert "What would change this" in text
    assert text.count("arms:") < cli("incident", "causes", INCIDENT, "--all").out.count("arms:")


def test_a_disagreement_is_kept_told_and_shown(world: tuple[Cli, Planted], tmp_path: Path) -> None:
    cli, _ = world
    words = ("incident", "disagree", INCIDENT, "--cause", "dependency", "--actor", "ana", "--reason", "a <status> page")
    said = cli.json(*words)
    assert cli.json(*words)["id"] == said["id"]
    settings = workspace_settings(str(cli.home), must_exist=True)
    with open_state(settings, START) as state:
        rows = state.audit_rows()
        assert [row["subject"] for row in rows if row["event"] == cause.EVENT] == [said["id"]]
        row = state.incident(INCIDENT)
        assert row is not None
        assert [entry["actor"] for entry in row.timeline] == ["ana"]
        told = state.incident_messages(INCIDENT)
        assert any("another cause, dependency" in str(item.payload) for item in told)
    out = tmp_path / "page.html"
    found = cli.json("incident", "causes", INCIDENT, "--out", out)
    assert [(one["actor"], one["cause"]) for one in found["disagreements"]] == [("ana", "dependency")]
    assert "a &lt;status&gt; page" in out.read_text()
    assert cli.json("audit", "verify")["ok"]


def test_a_kill_between_the_steps_of_a_disagreement_loses_and_doubles_nothing(world: tuple[Cli, Planted]) -> None:
    cli, planted = world
    settings = workspace_settings(str(cli.home), must_exist=True)
    asked = (INCIDENT, "traffic", "ben", "another campaign", planted.until)
    for stop in ("record_artefact", "commit"):
        with open_state(settings, planted.until) as state:
            kept = getattr(state, stop)

            def die(*values: Any, kept: Any = kept) -> None:
                kept(*values)
                raise KeyboardInterrupt

            setattr(state, stop, die)
            with pytest.raises(KeyboardInterrupt):
                cause.disagree(state, *asked)
    with open_state(settings, planted.until) as state:
        cause.disagree(state, *asked)
        mine = [one for one in cause.disagreements(state, INCIDENT) if one["actor"] == "ben"]
        row = state.incident(INCIDENT)
        assert row is not None
        assert len(mine) == 1
        assert sum(entry["actor"] == "ben" for entry in row.timeline) == 1
        assert sum(row["event"] == cause.EVENT and row["actor"] == "ben" for row in state.audit_rows()) == 1


def test_the_control_process_answers_the_same(world: tuple[Cli, Planted]) -> None:
    """While it has the facts open, the question goes through a request."""
    cli, planted = world
    settings = workspace_settings(str(cli.home), must_exist=True)
    with open_state(settings, planted.until) as state, Warehouse.open(settings.workspace.facts) as warehouse:
        deps = Deps(settings, warehouse, state, policy_in_force(settings, state))
        wish = {"name": "incident_causes", "arguments": {"incident_id": INCIDENT, "onset": None}}
        told = requests.ask(deps.home / work.FOLDER, wish, lambda: work.run(deps, planted.until) and None)
        direct = cause.causes_of(deps, state.incident(INCIDENT), planted.until)  # type: ignore[arg-type]
    assert told["answer"]["line"] == direct["line"]
    assert told["answer"]["window"]["until"] == planted.until.isoformat().replace("+00:00", "Z")


def test_windows_say_what_they_rest_on(world: tuple[Cli, Planted]) -> None:
    cli, planted = world
    settings = workspace_settings(str(cli.home), must_exist=True)
    with open_state(settings, planted.until) as state:
        row = state.incident(INCIDENT)
        assert row is not None
        _, notes = cause.window_of(state, replace(row, onset_at=None, cut_at=None), planted.until + timedelta(hours=1))
        assert any("no onset is recorded" in note for note in notes)
        with pytest.raises(ValueError, match="--onset"):
            cause.window_of(state, row, planted.until, planted.until + timedelta(hours=1))


def test_bad_input_is_named(world: tuple[Cli, Planted], tmp_path: Path) -> None:
    cli, planted = world
    assert "incident list" in cli.refused("incident", "causes", "nope", code=1)
    who = ("--actor", "ana", "--reason", "x")
    assert "incident list" in cli.refused("incident", "disagree", "nope", "--cause", "model", *who, code=1)
    assert "infrastructure" in cli.refused("incident", "disagree", INCIDENT, "--cause", "gremlins", *who, code=2)
    assert "folder" in cli.refused("incident", "causes", INCIDENT, "--out", tmp_path, code=2)
    assert "--onset" in cli.refused("incident", "causes", INCIDENT, "--onset", "noon", code=2)
    quiet = cli.json("incident", "causes", INCIDENT, "--onset", (planted.began - timedelta(days=9)).isoformat(), code=1)
    assert quiet["standing"] == "unknown"
    assert quiet["causes"] == []
