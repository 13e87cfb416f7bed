"""The commands of an incident's life: show, ack, own, note, resolve, review, reopen, serious."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.command_line import Cli
from tests.jobs.conftest import POLICY

KIM = ("--actor", "kim", "--reason", "I looked")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


@pytest.fixture
def incident(cli: Cli, tmp_path: Path) -> str:
    """The id of the incident of a person's rollback."""
    (tmp_path / "policy.toml").write_text(POLICY)
    start = ("release", "start", "v1", "--actor", "ana", "--policy", tmp_path / "policy.toml", "--artefact", "model=m1")
    cli.json(*start)
    (key,) = cli.json("rollback", *KIM)["open_incidents"]
    return str(key)


def test_from_the_acknowledgement_to_the_review_and_back(cli: Cli, incident: str) -> None:
    assert cli.json("incident", "ack", incident, "--actor", "kim")["owner"] == "kim"
    assert "acknowledged by kim" in cli.refused("incident", "ack", incident, "--actor", "ben", code=1)
    assert cli("incident", "own", incident, "--to", "ben", *KIM).out == f"{incident}: acknowledged, owned by ben\n"
    cli.json("incident", "note", incident, "the provider has confirmed it", "--actor", "kim")
    assert "note is empty" in cli.refused("incident", "note", incident, "  ", "--actor", "kim", code=2)
    assert cli.json("incident", "list", "--open")["incidents"][0]["incident_id"] == incident
    for name, state in (("resolve", "resolved"), ("review", "reviewed"), ("reopen", "open")):
        assert cli.json("incident", name, incident, *KIM)["state"] == state
    shown = cli.json("incident", "show", incident)
    assert [entry["event"] for entry in shown["timeline"]] == [
        *("rollback", "acknowledge", "own", "note"),
        *("resolve", "review", "reopen"),
    ]
    assert (shown["times"]["to_acknowledge"], shown["report"], len(shown["messages"])) == (None, "none", 7)
    assert cli.json("incident", "note", incident[:-3], "by its beginning", "--actor", "kim")["incident_id"] == incident
    text = cli("incident", "show", incident).out
    assert text.startswith(f"{incident}: v1 rolled back by kim\nopen, critical; owned by ben")
    assert "note: the provider has confirmed it" in text
    assert cli.json("audit", "verify")["ok"]


def test_the_clock_of_a_serious_incident(cli: Cli, incident: str) -> None:
    for wrong in ((), ("--kind", "rights", "--withdraw")):
        assert "name one of" in cli.refused("incident", "serious", incident, *wrong, *KIM, code=2)
    assert "--reason" in cli.refused("incident", "serious", incident, "--kind", "rights", "--actor", "kim", code=2)
    assert "infrastructure" in cli.refused("incident", "serious", incident, "--kind", "bad", *KIM, code=1)
    early = ("--aware", "2026-01-02T08:00")
    row = cli.json("incident", "serious", incident, "--kind", "death", *early, *KIM)
    assert row["serious"]["due_at"] == "2026-01-12T08:00:00.000000Z"
    assert "report overdue" in cli("incident", "list").out
    assert "OVERDUE since 2026-01-12T08:00:00Z" in cli("incident", "show", incident).out
    assert "write a time such as" in cli.refused(
        "incident", "serious", incident, "--kind", "death", "--aware", "soon", *KIM, code=2
    )
    assert "no report is due" in cli("incident", "serious", incident, "--reported", "MSA-1", "--actor", "kim").out
    assert "reported" in cli("incident", "show", incident).out
    assert "has been reported" in cli.refused("incident", "serious", incident, "--withdraw", *KIM, code=1)


def test_an_unknown_incident_is_refused_by_every_command(cli: Cli, incident: str) -> None:
    commands = [("ack",), ("own",), ("resolve",), ("review",), ("reopen",), ("serious", "--kind", "rights")]
    for name, *more in commands:
        assert "'i9'" in cli.refused("incident", name, "i9", *more, *KIM, code=1)
    assert "'i9'" in cli.refused("incident", "note", "i9", "seen", "--actor", "kim", code=1)
    assert "'i9'" in cli.refused("incident", "show", "i9", code=1)
    assert (
        cli.json("incident", "show", incident[:-1])["incident_id"] == incident
    )  # a unique beginning is enough to look
