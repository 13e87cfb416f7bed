"""`controlplane experiment analyze`: any file, bad input, the report, the record, and the arms of a rollout from the facts."""

import gzip
import json
import re
from datetime import timedelta

import polars as pl
import pytest
from typer.testing import CliRunner

from controlplane.settings import SettingsError
from jobs import experiment_analyze_rollout as of_rollout
from jobs.cli import app
from tests.analysis.experiment_files import shop
from tests.jobs.conftest import START

COLUMNS = ("--unit", "user", "--arm", "arm")


def run(*words):
    result = CliRunner().invoke(app, ["experiment", "analyze", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def answered(*words, code=0):
    found, out, err = run(*words, "--json")
    assert found == code, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture
def csv(tmp_path):
    file = tmp_path / "users.csv"
    shop(1000, effect=3.0).write_csv(file)
    return file


def test_one_file_in_every_format_says_the_same(tmp_path, csv):
    frame = shop(1000, effect=3.0)
    frame.write_parquet(tmp_path / "users.parquet")
    frame.write_ndjson(tmp_path / "users.jsonl")
    for name in ("users.csv", "users.jsonl"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    names = ("users.csv", "users.parquet", "users.jsonl", "users.csv.gz", "users.jsonl.gz")
    options = (*COLUMNS, "--metrics", "revenue,bought", "--covariate", "revenue=before", "--ratio", "revenue/sessions")
    values = [answered(tmp_path / name, *options) for name in names]
    for value in values:
        assert value.pop("file")
        assert value["metrics"]["revenue"]["arms"]["treated"]["p"] == pytest.approx(
            values[0]["metrics"]["revenue"]["arms"]["treated"]["p"], rel=1e-9
        )
        assert value["metrics"]["bought"]["kind"] == "rate"
    assert values[0]["metrics"]["revenue"]["arms"]["treated"]["verdict"] == "better"


def test_options_reach_the_analysis(csv):
    value = answered(
        csv, *COLUMNS, "--metrics", "revenue", "--metrics", "bought", "--cuped", "before", "--lower", "bought", "--segment", "intent",
        "--quantiles", "revenue:0.5", "--mde", "2%,bought=0.05", "--shares", "control=1,treated=1", "--control", "treated", "--alpha", "0.1",
        "--correction", "none", "--segment-correction", "holm", "--anytime", "--tightest", "900", "--power", "0.9",
    )  # fmt: skip
    rows = {name: metric["arms"]["control"] for name, metric in value["metrics"].items()}
    assert rows["revenue"]["cuped"]["before"] == rows["bought"]["cuped"]["before"] == "before"
    assert value["metrics"]["bought"]["direction"] == "lower"
    assert rows["bought"]["power"]["wanted"] == 0.05
    assert rows["revenue"]["power"]["chance"] == 0.9
    assert (value["control"], value["judged"]["verdict_by"]) == ("treated", "anytime_p")
    assert value["judged"]["correction"].startswith("not corrected")
    assert rows["revenue"]["corrected_p"] == rows["revenue"]["anytime_p"]
    assert value["sample_ratio"]["shares_are"] == "configured"
    assert len(value["segments"]) == 2


def test_the_terminal_says_verdicts_and_why(csv, tmp_path):
    options = (
        *COLUMNS,
        "--metrics",
        "revenue,bought",
        "--segment",
        "intent",
        "--quantiles",
        "revenue:.5",
        "--mde",
        "1%",
    )
    code, out, _ = run(csv, *options)
    assert code == 0
    assert re.search(r"^revenue +treated .* better$", out, re.MULTILINE)
    assert "split as it should be" in out
    assert "needs" in out
    assert "by intent (segments differ: p " in out
    shop(1000).filter((pl.col("arm") == "control") | (pl.col("user") % 3 > 0)).write_csv(tmp_path / "lost.csv")
    code, out, _ = run(tmp_path / "lost.csv", *options)
    assert code == 1
    assert "NOT TO BE TRUSTED: sample-ratio mismatch" in out
    assert answered(tmp_path / "lost.csv", *options, code=1)["trusted"] is False


def test_the_report_is_one_file_that_shows_every_part(tmp_path):
    frame = shop(1200, effect=3.0).with_columns(
        at=pl.lit(START) + pl.duration(hours=pl.col("user") % 300), intent=pl.lit("<b>&fees")
    )
    frame.write_parquet(tmp_path / "users.parquet")
    words = ("--metrics", "revenue,bought", "--segment", "intent", "--time", "at", "--quantiles", "revenue:.9")
    value = answered(tmp_path / "users.parquet", *COLUMNS, *words, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert value["report"] == str(tmp_path / "report.html")
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|<b>&fees", page)
    for title in ("Split", "Metrics", "revenue by intent", "Quantiles", "Over time", "What this rests on"):
        assert f"<h2>{title}</h2>" in page
    assert "&lt;b&gt;&amp;fees" in page
    assert page.count("<svg") == 1 + 2 + 4  # all metrics, a cell per segment table, days and weekdays per metric
    words = [metric["arms"]["treated"]["verdict"] for metric in value["metrics"].values()]
    assert words[0] == "better"
    assert ("2 better" if words[1] == "better" else f"1 better, 1 {words[1]}") in page


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("", (), "is empty"),
        ("user,arm,revenue\n", (), "no row"),
        ("revenue\n1\n2\n", (), "no column 'user'; the columns are revenue"),
        ("user,arm,revenue\n1,a,2\n2,b,x\n3,a,1\n", (), "row 2 is 'x'"),
        ("user,arm,revenue\n1,a,2\n2,b,inf\n", (), "row 2 is inf"),
        ("user,arm,revenue\n1,a,2\n2,a,3\n", (), "holds one arm only (a)"),
        ("user,arm,revenue\n1,a,2\n2,b,3,4\n", (), "cannot be read as csv"),
        ("user,arm,revenue\n1,a,2\n2,b,3\n", ("--alpha", "2"), "--alpha is 2"),
        ("user,arm,revenue\n1,a,2\n2,b,3\n", ("--mde", "x"), "'x' is no number"),
        ("user,arm,revenue\n1,a,2\n2,b,3\n", ("--record",), "--record needs --actor"),
    ],
)
def test_bad_input_is_one_message(tmp_path, text, words, message):
    file = tmp_path / "bad.csv"
    file.write_text(text, encoding="utf-8")
    code, out, err = run(file, *COLUMNS, "--metrics", "revenue", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_other_wrong_use(tmp_path, csv):
    metric = ("--metrics", "revenue")
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "a[1].csv").write_text("a\n1\n", encoding="utf-8")
    for name, message in (
        ("none.csv", "no such file"),
        ("x.xlsx", "unknown ending"),
        ("x.parquet", "cannot be read as parquet"),
        ("folder.csv", "is a folder"),
        ("a[1].csv", "rename it"),
    ):
        code, _, err = run(tmp_path / name, *COLUMNS, *metric)
        assert code == 2
        assert message in err
    assert "name a file to analyse, or --rollout" in run(*COLUMNS, *metric)[2]
    assert "--unit and --arm must name a column" in run(csv, *metric)[2]
    assert "no metric is asked for" in run(csv, *COLUMNS)[2]
    assert "leave unit, arm out" in run("--rollout", *COLUMNS)[2]
    assert "there is no folder" in run(csv, *COLUMNS, *metric, "--out", tmp_path / "no" / "x.html")[2]


def test_a_record_is_kept_once_and_vouched_for(deps, csv):
    options = (csv, *COLUMNS, "--metrics", "revenue", "--record", "--actor", "ana", "--home", deps.home)
    value = answered(*options)
    assert re.fullmatch(r"experiment-[0-9a-f]{12}", value["id"])
    assert len(value["file_hash"]) == 64
    kept = deps.state.artefacts("experiment")
    assert [row.artefact_id for row in kept] == [value["id"]]
    assert kept[0].summary["metrics"] == value["metrics"]
    vouched = deps.state.vouched("experiment_recorded", value["id"])
    assert vouched[0]["verdicts"] == {"revenue/treated": "better"}
    code, _, err = run(*options)
    assert (code, f"{value['id']} is recorded already" in err) == (1, True)


@pytest.fixture
def ramped(deps, facts, started, at):
    """A rollout's units in two stages: the share grows while everybody escalates less and less; no effect of the assistant."""
    version = deps.state.stages(started)[0].version
    for minute in range(20):
        late = minute >= 10
        facts.minute(at(minute), 120, 0.6 if late else 0.2, 0.1 if late else 0.5, 0.1 if late else 0.5, started)
    with deps.warehouse.cursor() as cursor:
        cursor.execute(
            "INSERT INTO units BY NAME SELECT conversation_id, user_id, arm, rollout_id, release, DATE '2026-01-05' AS week, started_at, "
            "started_at AS block_start, $rollout || '/' || CASE WHEN started_at < $cut THEN $first ELSE 99 END AS stage_key FROM conversations",
            {"rollout": started, "cut": at(10).replace(tzinfo=None), "first": version},
        )
    return started


def test_the_arms_of_a_rollout_are_compared_within_stages(deps, ramped, at):
    value = of_rollout.measure(deps, at(600), metrics=["escalation_rate", "csat"], segments=["intent"], goals=["2%"])
    row = value["metrics"]["escalation_rate"]["arms"]["assistant"]
    assert (value["rollout"], value["control"], row["strata"]) == (ramped, "baseline", 2)
    assert row["verdict"] == "not shown"
    with deps.warehouse.cursor() as cursor:
        cells = cursor.execute(
            "SELECT u.stage_key, count(*) FILTER (u.arm = 'assistant'), count(*) FILTER (u.arm = 'baseline'), "
            "count(escalated_at) FILTER (u.arm = 'assistant'), count(escalated_at) FILTER (u.arm = 'baseline') "
            "FROM units u JOIN conversations USING (conversation_id) WHERE u.started_at <= $mature GROUP BY 1",
            {"mature": (deps_newest(deps) - timedelta(minutes=5))},
        ).fetchall()
    weights = [t * c / (t + c) for _, t, c, _, _ in cells]
    effect = sum(w * (x / t - y / c) for w, (_, t, c, x, y) in zip(weights, cells, strict=True)) / sum(weights)
    assert row["difference"]["estimate"] == pytest.approx(effect, rel=1e-9)
    pooled = [sum(cell[i] for cell in cells) for i in range(1, 5)]
    assert pooled[2] / pooled[0] - pooled[3] / pooled[1] < -0.1  # what totals over the ramp would have said
    assert any("Simpson" in note for note in value["notes"])
    assert value["maturity_seconds"] == {"escalation_rate": 300, "csat": 600}
    assert value["metrics"]["csat"]["n"]["baseline"] < value["metrics"]["escalation_rate"]["n"]["baseline"]


def deps_newest(deps):
    with deps.warehouse.cursor() as cursor:
        return cursor.execute("SELECT max(greatest(started_at, csat_at)) FROM conversations").fetchall()[0][0]


def test_the_split_of_a_rollout_is_tested_against_its_configured_share(deps, ramped, at):
    ratio = of_rollout.measure(deps, at(600), metrics=["csat"])["sample_ratio"]
    assert [stage["share"] for stage in ratio["stages"]] == [0.2, None]
    assert ratio["counted"]["assistant"] + ratio["counted"]["baseline"] == 1200
    assert not ratio["mismatch"]
    with deps.warehouse.cursor() as cursor:
        cursor.execute("DELETE FROM units WHERE arm = 'assistant' AND hash(conversation_id) % 2 = 0")
    broken = of_rollout.measure(deps, at(600), metrics=["csat"])
    assert broken["sample_ratio"]["mismatch"]
    assert broken["metrics"]["csat"]["arms"]["assistant"]["verdict"] == "not to be trusted"


def test_a_rollout_that_cannot_be_analysed_says_why(deps, ramped, at):
    for words, message in (
        ({"rollout": "other"}, f"no rollout 'other' has units; there are {ramped}"),
        ({"metrics": ["revenue"]}, "a rollout has escalation_rate"),
        ({"segments": ["age"]}, "a rollout has segment, intent"),
        ({"judged": {"alpha": 3.0}}, "--alpha is 3"),
    ):
        with pytest.raises(SettingsError, match=message):
            of_rollout.measure(deps, at(600), **words)


def test_without_units_there_is_no_rollout_to_analyse(deps, at):
    with pytest.raises(SettingsError, match="no unit has been counted yet"):
        of_rollout.measure(deps, at(0))


def test_the_command_asks_for_a_rollout(deps, ramped):
    deps.warehouse.close()
    value = answered("--rollout", ramped, "--metrics", "escalation_rate", "--home", deps.home)
    assert (value["source"], value["rollout"]) == ("rollout", ramped)
    code, _, err = run("--rollout", "nope", "--home", deps.home)
    assert code == 2
    assert "no rollout 'nope' has units" in err
