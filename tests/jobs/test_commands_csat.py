"""`controlplane csat` from facts and from files: counted again by hand, what is left out, the record, and bad input with its remedy."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.policy import parse
from controlplane.core.weekly import Estimate
from controlplane.settings import SettingsError
from controlplane.store.queries import load
from controlplane.store.warehouse import Warehouse
from jobs.compose import open_state, workspace_settings
from jobs.csat import EVENT, KIND, maturity_of
from jobs.moments import week_bounds
from jobs.weekly_sections import csat as csat_section
from tests.jobs.command_line import OPEN_POLICY, Cli

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday
END = START + timedelta(days=3)
EACH = 1000  # conversations of each arm


def turn(key: str, ts: datetime, arm: str, **more: Any) -> dict[str, Any]:
    return {
        "interaction_id": f"{key}:1", "conversation_id": key, "turn": 1, "ts": ts.isoformat(), "user_id": f"u{key}", "arm": arm,
        "release": "v1" if arm == "assistant" else "menu", "phase": "ramp", "channel": "app", "latency_ms": 400.0,
    } | more  # fmt: skip


def rating(key: str, ts: datetime, csat: float, number: int = 1) -> dict[str, Any]:
    return {
        "record": "feedback", "feedback_id": f"f{key}.{number}", "conversation_id": key, "ts": ts.isoformat(), "csat": csat,
        "resolved": True,
    }  # fmt: skip


def exposure(key: str, ts: datetime, arm: str, **more: Any) -> dict[str, Any]:
    return {
        "record": "exposure", "exposure_id": f"e{key}", "conversation_id": key, "ts": ts.isoformat(), "user_id": f"u{key}", "variant": arm,
        "phase": "ramp", "release": "v1",
    } | more  # fmt: skip


def logged() -> Iterator[dict[str, Any]]:
    """Two arms; who waits long is less content and answers less. Beside them what must not count: see each line."""
    rng = random.Random(11)
    for arm, uplift in (("assistant", 0.4), ("baseline", 0.0)):
        for number in range(EACH):
            key, slow, web = f"{arm[0]}{number}", rng.random() < 0.4, rng.random() < 0.3
            ts = START + timedelta(seconds=60 * number + rng.random())
            channel = "web" if web else "app"
            yield turn(
                key, ts, arm, latency_ms=9000.0 if slow else 300.0, channel=channel, segment="new" if web else "old"
            )
            if rng.random() < (0.4 if slow else 0.75):
                points = min(5, max(1, round(rng.gauss(4.0 + uplift - 1.2 * slow, 0.8))))
                yield rating(key, ts + timedelta(minutes=rng.choice([2, 30, 300])), points)
        late, young, shut = (f"{arm[0]}{word}" for word in ("late", "young", "shut"))
        yield turn(late, START, arm)
        yield rating(late, START + timedelta(hours=30), 1)  # after 24 hours: silent
        yield turn(young, END - timedelta(hours=1), arm)
        yield rating(young, END, 1)  # told too early to count
        yield turn(f"{arm[0]}again", START + timedelta(hours=2), arm, user_id=f"u{arm[0]}0")
        yield rating(f"{arm[0]}again", START + timedelta(hours=3), 1)  # same customer, same week
        yield exposure(shut, START, arm, eligible=False, ineligible_reason="mandatory")
        yield turn(shut, START, arm)
        yield rating(shut, START + timedelta(hours=1), 1)


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return list(logged())


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]) -> Cli:
    folder = tmp_path_factory.mktemp("csat")
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    found = Cli(folder / "home")
    assert found.json("ingest", folder / "log.jsonl")["quarantined"] == 0
    return found


@pytest.fixture(scope="module")
def report(cli: Cli) -> dict[str, Any]:
    return cli.json("csat")


def by_hand(records: list[dict[str, Any]], arm: str) -> Counter[int]:
    told = {row["conversation_id"]: row["csat"] for row in records if row.get("record") == "feedback"}
    return Counter(int(told[f"{arm[0]}{n}"]) for n in range(EACH) if f"{arm[0]}{n}" in told)


def test_the_numbers_are_those_of_the_log(report: dict[str, Any], records: list[dict[str, Any]]) -> None:
    for side, arm in (("treated", "assistant"), ("control", "baseline")):
        counts = by_hand(records, arm)
        found = report["pooled"][side]
        assert found["distribution"] == [counts[points] for points in range(1, 6)]
        assert (found["conversations"], found["mature"]) == (
            EACH + 2,
            EACH + 1,
        )  # the late one and, too young, the last
        assert found["rated"] == sum(counts.values())
    assert report["csat"]["movement"] == "improved"
    assert report["question"]["maturity_seconds"] == 86_400
    assert report["question"]["as_of"] == END.isoformat()


def test_what_is_left_out_is_counted_and_said(report: dict[str, Any]) -> None:
    for line in report["coverage"]:
        assert (line["eligible"], line["repeats"], line["alone"], line["young"], line["early"], line["late"]) == (
            EACH + 3,
            1,
            0,
            1,
            1,
            1,
        )
    notes = " ".join(report["csat"]["notes"])
    assert "too young" in notes
    assert "same customer" in notes
    assert "after the maturity" in notes


def test_groups_weeks_and_delays_add_up(report: dict[str, Any]) -> None:
    assert [line["value"] for line in report["weeks"]] == ["2026-W10"]
    for lines in (report["weeks"], *report["groups"].values()):
        for side in ("treated", "control"):
            assert sum(line[side]["rated"] for line in lines) == report["pooled"][side]["rated"]
    assert set(report["groups"]) == {"segment", "intent", "channel"}
    assert [line["bucket"] for line in report["delays"]] == [
        "up to 5 min",
        "5 min to 1 h",
        "1 h to 6 h",
        "after maturity",
    ]
    assert sum(line["treated"]["n"] for line in report["delays"]) == report["pooled"]["treated"]["rated"] + 1


def test_the_model_stands_beside_and_leaves_out_what_came_with_the_rating(report: dict[str, Any]) -> None:
    """Slow answers are rated less often and lower: everybody is less content than the rated."""
    model = report["model"]
    assert model["status"] == "ok"
    assert model["left_out"] == ["resolved"]
    assert model["units"] == 2 * (EACH + 1)
    assert model["aipw"]["treated"]["value"] < report["pooled"]["treated"]["mean"]["value"] - 0.05
    assert report["csat"]["difference"]["mean"]["value"] == pytest.approx(
        model["aipw"]["difference"]["value"], abs=0.15
    )


def agrees(cli: Cli, report: dict[str, Any]) -> None:
    """The one query of the weekly review counts the same conversations as the report."""
    asked = {"since": START.replace(tzinfo=None), "until": END.replace(tzinfo=None) + timedelta(seconds=1)}
    more = {"as_of": END.replace(tzinfo=None), "maturity": 86_400, "release": "", "rollout": ""}
    with Warehouse.open(cli.home / "facts.duckdb") as warehouse:
        rows = warehouse.cursor().execute(load("csat/arms"), asked | more).fetchall()
    for (arm, conversations, mature, *ratings), side in zip(rows, ("treated", "control"), strict=True):
        found = report["pooled"][side]
        counted = (found["arm"], found["conversations"], found["mature"], found["distribution"])
        assert (arm, conversations, mature, ratings) == counted


def test_the_query_for_one_row_per_arm_agrees(cli: Cli, report: dict[str, Any]) -> None:
    agrees(cli, report)


def test_windows(cli: Cli) -> None:
    week = cli.json("csat", "--week", "2026-W10", "--no-model", "--segment", "channel")
    assert set(week["groups"]) == {"channel"}
    assert week["model"]["status"] == "not asked for"
    day = cli.json(
        "csat", "--since", START.isoformat(), "--until", (START + timedelta(hours=5)).isoformat(), "--no-model"
    )
    assert day["pooled"]["treated"]["conversations"] < week["pooled"]["treated"]["conversations"]
    for more in (("--week", "2025-W01"), ("--release", "nobody"), ("--days", "0.01")):
        found = cli.json("csat", *more, code=1)
        assert found["csat"]["movement"] == "unknown"
        assert found["csat"]["reason"]


def test_the_report_and_the_record(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    found = cli.json("csat", "--no-model", "--record", "--actor", "ana", "--out", page)
    text = page.read_text(encoding="utf-8")
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert "<script" not in text
    for word in ("Improved", "What the silent could change", "By response delay", "csat/units_create"):
        assert word in text
    settings = workspace_settings(str(cli.home), must_exist=True)
    with open_state(settings, END) as state:
        kept = next(row for row in state.artefacts(KIND) if row.artefact_id == found["id"])
        vouched = state.vouched(EVENT, found["id"])
    assert kept.path == str(page)
    assert [said["result_hash"] for said in vouched] == [sha256_text(canonical(kept.summary))]
    assert "recorded already" in cli.refused("csat", "--no-model", "--record", "--actor", "ana", code=1)


def test_the_text_says_the_answer_first(cli: Cli) -> None:
    lines = cli("csat", "--no-model").out.splitlines()
    assert lines[0].startswith("IMPROVED: ")
    assert any("for no difference: " in line for line in lines)


def test_an_empty_workspace_knows_nothing(tmp_path: Path) -> None:
    empty = Cli(tmp_path / "home")
    (tmp_path / "log.jsonl").write_text(json.dumps(turn("x", START, "assistant")) + "\n")
    empty.json("ingest", tmp_path / "log.jsonl")
    said = empty("csat", "--out", tmp_path / "r.html", code=1)
    assert said.out.startswith("UNKNOWN: unknown, no conversation of baseline can be compared")
    assert "<h1>Unknown</h1>" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--record",), "needs --actor"), (("--days", "0"), "above 0"), (("--days", "nan"), "above 0"), (("--week", "10"), "no ISO week"),
        (("--week", "2026-W60"), "no ISO week"), (("--week", "2026-W10", "--days", "3"), "not several"), (("--since", "then"), "is no time"),
        (("--segment", "mood"), "give one of segment"), (("--arm", "a"), "go with a FILE"), (("--plausible-gap", "-1"), "0 or more"),
        (("--since", "2026-03-05", "--until", "2026-03-04"), "not after its begin"), (("--out", "/nowhere/r.html"), "no folder"),
    ],
)  # fmt: skip
def test_wrong_use_is_named(cli: Cli, words: tuple[str, ...], message: str) -> None:
    assert message in cli.refused("csat", *words, code=2)


def test_weeks_and_maturity() -> None:
    assert week_bounds("2026-w10") == (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))
    assert maturity_of(parse(OPEN_POLICY)) == timedelta(hours=24)
    trigger = OPEN_POLICY.replace('"escalation_rate"', '"csat"').replace('"two_sample"', '"rating"')
    assert maturity_of(parse(trigger + "maturity_minutes = 90\n")) == timedelta(minutes=90)
    with pytest.raises(SettingsError, match="no ISO week"):
        week_bounds("")


def test_a_stage_of_one_arm_alone_is_not_compared(tmp_path: Path) -> None:
    """Version 1 served the assistant only, to people who are never content; version 2 both."""
    rows: list[dict[str, Any]] = []
    for version, arm, points in ((1, "assistant", 1), (2, "assistant", 5), (2, "baseline", 5)):
        for number in range(60):
            key, ts = f"{version}{arm[0]}{number}", START + timedelta(hours=version, seconds=number)
            told = points - number % 2 if points > 1 else points
            rows += [
                exposure(key, ts, arm, flag_version=version, eligible=True), turn(key, ts, arm), rating(key, ts + timedelta(minutes=1), told),
            ]  # fmt: skip
    rows.append(turn("newest", END, "baseline"))  # no version was logged
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    cli = Cli(tmp_path / "home")
    assert cli.json("ingest", tmp_path / "log.jsonl")["quarantined"] == 0
    found = cli.json("csat", "--no-model", code=1)  # the menu alone cannot be told apart: too few to say more
    assert found["pooled"]["treated"]["distribution"] == [0, 0, 0, 30, 30]
    assert next(line for line in found["coverage"] if line["arm"] == "assistant")["alone"] == 60
    assert any("other arm served nobody" in note for note in found["csat"]["notes"])
    agrees(cli, found)


def frame(rows: int = 4000) -> pl.DataFrame:
    rng = random.Random(3)
    made = []
    for number in range(rows):
        arm, slow = ("bot", "menu")[number % 2], rng.random() < 0.4
        points = min(5, max(1, round(rng.gauss(4.2 + 0.3 * (arm == "bot") - 1.2 * slow, 0.8))))
        made.append(
            (arm, points if rng.random() < (0.3 if slow else 0.6) else None, "slow" if slow else "quick", number % 7)
        )
    return pl.DataFrame(made, schema=["arm", "stars", "speed", "day"], orient="row")


@pytest.mark.parametrize("ending", ["csv", "parquet", "csv.gz"])
def test_a_file_is_counted_and_modelled(tmp_path: Path, ending: str) -> None:
    file, rows = tmp_path / f"r.{ending}", frame()
    if ending == "parquet":
        rows.write_parquet(file)
    else:
        file.write_bytes(rows.write_csv().encode() if ending == "csv" else gzip.compress(rows.write_csv().encode()))
    words = ["csat", file, "--arm", "arm", "--rating", "stars", "--segment", "day", "--features", "speed,day"]
    found = Cli(tmp_path).json(*words, *(() if ending == "csv" else ("--no-model",)))
    for side, arm in (("treated", "bot"), ("control", "menu")):
        mine = rows.filter(pl.col("arm") == arm)
        assert found["csat"][side]["mature"] == len(mine)
        assert found["csat"][side]["mean"]["value"] == pytest.approx(mine["stars"].mean())
    assert found["csat"]["movement"] == "improved"
    assert len(found["groups"]["day"]) == 7
    if ending != "csv":
        assert found["model"]["status"] == "not asked for"
        return
    assert found["model"]["status"] == "ok"
    assert found["model"]["aipw"]["treated"]["value"] < found["csat"]["treated"]["mean"]["value"]
    assert "tells nothing of time" in found["csat"]["notes"][-1]


GIVEN = ("--arm", "arm", "--rating", "stars")
BAD: list[tuple[str, str, tuple[str, ...], str]] = [
    ("empty.csv", "", GIVEN, "is empty"),
    ("head.csv", "arm,stars\n", GIVEN, "has no row"),
    ("one.csv", "arm\nmenu\n", GIVEN, "has no column 'stars'"),
    ("single.csv", "arm,stars\nmenu,4\nmenu,5\n", GIVEN, "holds 1 arms"),
    ("three.csv", "arm,stars\nmenu,4\na,5\nb,3\n", GIVEN, "holds 3 arms"),
    ("text.csv", "arm,stars\nmenu,good\nbot,5\n", GIVEN, "holds 'good' in 1 rows"),
    ("six.csv", "arm,stars\nmenu,6\nbot,5\n", GIVEN, "ratings are 1, 2, 3, 4 or 5"),
    ("half.csv", "arm,stars\nmenu,4.5\nbot,5\n", GIVEN, "holds '4.5'"),
    ("inf.csv", "arm,stars\nmenu,inf\nbot,5\n", GIVEN, "holds 'inf'"),
    ("noarm.csv", "arm,stars\nmenu,4\n,5\nbot,5\n", GIVEN, "is empty in 1 rows"),
    ("which.csv", "arm,stars\na,4\nb,5\n", GIVEN, "Name it with --control"),
    ("which.csv", "arm,stars\na,4\nb,5\n", (*GIVEN, "--control", "c"), "has no arm 'c'"),
    ("f.csv", "arm,stars\nmenu,4\nbot,5\n", (*GIVEN, "--features", "x"), "has no column 'x'"),
    ("f.csv", "arm,stars\nmenu,4\nbot,5\n", ("--arm", "arm"), "needs --arm and --rating"),
    ("f.csv", "arm,stars\nmenu,4\nbot,5\n", (*GIVEN, "--days", "3"), "has no window"),
    ("f.txt", "arm,stars\nmenu,4\nbot,5\n", GIVEN, "unknown ending .txt"),
    ("f.parquet", "no parquet", GIVEN, "f.parquet"),
    ("no/f.csv", "", GIVEN, "no such file"),
]


@pytest.mark.parametrize(("name", "text", "words", "message"), BAD, ids=[f"{i}-{row[0]}" for i, row in enumerate(BAD)])
def test_a_bad_file_is_named_with_its_remedy(
    tmp_path: Path, name: str, text: str, words: tuple[str, ...], message: str
) -> None:
    if "/" not in name:
        (tmp_path / name).write_text(text)
    assert message in Cli(tmp_path).refused("csat", tmp_path / name, *words, code=2)


def test_a_folder_is_no_file_and_all_silent_is_unknown(tmp_path: Path) -> None:
    assert "is a folder" in Cli(tmp_path).refused("csat", tmp_path, *GIVEN, code=2)
    (tmp_path / "ümlaut.csv").write_text("arm,stars\nmenü,\nbot,\nbot,NaN\n", encoding="utf-8")
    said = Cli(tmp_path)("csat", tmp_path / "ümlaut.csv", *GIVEN, "--control", "menü", code=1)
    assert said.out.startswith("UNKNOWN: unknown, nobody rated bot")


@pytest.mark.parametrize(("value", "low", "high", "verdict"), [(-0.4, -0.5, -0.3, "unknown"), (0.3, 0.2, 0.4, None)])
def test_no_verdict_of_the_weekly_review_stands_on_totals_that_mislead(
    value: float, low: float, high: float, verdict: str | None
) -> None:
    rows = [
        {"arm": arm, "conversations": 900, "mature": 900, **{f"n{i}": n for i, n in enumerate(counts, 1)}}
        for arm, counts in (("assistant", (5, 5, 20, 100, 200)), ("baseline", (30, 40, 60, 100, 100)))
    ]
    within = Estimate(value=value, low=low, high=high, n=660)
    found = csat_section(rows, parse(OPEN_POLICY), within)
    assert found["difference"]["mean"]["low"] > 0  # the totals are better
    assert found["within_stages"]["value"] == value
    assert (found["verdict"] == "unknown") is (verdict == "unknown")
    assert ("within stages it is worse" in found["reason"]) is (verdict == "unknown")
