"""`controlplane policy`: lint with severities and history, diff, plan and explain, from files and from a workspace."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from controlplane.core.policy import parse
from controlplane.settings import Workspace, shipped_policy
from controlplane.store.warehouse import Warehouse
from jobs.policy_picture import short_count, short_time
from jobs.policy_plan import traffic_words
from tests.core.policy_texts import TEXT, edited, line_of
from tests.jobs.command_line import Cli

BEGIN = datetime(2026, 1, 5, tzinfo=UTC).replace(tzinfo=None)
DAYS, EVERY = 10, 6  # minutes between conversations
LATE = 300  # minutes after which the slowest tenth of escalations became known


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def lived(cli: Cli) -> Cli:
    """A workspace with ten days of conversations of one control: one in five rated, one in ten escalated, late ones among them."""
    workspace = Workspace(cli.home)
    workspace.create("live")
    rows = []
    for n in range(DAYS * 1440 // EVERY):
        at = BEGIN + timedelta(minutes=n * EVERY)
        escalated = n % 10 == 0
        late = escalated and n % 100 == 0
        rows.append(
            {
                "conversation_id": f"c{n}",
                "id_hash": n,
                "user_id": f"u{n}",
                "arm": "baseline",
                "eligible": True,
                "turns": 1,
                "batch_id": 1,
                "started_at": at,
                "intent_first": "fees" if n % 4 == 0 else "fraud",
                "escalated_at": at + timedelta(minutes=LATE if late else 20) if escalated else None,
                "csat": 4.0 if n % 5 == 0 else None,
                "csat_at": at + timedelta(minutes=30) if n % 5 == 0 else None,
            }
        )
    with Warehouse.open(workspace.facts) as warehouse:
        cursor = warehouse.cursor()
        types = {"escalated_at": pl.Datetime("us"), "csat_at": pl.Datetime("us"), "csat": pl.Float64}
        cursor.register("by_hand", pl.DataFrame(rows, schema_overrides=types).to_arrow())
        cursor.execute("INSERT INTO conversations BY NAME SELECT * FROM by_hand")
        cursor.close()
    return cli


def test_warnings_are_told_and_are_errors_when_strict(cli: Cli, file: Path) -> None:
    assert cli.json("policy", "lint", file)["warnings"] == []
    file.write_text(edited("margin = 0.019", "margin = 0.03"))
    said = cli("policy", "lint", file)
    line = line_of(file.read_text(), "margin = 0.03")
    assert f"{file}:{line}: certificates.0.margin: warning: " in said.out
    assert "1 warnings" in said.out
    value = cli.json("policy", "lint", file)
    assert (value["ok"], value["problems"], [item["severity"] for item in value["warnings"]]) == (True, [], ["warning"])
    strict = cli.json("policy", "lint", file, "--strict", code=2)
    assert (strict["ok"], strict["warnings"], [item["key"] for item in strict["problems"]]) == (
        False,
        [],
        ["certificates.0.margin"],
    )
    assert "--strict takes warnings as errors" in cli("policy", "lint", file, "--strict", code=2).out
    assert not cli.home.exists()


def test_a_label_that_cannot_mature_is_refused_with_file_line_and_remedy(cli: Cli, file: Path) -> None:
    text = edited("maturity_minutes = 120\n", "maturity_minutes = 7200\n")
    file.write_text(text)
    said = cli("policy", "lint", file, code=2)
    place = f"{file}:{line_of(text, 'maturity_minutes = 7200')}: triggers.1.maturity_minutes: "
    assert said.out.startswith(f"{place}its label can't mature inside its phase")
    assert "raise min_minutes to 3601" in said.out


def test_lint_with_history_asks_for_the_labels_that_came(lived: Cli, file: Path) -> None:
    """A tenth of the escalations came after 300 minutes: 95 % of them are known only then."""
    value = lived.json("policy", "lint", file, "--history", lived.home, code=2)
    assert [item["key"] for item in value["problems"]] == [
        "triggers.1.maturity_minutes",
        "certificates.0.maturity_minutes",
    ]
    assert all("within 300 minutes" in item["message"] for item in value["problems"])
    assert set(value["history"]) == {"escalation_rate", "csat"}
    file.write_text(TEXT.replace("maturity_minutes = 120\n", "maturity_minutes = 300\n").replace("= 121", "= 301"))
    assert lived.json("policy", "lint", file, "--history", lived.home)["ok"]


def test_lint_without_enough_history_says_so(cli: Cli, file: Path, tmp_path: Path) -> None:
    assert "no workspace" in cli.refused("policy", "lint", file, "--history", tmp_path / "none", code=2)
    workspace = Workspace(cli.home)
    workspace.create("live")
    assert "does not exist yet" in cli.refused("policy", "lint", file, "--history", cli.home, code=2)
    Warehouse.open(workspace.facts).close()
    assert "too few labels" in cli.refused("policy", "lint", file, "--history", cli.home, code=2)


def test_diff_of_two_files(cli: Cli, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("# new\n" + TEXT)
    assert cli("policy", "diff", file, other).out.startswith("no change of meaning: only comments")
    assert cli("policy", "diff", file, file).out == "no change of meaning\n"
    other.write_text(edited("limit = 0.02\n", "limit = 0.03\n"))
    said = cli("policy", "diff", file, other).out
    assert "weakens   triggers.escalation_increase.limit: 0.02 -> 0.03" in said
    assert "evidence begins again from nothing: escalation_increase" in said
    value = cli.json("policy", "diff", file, other, "--forbid-weaker", code=1)
    assert value["summary"]["weakens"] == 1
    assert [(c["key"], c["old"], c["new"]) for c in value["changes"]] == [
        ("triggers.escalation_increase.limit", 0.02, 0.03)
    ]
    assert not cli.json("policy", "diff", other, file, "--forbid-weaker")["same"]


def test_diff_with_the_policy_in_force(cli: Cli, file: Path) -> None:
    assert "no workspace" in cli.refused("policy", "diff", "in-force", file, code=2)
    assert cli.start()["release"] == "v1"
    value = cli.json("policy", "diff", "in-force", file)
    assert value["old"]["name"] == "default"
    assert value["new"]["hash"] == parse(TEXT).hash
    assert cli.json("policy", "diff", "in-force", "in-force")["same"]


@pytest.mark.parametrize("command", ["lint", "plan", "explain"])
def test_a_file_that_is_not_there_is_named(cli: Cli, tmp_path: Path, command: str) -> None:
    said = cli.refused("policy", command, tmp_path / "gone.toml", code=2)
    assert "gone.toml" in said
    assert "does not exist" in said
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in cli.refused("policy", command, tmp_path / "bytes.toml", code=2)


def test_explain_in_words(cli: Cli, file: Path) -> None:
    said = cli("policy", "explain", file).out
    assert "What nobody may do\n  - Nobody approves a release of their own" in said
    value = cli.json("policy", "explain", file)
    assert value["sections"][0]["title"] == "What this is"
    cli.start()
    assert cli.json("policy", "explain")["policy"] == "default"
    assert cli.json("policy", "explain", "in-force")["policy"] == "default"


def test_plan_takes_the_traffic_that_is_said(cli: Cli, file: Path) -> None:
    value = cli.json("policy", "plan", file, "--traffic", "1000")
    assert value["traffic"]["per_minute"] == 1000
    assert "[traffic]" in value["traffic"]["source"]
    slower = cli.json("policy", "plan", file)
    assert slower["traffic"]["per_minute"] == 200
    assert all(
        (a["minutes"] or 1e9) <= (b["minutes"] or 1e9)
        for a, b in zip(value["triggers"], slower["triggers"], strict=True)
    )
    said = cli("policy", "plan", file).out
    assert "never: not within the planned horizon" in said
    assert "200 units a minute ([traffic] of the policy)" in said
    assert [traffic_words(value) for value in (0.1, 12.34, 1e5)] == [
        "0.1 units a minute",
        "12.3 units a minute",
        "100,000 units a minute",
    ]
    assert all(trigger.name in said for trigger in parse(TEXT).triggers)


def test_a_text_that_begins_with_a_mark_of_its_encoding_is_read(cli: Cli, file: Path) -> None:
    plain = cli.json("policy", "lint", file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert cli.json("policy", "lint", file) == plain


def test_nothing_is_blind_where_nobody_is_exposed(cli: Cli, file: Path) -> None:
    text = TEXT.replace('audience = "low_risk"', 'audience = "employees"')
    file.write_text(text.replace('audience = "eligible"', 'audience = "employees"'))
    value = cli.json("policy", "plan", file, "--traffic", "10")
    assert (value["triggers"], value["blind"]) == ([], [])


def test_plan_without_any_traffic_names_the_three_sources(cli: Cli, file: Path) -> None:
    file.write_text(edited("per_minute = 200", "per_minute = 0"))
    said = cli.refused("policy", "plan", file, code=2)
    assert all(words in said for words in ("--traffic", "[traffic] per_minute", "ingest"))
    assert "traffic" in cli("policy", "plan", file, "--traffic", "0", code=2).err


def test_plan_from_what_the_workspace_has_measured(lived: Cli, file: Path) -> None:
    traffic = lived.json("policy", "plan", file)["traffic"]
    assert "2,400 conversations" in traffic["source"]
    assert traffic["per_minute"] == pytest.approx(1 / EVERY, rel=0.01)
    assert traffic["rated_share"] == pytest.approx(0.2)
    assert traffic["low_risk_share"] == pytest.approx(0.25)
    assert traffic["rates"]["escalation_rate"] == pytest.approx(
        0.09, abs=0.001
    )  # the late tenth is not known at maturity
    assert traffic["ratings"].index(max(traffic["ratings"])) == 3
    said = lived.json("policy", "plan", file, "--traffic", "50")["traffic"]
    assert (said["per_minute"], said["low_risk_share"]) == (50, traffic["low_risk_share"])
    assert "the workspace's facts" in said["source"]


def test_the_picture_is_one_page_that_asks_for_nothing(cli: Cli, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.html"
    file.write_text(TEXT.replace('"slow"', '"<slow>"'))
    value = cli.json("policy", "plan", file, "--out", out)
    page = out.read_text()
    assert value["picture"] == str(out)
    assert not re.search(r"https?://|src=|href=|@import|url\((?!#)", page)
    svg = ElementTree.fromstring(re.search(r"<svg.*</svg>", page, re.DOTALL).group(0))  # type: ignore[union-attr]
    groups = svg.findall("g")
    assert len(groups) == len(value["triggers"])
    titles = [group.findtext("title") for group in groups]
    assert titles.count("never at this traffic") == sum(item["minutes"] is None for item in value["triggers"])
    late = [group for group in groups if any(rect.get("fill") == "url(#late)" for rect in group.findall("rect"))]
    assert len(late) == sum(item["outlook"] == "not within the stage" for item in value["triggers"])
    assert "&lt;slow&gt;" in page
    assert "cannot" not in cli("policy", "plan", file, "--out", out).out
    assert "absent" in cli.refused("policy", "plan", file, "--out", tmp_path / "absent" / "plan.html", code=2)


def test_small_cells_keep_three_digits() -> None:
    assert [short_time(m) for m in (2.5, 119, 120, 2879, 2880, 28_471)] == [
        "2.5 min",
        "119 min",
        "2 h",
        "48 h",
        "2 d",
        "19.8 d",
    ]
    assert [short_count(n) for n in (40, 9_999, 10_000, 123_456, 1_234_567)] == ["40", "9,999", "10k", "123k", "1.23M"]


@pytest.mark.parametrize("name", ["default", "demo"])
def test_the_shipped_policies_can_be_planned_explained_and_compared(cli: Cli, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(shipped_policy(name))
    assert cli.json("policy", "lint", path)["problems"] == []
    assert cli.json("policy", "plan", path)["gates"]
    assert len(cli.json("policy", "explain", path)["sections"]) == 7
    json.dumps(cli.json("policy", "diff", path, path))
