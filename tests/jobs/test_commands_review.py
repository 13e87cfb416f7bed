"""The review queue on real stores: a stable sample, labels by somebody else than the author, and the gate that waits for them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from controlplane.settings import shipped_policy
from tests.jobs.command_line import Cli

ANSWERS = 200


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A release in its internal phase that has answered employees."""
    found = Cli(tmp_path / "home")
    policy = tmp_path / "policy.toml"
    policy.write_text(shipped_policy("default").replace("required = true", "required = false"))
    status = found.start(policy=policy)
    lines = []
    moment = datetime.fromisoformat(status["since"]) + timedelta(seconds=1)  # a stage's span begins with a whole second
    for i in range(ANSWERS):
        base = {"conversation_id": f"c{i}", "ts": moment.isoformat()}
        exposure = {
            "record": "exposure",
            "exposure_id": f"x{i}",
            "variant": "assistant",
            "rollout_id": status["rollout"],
            "user_id": f"u{i}",
        }
        said = {
            "interaction_id": f"c{i}:1",
            "turn": 1,
            "arm": "assistant",
            "question": f"question {i}",
            "answer": f"answer {i}",
        }
        lines += [json.dumps(base | exposure), json.dumps(base | said)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    assert found.json("ingest", tmp_path / "log.jsonl")["quarantined"] == 0
    return found


def test_a_stable_sample_is_labelled_and_the_gate_says_what_is_missing(cli: Cli) -> None:
    queue = cli.json("review", "list")["items"]
    assert 0.15 * ANSWERS < len(queue) < 0.45 * ANSWERS
    assert cli.json("review", "list")["items"] == queue
    assert "question" in cli("review", "next").out
    stats = cli.json("review", "stats")
    assert (stats["queued"], stats["labelled"]) == (len(queue), 0)
    assert {line["verdict"] for line in stats["gate"]} == {"NO_DATA"}
    for number, item in enumerate(queue):
        label = "incorrect" if number == 3 else "correct"
        cli("review", "label", item["interaction_id"], label, "--reviewer", "rita", "--note", "read it")
    stats = cli.json("review", "stats")
    assert (stats["labelled"], stats["incorrect"]) == (len(queue), 1)
    assert {line["verdict"] for line in stats["gate"]} == {"PASS"}
    assert cli("review", "next").out == "nothing waits\n"
    rows = cli.json("audit", "log", "--limit", "500")["rows"]
    assert sum(row["event"] == "output_reviewed" for row in rows) == len(queue)
    assert cli.json("audit", "verify")["ok"] is True


def test_the_gate_out_of_the_phase_waits_for_the_reviewer(cli: Cli) -> None:
    message = cli.refused("promote", "--actor", "noor", "--reason", "looks good", code=1)
    assert "reviewed answers: 0 of" in message


def test_a_later_label_counts_and_the_earlier_stays_in_the_record(cli: Cli) -> None:
    first = cli.json("review", "next")["items"][0]["interaction_id"]
    cli("review", "label", first, "correct", "--reviewer", "rita")
    cli("review", "label", first, "unsafe", "--reviewer", "olga", "--note", "told a stranger's balance")
    stats = cli.json("review", "stats")
    assert (stats["correct"], stats["unsafe"]) == (0, 1)
    assert any(line["verdict"] == "FAIL" for line in stats["gate"])
    said = [row["actor"] for row in cli.json("audit", "log")["rows"] if row["event"] == "output_reviewed"]
    assert said == ["rita", "olga"]


def test_what_cannot_be_labelled_is_refused(cli: Cli) -> None:
    first = cli.json("review", "next")["items"][0]["interaction_id"]
    assert "is no label" in cli.refused("review", "label", first, "fine", "--reviewer", "rita", code=1)
    assert "not in the queue" in cli.refused("review", "label", "c9999:1", "correct", "--reviewer", "rita", code=1)
    assert "ben made release" in cli.refused("review", "label", first, "correct", "--reviewer", "ben", code=1)


def test_a_phase_that_is_not_reviewed_has_no_queue(tmp_path: Path) -> None:
    other = Cli(tmp_path / "other")
    policy = tmp_path / "open.toml"
    text = shipped_policy("default").replace("required = true", "required = false")
    policy.write_text(text.replace('phases = ["internal"]', 'phases = ["canary"]'))
    other.start(policy=policy)
    assert "phase internal is not reviewed" in other.refused("review", "stats", code=1)
