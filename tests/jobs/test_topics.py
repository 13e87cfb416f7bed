"""The topic analysis as a job: from facts to an artefact with a file, an audit row, and answers that the next draw looks at."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.assistant.embedding import EmbeddingsMissing
from controlplane.core.audit import canonical, sha256_text
from jobs.compose import open_state, workspace_settings
from jobs.deps import Deps
from jobs.topics import WEEKLY, topics_text, weekly
from tests.jobs.command_line import Cli

WEEK = timedelta(days=7)
T0 = datetime(2026, 1, 5, 4, tzinfo=UTC)
OLD = ("what is the fee for a wire abroad", "my card has not arrived by post", "the daily limit is too low for me")
NEW = ("can i buy crypto coins here", "do you offer a crypto wallet for coins", "crypto coins wallet transfer")


def conversation(key: str, ts: datetime, question: str, reason: str | None = "no_answer") -> list[dict[str, Any]]:
    base = {"conversation_id": key, "ts": ts.isoformat(), "user_id": f"u-{key}"}
    said = {"interaction_id": f"{key}:1", "turn": 1, "arm": "assistant", "answer": "sorry", "question": question}
    said |= {"escalated": reason is not None, "escalation_reason": reason, "intent_conf": 0.9, "intent_pred": "fees"}
    return [base | {"record": "exposure", "exposure_id": f"x-{key}", "variant": "assistant"}, base | said]


@pytest.fixture
def words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra of the embeddings is not installed."""
    monkeypatch.setattr("controlplane.assistant.embedding.open_encoder", missing)


def missing() -> None:
    raise EmbeddingsMissing("not installed")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Two weeks of open questions; in the second one somebody asks about crypto. Proper hand-overs are no gap."""
    found = Cli(tmp_path / "home")
    lines = []
    for week, planted in ((0, 0), (1, 30)):
        questions = [OLD[i % 3] for i in range(90)] + [NEW[i % 3] for i in range(planted)]
        for i, question in enumerate(questions):
            lines += conversation(f"w{week}-{i}", T0 + week * WEEK + timedelta(minutes=i), question)
        for i in range(60):
            ts = T0 + week * WEEK + timedelta(hours=5, minutes=i)
            lines += conversation(f"f{week}-{i}", ts, "somebody stole my money", "mandatory_category")
            lines += conversation(f"o{week}-{i}", ts, "all is well", None)
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert found.json("ingest", tmp_path / "log.jsonl")["quarantined"] == 0
    return found


def test_the_new_topic_is_told_kept_and_drawn_from(cli: Cli) -> None:
    span = ("--since", (T0 + WEEK).isoformat(), "--until", (T0 + 2 * WEEK).isoformat())
    value = cli.json("topics", *span, "--actor", "ana")
    assert (value["questions"], value["before_questions"], value["asked"]) == (120, 90, 240)
    new = [topic for topic in value["topics"] if topic["new"]]
    assert sum(topic["n"] for topic in new) == 30
    assert all(set(topic["examples"]) <= set(NEW) for topic in new)
    assert sum(topic["refused"] for topic in new) == 30
    assert not [topic for topic in value["topics"] if "stole" in topic["terms"]]
    with open_state(workspace_settings(str(cli.home)), T0) as state:
        (row,) = state.artefacts("topics")
        (said,) = state.vouched("topics_found", row.artefact_id)
    assert said["result_hash"] == sha256_text(canonical(row.summary))
    text = (cli.home / row.path).read_text()
    assert row.summary["content_hash"] == sha256_text(text) == said["content_hash"]
    inside = {topic["topic_id"]: topic["members"] for topic in json.loads(text)["topics"]}
    assert sorted(key for topic in new for key in inside[topic["topic_id"]]) == sorted(
        f"w1-{i}:1" for i in range(90, 120)
    )
    drawn = cli.json("review", "queue", "--per-day", "1", "--actor", "ana")
    strata = {name: stratum["answers"] for name, stratum in drawn["strata"].items()}
    assert sum(n for name, n in strata.items() if "drifted_cluster" in name) == 30
    assert "NEW" in topics_text(value)


@pytest.mark.usefixtures("words_alone")
def test_ids_stay_from_week_to_week(cli: Cli) -> None:
    first = cli.json("topics", "--since", T0.isoformat(), "--until", (T0 + WEEK).isoformat())
    assert {topic["change"] for topic in first["topics"]} == {"unknown"}
    later = cli.json("topics", "--days", "7")
    assert later["method"] == "tfidf"
    known = {topic["topic_id"] for topic in first["topics"]}
    assert known <= {topic["topic_id"] for topic in later["topics"]}
    assert all(not topic["new"] for topic in later["topics"] if topic["topic_id"] in known)


@pytest.mark.usefixtures("words_alone")
def test_what_cannot_be_asked(cli: Cli, tmp_path: Path) -> None:
    assert "ends at" in cli.refused("topics", "--since", "2026-01-09", "--until", "2026-01-08", code=1)
    assert "is no time" in cli.refused("topics", "--since", "monday", code=2)
    empty = cli.json("topics", "--since", "2020-01-01", "--until", "2020-01-02")
    assert (empty["topics"], empty["questions"]) == ([], 0)
    assert "too few" in empty["reason"]
    other = Cli(tmp_path / "other")
    other.start()
    assert "no conversation yet" in other.refused("topics", code=1)


def test_it_runs_on_mondays_before_the_review() -> None:
    from jobs.scheduler import last_due

    due = last_due(WEEKLY, datetime(2026, 1, 8, 12, tzinfo=UTC))
    assert due == datetime(2026, 1, 5, 4, tzinfo=UTC)


def test_the_weekly_job_says_that_nobody_was_served_and_fails_nothing(deps: Deps) -> None:
    assert "the assistant has had no conversation yet" in weekly(deps, T0 + timedelta(minutes=1))
    assert deps.state.artefacts("topics") == []
