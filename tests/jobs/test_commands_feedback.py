"""From drawn answers to labels, agreement, adjudication, rates, evaluations in the facts, and rows of data sets: through the commands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.review_queue import Opinion, fraction
from jobs.compose import open_state, workspace_settings
from jobs.review_return import return_settled
from jobs.review_work import submit
from tests.jobs.command_line import Cli

ANSWERS = 240
EMAIL = "ana.example@example.org"


def wrong(number: int) -> bool:
    """Answers that failed, and whose customers said so."""
    return number % 8 == 0


def records(status: dict[str, Any], moment: datetime, first: int = 0) -> list[str]:
    lines = []
    for i in range(first, first + ANSWERS):
        base = {"conversation_id": f"c{i}", "ts": (moment + timedelta(seconds=i / 100)).isoformat()}
        exposure = {"record": "exposure", "exposure_id": f"x{i}", "variant": "assistant", "user_id": f"u{i}"}
        exposure |= {"rollout_id": status["rollout"], "release": "v1.0"}
        said: dict[str, Any] = {"interaction_id": f"c{i}:1", "turn": 1, "arm": "assistant", "answer": f"answer {i}"}
        said |= {"question": f"question {i}, write to {EMAIL}", "intent_pred": "fees", "intent_conf": 0.9}
        said |= {"csat": 1} if wrong(i) else {}
        said |= {"intent_conf": 0.2} if i % 20 == 1 else {}
        lines += [json.dumps(base | exposure), json.dumps(base | said)]
        for judge, label in (("judge", "grounded"), ("human:old", "ungrounded")) if i % 30 == 2 else ():
            label_ = {"record": "evaluation", "evaluation_id": f"{judge}{i}", "interaction_id": f"c{i}:1"}
            lines.append(json.dumps(base | label_ | {"name": "groundedness", "label": label, "evaluator": judge}))
    return lines


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    found = Cli(tmp_path / "home")
    status = found.start()
    start = datetime.fromisoformat(status["since"]) + timedelta(seconds=1)
    (tmp_path / "log.jsonl").write_text("\n".join(records(status, start)) + "\n")
    assert found.json("ingest", tmp_path / "log.jsonl")["quarantined"] == 0
    return found


def drawn(cli: Cli, *more: str) -> Any:
    return cli.json("review", "queue", "--per-day", "60", "--actor", "ana", *more)


def label_all(cli: Cli, reviewer: str, of: Any = None) -> list[str]:
    """Take everything and label it as it is, as `review submit` does, but at once; `of` changes what is said of an item."""
    items = cli.json("review", "take", "--reviewer", reviewer, "--count", "500")["items"]
    settings, now = workspace_settings(str(cli.home)), datetime.now(UTC)
    with open_state(settings, now) as state:
        for item in items:
            bad = wrong(int(item["conversation_id"][1:]))
            said = ("incorrect", "limits") if bad else ("correct", "fees")
            label, intent = of(item, said) if of else said
            submit(state, item["item_id"], Opinion(reviewer, label, now, intent, True))
        return_settled(settings, state, now)
    return [item["item_id"] for item in items]


def test_a_draw_has_reasons_and_probabilities(cli: Cli) -> None:
    found = drawn(cli)
    assert found["frame"] == ANSWERS
    assert found["expected"] == pytest.approx(60)
    assert 30 <= found["drawn"] <= 90
    sizes = {name: stratum["answers"] for name, stratum in found["strata"].items()}
    expected = {"none": 192, "failure": 28, "low_confidence": 12, "disagreement": 6, "disagreement+failure": 2}
    assert sizes == expected
    assert found["by_reason"]["failure"] > 5
    assert found["rates"]["drifted_cluster"] == 0.0
    assert "answered nothing since the last draw" in cli.refused(
        "review", "queue", "--per-day", "5", "--actor", "ana", code=1
    )


def test_two_people_do_not_see_each_other_and_a_third_decides(cli: Cli) -> None:
    drawn(cli, "--double-share", "1")
    shown = cli.json("review", "take", "--reviewer", "rita", "--count", "3")["items"]
    assert set(shown[0]) == {
        *("item_id", "interaction_id", "conversation_id", "turn", "ts", "question", "answer"),
        *("workflow", "escalated", "sources"),
    }
    assert EMAIL not in json.dumps(shown)
    one, other = shown[0]["item_id"], shown[1]["item_id"]
    assert "not given to olga" in cli.refused("review", "submit", one, "correct", "--reviewer", "olga", code=1)
    assert "ben made release" in cli.refused("review", "submit", one, "correct", "--reviewer", "ben", code=1)
    assert "nothing is left for ben" in cli.refused("review", "take", "--reviewer", "ben", code=1)
    assert cli.json("review", "submit", one, "unsafe", "--reviewer", "rita", "--severity", "5")["status"] == "half"
    cli("review", "assign", "--to", "olga", "--count", "500", "--actor", "ana")
    theirs = cli.json("review", "take", "--reviewer", "olga", "--count", "500")
    assert "unsafe" not in json.dumps(theirs)
    cli("review", "submit", one, "correct", "--reviewer", "olga")
    open_ = cli.json("review", "open")
    assert open_["disagreed"] == [one]
    assert open_["agreement"]["label"]["n"] == 1
    assert [said["label"] for said in cli.json("review", "disputes")["items"][0]["opinions"]] == ["unsafe", "correct"]
    assert "in dispute" in cli.refused("review", "submit", one, "correct", "--reviewer", "rita", code=1)
    assert "labelled" in cli.refused("review", "adjudicate", one, "correct", "--reviewer", "rita", code=1)
    assert "is waiting" in cli.refused("review", "adjudicate", other, "correct", "--reviewer", "nora", code=1)
    decided = cli.json("review", "adjudicate", one, "unsafe", "--reviewer", "nora", "--severity", "5", "--note", EMAIL)
    assert (decided["status"], decided["evaluations"]) == ("adjudicated", 1)
    log = cli.json("audit", "log", "--limit", "500")["rows"]
    assert [row["actor"] for row in log if row["event"] == "review_adjudicated"] == ["nora"]
    assert EMAIL not in json.dumps(log)
    assert cli.json("audit", "verify")["ok"] is True


def test_labels_land_once_and_only_chance_counts_in_rates(cli: Cli) -> None:
    found = drawn(cli, "--double-share", "0")
    items = label_all(cli, "rita")
    assert len(items) == found["drawn"]
    assert "nothing is left for rita" in cli.refused("review", "take", "--reviewer", "rita", code=1)
    cli("tick")
    stored = cli.json(
        "sql", "SELECT evaluation_id, name, sampling_rate FROM evaluations WHERE evaluator = 'human:rita'"
    )
    assert len(stored["rows"]) == 3 * len(items)
    random = [row for row in stored["rows"] if row[0].startswith("review:")]
    assert sorted({row[2] for row in random}) == pytest.approx([found["rates"]["audit"]])
    assert {row[2] for row in stored["rows"] if row[0].startswith("targeted:")} == {None}
    assert len(random) == 3 * found["by_reason"]["audit"]
    counted = cli.one(
        "SELECT count(*) FROM judgements WHERE metric = 'misclassification_rate' AND judgement_id LIKE '%q-%'"
    )
    assert counted == found["by_reason"]["audit"]
    cli("tick")
    assert cli.one("SELECT count(*) FROM evaluations WHERE evaluator = 'human:rita'") == 3 * len(items)


def test_the_weighted_rate_is_not_that_of_the_queue(cli: Cli) -> None:
    assert cli.json("review", "rates")["rates"]["incorrect"]["rate"] is None
    drawn(cli, "--double-share", "0")
    label_all(cli, "rita")
    value = cli.json("review", "rates")
    found = value["rates"]["misclassification"]
    assert found["low"] <= 30 / ANSWERS <= found["high"]
    assert found["naive"] > 1.3 * found["rate"]
    assert value["rates"]["unsafe"]["rate"] == 0.0
    assert cli.json("review", "rates", "--release", "v9")["items"] == 0
    assert cli.json("review", "rates", "--until", "2020-01-01")["items"] == 0
    assert "is no time" in cli.refused("review", "rates", "--since", "yesterday", code=2)
    assert "misclassification" in cli("review", "rates").out


def test_settled_items_become_rows_of_one_set_only(cli: Cli) -> None:
    words = ("review", "accept", "--evaluation", "support", "--training", "support-train", "--actor", "ana")
    assert "no item is settled" in cli.refused(*words, code=1)
    drawn(cli, "--double-share", "1")
    label_all(cli, "rita", lambda item, said: ("correct", "out_of_scope") if item["conversation_id"] == "c3" else said)
    items = label_all(
        cli, "olga", lambda item, said: ("unsafe", None) if item["conversation_id"].endswith("7") else said
    )
    value = cli.json(*words)
    disputed = len(cli.json("review", "open")["disagreed"])
    assert disputed > 0
    assert value["left_out"]["open"] == disputed
    assert value["evaluation"]["added"] + value["training"]["added"] == len(items) - disputed
    for name, side in (("support", True), ("support-train", False)):
        out = cli.home.parent / f"{name}.jsonl"
        cli("dataset", "export", name, "--out", out)
        text = out.read_text()
        assert EMAIL not in text
        assert "[email]" in text
        rows = [json.loads(line) for line in text.splitlines()]
        assert all(row["origin"] == f"review:{row['id'].removeprefix('review-')}" for row in rows)
        conversations = {f"c{row['turns'][0].split(',')[0].split()[-1]}" for row in rows}
        assert all((fraction("split", key) < 0.3) is side for key in conversations)
    again = cli.json(*words)
    assert (again["evaluation"]["added"], again["training"]["added"]) == (0, 0)
    assert again["training"]["version"] == value["training"]["version"]
    assert "cannot be both" in cli.refused(*words[:3], "x", "--training", "x", "--actor", "ana", code=1)
    moved = cli.json(*words, "--evaluation-share", "0.9")
    assert (moved["evaluation"]["added"], moved["training"]["added"]) == (0, 0)
    assert moved["left_out"]["in the other set"] > 0


def test_bad_input_is_named(cli: Cli, tmp_path: Path) -> None:
    assert "no item 'q-1'" in cli.refused("review", "submit", "q-1", "correct", "--reviewer", "rita", code=1)
    drawn(cli)
    item = cli.json("review", "take", "--reviewer", "rita", "--count", "1")["items"][0]["item_id"]
    assert "'fine' is no label" in cli.refused("review", "submit", item, "fine", "--reviewer", "rita", code=1)
    assert "name who looks" in cli.refused("review", "take", "--reviewer", " ", code=2)
    other = Cli(tmp_path / "other")
    other.start()
    assert "answered nothing" in other.refused("review", "queue", "--actor", "ana", code=1)
