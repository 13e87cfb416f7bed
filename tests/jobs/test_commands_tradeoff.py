"""`controlplane tradeoff` from facts: every cell of the table, savings recounted by hand, and the record made again."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from controlplane.analysis.tradeoff import TABLE, Cost, Course, Latency, Satisfaction
from controlplane.core.policy import parse
from jobs.facts_query import facts_query
from jobs.tradeoff_command import Assumptions, question
from jobs.tradeoff_record import Asked, assume, tradeoff
from tests.jobs.command_line import Cli

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UNTIL = START + timedelta(hours=31)  # a day behind the last conversation: every rating is mature
TREATED, CONTROL = 80, 420
DEFAULT = Path(__file__).parents[2] / "controlplane" / "policies" / "default.toml"
TARGET = 0.02
RATINGS = {Satisfaction.UPLIFT: 5, Satisfaction.NOT_CERTIFIED: None, Satisfaction.DROP: 1, Satisfaction.UNKNOWN: None}
MILLISECONDS = {Latency.WITHIN: 500.0, Latency.BEYOND: 60_000.0, Latency.UNKNOWN: None}
DOLLARS = {Cost.WITHIN: 0.01, Cost.ABOVE: 0.05, Cost.UNKNOWN: 0.01}
INTENTS = ("fees", "balance", "fraud")
Cell = tuple[Satisfaction, Latency, Cost]


def label(cell: Cell) -> str:
    return "-".join(str(list(type(part)).index(part)) for part in cell)  # type: ignore[arg-type,call-overload]


def conversation(key: str, number: int, arm: str, rng: random.Random, cell: Cell | None) -> Iterator[dict[str, Any]]:
    """One turn, and a rating with the outcome an hour later."""
    satisfied, fast, spent = cell or (Satisfaction.NOT_CERTIFIED, Latency.UNKNOWN, Cost.UNKNOWN)
    step = 6 * 3600 / (CONTROL if cell is None else TREATED)
    ts = START + timedelta(seconds=number * step + rng.random())
    assistant = cell is not None
    yield {
        "interaction_id": f"{key}:1", "conversation_id": key, "turn": 1, "ts": ts.isoformat(), "user_id": f"u{key}", "arm": arm,
        "release": label(cell) if cell is not None else "menu", "phase": "ramp", "model": "large-1" if assistant else "menu",
        "intent_pred": INTENTS[number % 3], "intent_conf": 0.65 if number % 5 == 0 else 0.95, "latency_ms": MILLISECONDS[fast],
        "tokens_in": 400 if assistant else 0, "tokens_out": 50 + number if assistant else 0,
        "cost_usd": None if assistant and spent is Cost.UNKNOWN and number % 4 == 0 else DOLLARS[spent] if assistant else 0.0,
        "question": f"what about my {INTENTS[number % 3]} {number % 7}", "answer": "so it is",
        "extra": {"steps": [{"step": "retrieval", "score": 9.5}]},
    }  # fmt: skip
    rating = RATINGS[satisfied] or rng.choice([2, 3, 4])
    told = {"record": "feedback", "feedback_id": f"f{key}", "conversation_id": key, "resolved": number % 10 != 0}
    rated = {} if satisfied is Satisfaction.UNKNOWN else {"csat": rating}
    yield told | rated | {"ts": (ts + timedelta(hours=1)).isoformat()}


BEST = (Satisfaction.UPLIFT, Latency.WITHIN, Cost.WITHIN)
SOME = (
    BEST,
    (Satisfaction.UPLIFT, Latency.BEYOND, Cost.WITHIN),
    (Satisfaction.UPLIFT, Latency.UNKNOWN, Cost.UNKNOWN),
    (Satisfaction.NOT_CERTIFIED, Latency.WITHIN, Cost.WITHIN),
    (Satisfaction.NOT_CERTIFIED, Latency.WITHIN, Cost.ABOVE),
    (Satisfaction.DROP, Latency.WITHIN, Cost.WITHIN),
    (Satisfaction.UNKNOWN, Latency.WITHIN, Cost.WITHIN),
)


def logged(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """The traffic of one release for each cell beside one menu."""
    rng = random.Random(8)
    found = [row for i in range(CONTROL) for row in conversation(f"m{i}", i, "baseline", rng, None)]
    for cell in cells:
        for i in range(TREATED):
            found += conversation(f"{label(cell)}.{i}", i, "assistant", rng, cell)
    return found


def workspace(folder: Path, records: list[dict[str, Any]]) -> Cli:
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    found = Cli(folder / "home")
    assert found.json("ingest", folder / "log.jsonl")["quarantined"] == 0
    return found


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return logged(SOME)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]) -> Cli:
    return workspace(tmp_path_factory.mktemp("tradeoff"), records)


def asked(cell: Cell) -> list[str]:
    times = ["--since", START.isoformat(), "--until", UNTIL.isoformat()]
    return ["tradeoff", "--release", label(cell), *times, "--target-cost", str(TARGET)]


def reach(home: Path, cells: Iterable[Cell]) -> set[str]:
    """The courses found for these cells; each must be measured as it was made."""
    courses = set()
    for cell in cells:
        found = tradeoff(str(home), Asked(START, UNTIL, label(cell)), assume({"target_cost": TARGET}, "", None), UNTIL)
        assert tuple(found[name]["verdict"] for name in ("satisfaction", "latency", "cost")) == cell
        assert found["verdict"] == TABLE[cell].course
        courses.add(found["verdict"])
    return courses


def test_every_course_is_reached_from_facts(cli: Cli) -> None:
    assert reach(cli.home, SOME) == set(Course)


@pytest.mark.slow
def test_every_cell_of_the_table_is_reached_from_facts(tmp_path: Path) -> None:
    assert reach(workspace(tmp_path, logged(TABLE)).home, TABLE) == set(Course)


def test_the_numbers_are_those_of_the_log(cli: Cli, records: list[dict[str, Any]]) -> None:
    """Counted again in plain Python from the lines that were ingested."""
    found = cli.json(*asked(BEST))
    mine = [row for row in records if row.get("release") == label(BEST)]
    told = {row["conversation_id"]: row for row in records if row.get("record") == "feedback"}
    resolved = sum(told[row["conversation_id"]]["resolved"] for row in mine)
    assert found["cost"]["resolved"] == resolved
    assert found["cost"]["conversations"] == TREATED
    assert found["cost"]["interval"]["estimate"] == pytest.approx(sum(row["cost_usd"] for row in mine) / resolved)
    assert found["satisfaction"]["treated"] == TREATED
    assert found["satisfaction"]["control"] == CONTROL
    assert found["satisfaction"]["mean_treated"] == 5.0
    assert found["latency"]["requests"] == TREATED
    hours = (max(datetime.fromisoformat(row["ts"]) for row in mine) - START) / timedelta(hours=1)
    assert found["hardware"]["numbers"]["hours_logged"] == pytest.approx(hours, abs=0.01)
    assert found["hardware"]["numbers"]["tokens_day"] == pytest.approx(
        sum(row["tokens_in"] + row["tokens_out"] for row in mine) * 24 / hours, rel=1e-3
    )


def test_the_savings_are_those_of_an_independent_recount(cli: Cli, records: list[dict[str, Any]]) -> None:
    found = {
        item["name"]: item for item in cli.json(*asked(BEST), "--cache-hours", "2", "--small-ratio", "0.1")["savings"]
    }
    mine = sorted((row for row in records if row.get("release") == label(BEST)), key=lambda row: row["ts"])
    last: dict[tuple[str, ...], datetime] = {}
    hits: dict[str, int] = defaultdict(int)
    for row in mine:
        if row["intent_conf"] < 0.7:
            continue
        ts = datetime.fromisoformat(row["ts"])
        for name, key in (
            ("cache_intents", (row["intent_pred"],)),
            ("cache_words", (row["intent_pred"], row["question"])),
        ):
            if key in last and ts - last[key] <= timedelta(hours=2):
                hits[name] += 1
            last[key] = ts
    assert hits["cache_intents"] > hits["cache_words"] > 0
    for name, count in hits.items():
        assert found[name]["served"]["estimate"] == pytest.approx(count / TREATED)
        assert found[name]["saved"]["estimate"] == pytest.approx(count / TREATED)  # every request costs the same here
    easy = sum(row["intent_pred"] in ("fees", "balance") and row["intent_conf"] >= 0.7 for row in mine)
    assert found["small_model"]["served"]["estimate"] == pytest.approx(easy / TREATED)
    assert found["small_model"]["usd"] == pytest.approx(0.9 * easy * 0.01)
    assert "10% of the logged cost" in found["small_model"]["assumption"]


def test_a_listed_small_model(cli: Cli, tmp_path: Path, records: list[dict[str, Any]]) -> None:
    rates = {"input": 1e-6, "output": 2e-6}
    tier = {"name": "t", "priority": 1, "isDefault": True, "conditions": [], "prices": rates}
    (tmp_path / "p.json").write_text(
        json.dumps([{"modelName": "small-1", "matchPattern": "^small", "pricingTiers": [tier]}])
    )
    found = cli.json(*asked(BEST), "--small-model", "small-1", "--prices", tmp_path / "p.json")
    easy = [
        r
        for r in records
        if r.get("release") == label(BEST) and r["intent_conf"] >= 0.7 and r["intent_pred"] != "fraud"
    ]
    saved = sum(row["cost_usd"] - row["tokens_in"] * 1e-6 - row["tokens_out"] * 2e-6 for row in easy)
    (small,) = (item for item in found["savings"] if item["name"] == "small_model")
    assert small["usd"] == pytest.approx(saved)
    assert not any("small-ratio" in text for text in found["left_at_default"])
    assert "has no model" in cli.refused(*asked(BEST), "--small-model", "x", "--prices", tmp_path / "p.json", code=2)
    assert "go together" in cli.refused(*asked(BEST), "--small-model", "x", code=2)


def test_a_recorded_trade_off_is_made_again(cli: Cli, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    found = cli.json(*asked(BEST), "--record", "--actor", "ana", "--out", report)
    assert found["verdict"] == "grow"
    page = report.read_text()
    assert "<h1>Grow</h1>" in page
    assert "http" not in page
    assert "<script" not in page
    again = cli.json("tradeoff", "--verify", found["id"])
    assert (again["same"], again["differs"], again["verdict"]) == (True, [], "grow")
    row = cli.json("audit", "log")["rows"][-1]
    assert (row["event"], row["actor"], row["subject"]) == ("tradeoff_recorded", "ana", found["id"])
    assert found["inputs_hash"] in json.dumps(row)
    assert cli.json("audit", "verify")["ok"] is True
    assert "recorded already" in cli.refused(*asked(BEST), "--record", "--actor", "ana", code=1)  # some time later


def test_what_changed_since_is_named(cli: Cli, tmp_path: Path) -> None:
    cell = (Satisfaction.NOT_CERTIFIED, Latency.WITHIN, Cost.WITHIN)
    found = cli.json(*asked(cell), "--record", "--actor", "ana")
    late = next(conversation("late", 3, "assistant", random.Random(1), cell))
    (tmp_path / "late.jsonl").write_text(json.dumps(late) + "\n")
    cli("ingest", tmp_path / "late.jsonl")
    again = cli.json("tradeoff", "--verify", found["id"], code=1)
    assert again["same"] is False
    assert {"facts: latency", "facts: requests", "said: latency"} <= set(again["differs"])
    assert "facts: csat_blocks" not in again["differs"]
    assert "no trade-off" in cli.refused("tradeoff", "--verify", "tradeoff-0", code=1)


def test_no_data_is_an_answer_of_its_own(tmp_path: Path) -> None:
    empty = Cli(tmp_path / "home")
    assert "no workspace yet" in empty.refused("tradeoff", code=2)
    empty.start()  # a state, and no facts
    found = empty.json("tradeoff", code=1)
    assert (found["verdict"], found["data"]) == ("hold", False)
    assert "no data in this window" in empty("tradeoff", code=1).out
    page = tmp_path / "r.html"
    empty("tradeoff", "--out", page, code=1)
    assert "no data" in page.read_text()


def test_wrong_use_is_told(cli: Cli) -> None:
    assert "is no time" in cli.refused("tradeoff", "--since", "yesterday", code=2)
    assert "--actor" in cli.refused("tradeoff", "--record", code=2)
    order = ("--since", UNTIL.isoformat(), "--until", START.isoformat())
    assert "not after its begin" in cli.refused("tradeoff", *order, code=2)
    assert "lies in the future" in cli.refused("tradeoff", "--until", "9999-12-31", code=2)
    assert "there is no folder" in cli.refused("tradeoff", "--out", "no/such/folder/r.html", code=2)


def test_hours_without_a_record_are_not_logged_hours(cli: Cli) -> None:
    """A window that begins before the traffic and ends long after it says as much of its volume as one that fits."""
    times = ["--since", (START - timedelta(days=900)).isoformat(), "--until", UNTIL.isoformat()]
    wide = cli.json("tradeoff", "--release", label(BEST), *times)
    fits = cli.json("tradeoff", "--release", label(BEST))
    for name in ("hours_logged", "tokens_day", "api_usd_day"):
        assert wide["hardware"]["numbers"][name] == pytest.approx(fits["hardware"]["numbers"][name], rel=1e-3)
    assert 5 < wide["hardware"]["numbers"]["hours_logged"] < 8


def test_a_look_later_has_the_same_blocks_and_more(cli: Cli) -> None:
    """Evidence may be looked at as often as one likes only if the blocks of one look are those of the next."""
    looks = []
    for minutes in (25 * 60, 25 * 60 + 7, 27 * 60 + 1, 31 * 60):
        until = START + timedelta(minutes=minutes)
        found = question(parse(DEFAULT.read_text()), START, until, "", label(BEST), Assumptions())
        names = {"rollout": "", "release": label(BEST), "since": START, "until": until}
        more = {"span": found.span_seconds, "maturity": found.csat_maturity}
        looks.append(facts_query(str(cli.home), "tradeoff/csat_blocks", names | more))
    for earlier, later in pairwise(looks):
        assert later[: len(earlier)] == earlier
    assert len(looks[0]) < len(looks[-1])
    spans = {
        question(parse(DEFAULT.read_text()), START, START + timedelta(days=days), "", "", Assumptions()).span_seconds
        for days in range(1, 1000, 7)
    }
    assert all(longer == 2 * shorter for shorter, longer in pairwise(sorted(spans)))


def test_words_for_people(cli: Cli) -> None:
    said = cli(*asked(BEST)).out
    for part in (
        "GROW: ",
        "satisfaction",
        "fine-tune: no",
        "API or own GPU",
        "set your own: --small-ratio 0.2",
        "assumes: ",
    ):
        assert part in said
