"""The commands on logs and facts: ingest, sql, quarantine, replay, drift."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.store.warehouse import Warehouse
from tests.jobs.command_line import OPEN_POLICY, Cli
from tests.store.facts_world import feedback, interaction, write_lines

TAU_BENCH = Path(__file__).parents[3] / "shared" / "data" / "tau_bench_airline" / "gpt4o_airline.jsonl.gz"
NOTHING_STORED = {"read": 0, "stored": 0, "duplicates": 0, "quarantined": 0}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A workspace with three good interactions; tests only read it."""
    folder = tmp_path_factory.mktemp("filled")
    cli = Cli(folder / "home")
    cli("ingest", write_lines(folder / "log.jsonl", [interaction(n, f"c{n}", csat=n) for n in (1, 2, 3)]))
    return cli


def test_a_log_is_stored_once_however_often_and_under_whatever_name_it_comes(cli: Cli, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [interaction(1), interaction(2), feedback(1, csat=4)])
    assert cli.json("ingest", log) == {"read": 3, "stored": 3, "duplicates": 0, "quarantined": 0}
    assert cli.json("ingest", log) == {"read": 3, "stored": 0, "duplicates": 3, "quarantined": 0}
    packed = tmp_path / "same.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert cli("ingest", packed, log).out == "read 6, stored 0, duplicates 6, quarantined 0\n"
    assert cli.json("sql", "SELECT interaction_id FROM interactions ORDER BY 1")["rows"] == [["i1"], ["i2"]]
    assert cli.one("SELECT csat FROM conversations") == 4


def test_a_folder_is_taken_whole(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "logs" / "may").mkdir(parents=True)
    write_lines(tmp_path / "logs" / "a.jsonl", [interaction(1)])
    write_lines(tmp_path / "logs" / "may" / "b.jsonl", [interaction(2), interaction(1)])
    (tmp_path / "logs" / "README.md").write_text("no log")
    assert cli.json("ingest", tmp_path / "logs") == {"read": 3, "stored": 2, "duplicates": 1, "quarantined": 0}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.jsonl", "missing.jsonl does not exist"),
        ("empty.jsonl", "empty.jsonl is empty"),
        ("notes.docx", "notes.docx: unknown format"),
        ("bare", "bare holds no log files"),
    ],
)
def test_a_path_that_cannot_be_read_is_named_and_nothing_is_stored(
    cli: Cli, tmp_path: Path, name: str, words: str
) -> None:
    good = write_lines(tmp_path / "good.jsonl", [interaction(1)])
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes.docx").write_text("x")
    (tmp_path / "bare").mkdir()
    assert words in cli.refused("ingest", good, tmp_path / name, "--json", code=2)
    assert cli.one("SELECT count(*) FROM interactions") == 0


def test_ingest_without_a_path_is_wrong_use(cli: Cli) -> None:
    assert "paths" in cli("ingest", code=2).err.lower()


def test_a_file_that_is_no_gzip_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl.gz").write_text('{"interaction_id": "i1"}\n')
    assert "log.jsonl.gz" in cli.refused("ingest", tmp_path / "log.jsonl.gz", code=2)


def test_bad_rows_go_to_quarantine_with_file_line_and_reason(cli: Cli, tmp_path: Path) -> None:
    bad: list[tuple[object, str]] = [
        ("{torn", "not_json"),
        ("[1, 2]", "not_json"),
        (b'{"interaction_id": "\xff"}', "invalid_utf8"),
        (interaction(10, interaction_id=None), "missing_required"),
        (interaction(11, turn="three"), "wrong_type"),
        (interaction(12, csat=9), "impossible_value"),
        (interaction(13, arm="robot"), "unknown_arm"),
        (interaction(14, ts="2999-01-01T00:00:00Z"), "future_time"),
        (interaction(15, ts="yesterday"), "wrong_type"),
        ({"record": "sermon", "sermon_id": "s1"}, "unknown_record"),
        (interaction(1, answer="another answer"), "changed_duplicate"),
        (interaction(16, arm="baseline"), "contradicts_conversation"),
    ]
    log = write_lines(tmp_path / "log.jsonl", [interaction(1), *(line for line, _ in bad), interaction(2)])  # type: ignore[misc]
    counts = cli.json("ingest", log)
    assert counts == {"read": 14, "stored": 2, "duplicates": 0, "quarantined": 12}
    found = cli.json("quarantine")
    assert found["columns"][:3] == ["path", "line", "reason"]
    assert [(row[0], row[1], row[2]) for row in found["rows"]] == [
        (str(log), number, reason) for number, (_, reason) in enumerate(bad, start=2)
    ]
    assert f"{log}:8: unknown_arm arm" in cli("quarantine").out
    assert len(cli.json("quarantine", "--limit", "5")["rows"]) == 5
    assert cli.json("ingest", log) == {"read": 14, "stored": 0, "duplicates": 2, "quarantined": 12}
    assert cli.one("SELECT count(*) FROM quarantine") == 12  # refused again, listed once


def test_an_empty_quarantine_says_so(filled: Cli) -> None:
    assert filled("quarantine").out == "none\n"
    assert filled.json("quarantine")["rows"] == []


@pytest.mark.skipif(not TAU_BENCH.exists(), reason=f"the real GPT-4o runs are not at {TAU_BENCH}")
def test_real_gpt4o_support_runs_come_in_through_the_shipped_map(cli: Cli) -> None:
    """The file's own sums: reward 1.0 is resolved, the transfer tool is an escalation."""
    with gzip.open(TAU_BENCH, "rt", encoding="utf-8") as file:
        runs = [json.loads(line) for line in file]
    transferred = sum("transfer_to_human_agents" in json.dumps(run["traj"]) for run in runs)
    assert cli.json("ingest", TAU_BENCH, "--map", "tau_bench") == NOTHING_STORED | {"read": 100, "stored": 100}
    query = "SELECT count(*) AS n, count(*) FILTER (resolved) AS resolved, count(*) FILTER (escalated) AS escalated FROM conversations"
    ((n, resolved, escalated),) = cli.json("sql", query)["rows"]
    assert (n, resolved) == (len(runs), sum(run["reward"] == 1.0 for run in runs))
    assert 0 < escalated <= transferred
    assert cli.one("SELECT count(ts) FROM interactions") == 0
    assert cli.json("ingest", "--map", "tau_bench", TAU_BENCH) == NOTHING_STORED | {"read": 100, "duplicates": 100}


def test_a_column_map_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    with export.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["id", "session", "n", "group", "said"], [1, "s1", 1, "treatment", "hello"], [2, "s2", 1, "?", "hi"]]
        )
    columns = tmp_path / "desk.toml"
    columns.write_text(
        'version = 1\n[fields]\ninteraction_id = "id"\nconversation_id = "session"\nturn = "n"\nquestion = "said"\n'
        'arm = { from = "group", values = { treatment = "assistant" } }\n'
    )
    assert cli.json("ingest", export, "--map", columns) == {"read": 2, "stored": 1, "duplicates": 0, "quarantined": 1}
    assert cli.json("sql", "SELECT conversation_id, arm, question FROM interactions")["rows"] == [
        ["s1", "assistant", "hello"]
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "tau_bench"),
        ("version = 1\n[fields\n", "desk.toml"),
        ('version = 1\n[fields]\ninteraction_ids = "id"\n', "interaction_ids"),
        ('version = 2\n[fields]\ninteraction_id = "id"\n', "version"),
    ],
)
def test_a_column_map_that_cannot_be_used_is_named(cli: Cli, tmp_path: Path, text: str | None, words: str) -> None:
    log = write_lines(tmp_path / "log.jsonl", [interaction(1)])
    columns = tmp_path / "desk.toml"
    if text is not None:
        columns.write_text(text)
    message = cli.refused("ingest", log, "--map", columns, code=2)
    assert words in message
    assert "desk" in message


# sql


def test_sql_reads_facts_for_people_and_for_machines(filled: Cli) -> None:
    query = "SELECT conversation_id, csat, ts FROM interactions WHERE csat < 3 ORDER BY csat"
    found = filled.json("sql", query)
    assert found["columns"] == ["conversation_id", "csat", "ts"]
    assert [row[:2] for row in found["rows"]] == [["c1", 1], ["c2", 2]]
    moment = datetime.fromisoformat(found["rows"][0][2])
    assert moment.utcoffset() == timedelta(0)
    shown = filled("sql", query).out
    assert "conversation_id" in shown
    assert "c2" in shown
    assert filled.json("sql", "SELECT csat FROM interactions WHERE false")["rows"] == []


@pytest.mark.parametrize(
    "query",
    [
        "WITH t AS (SELECT csat FROM interactions) SELECT count(*) AS n FROM t",
        "FROM interactions SELECT count(*) AS n",
        "SELECT (SELECT count(*) FROM interactions) AS n;",
        "/* how many? */\nSELECT count(*) AS n FROM main.interactions",
        "SELECT count(*) AS n FROM range(3)",
        "SELECT count(DISTINCT interaction_id) AS n FROM interactions, unnest([1, 2]) AS u(x)",
        "SELECT count(*) AS n FROM json_each('[7, 8, 9]')",
    ],
)
def test_sql_takes_every_kind_of_select(filled: Cli, query: str) -> None:
    assert filled.one(query) == 3


@pytest.mark.parametrize("query", ["SUMMARIZE interactions", "DESCRIBE interactions", "SHOW TABLES"])
def test_sql_helps_to_look_around(filled: Cli, query: str) -> None:
    assert filled.json("sql", query)["rows"]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM interactions",
        "UPDATE interactions SET csat = 5",
        "INSERT INTO interactions (interaction_id) VALUES ('x')",
        "CREATE TABLE mine AS SELECT 1 AS x",
        "DROP TABLE interactions",
        "SELECT 1; DELETE FROM interactions",
        "SELECT 1; SELECT 2",
        "PRAGMA database_list",
        "COPY interactions TO 'stolen.csv'",
        "COPY (SELECT 1 AS x) TO 'stolen.csv'",
        "ATTACH 'other.duckdb'",
        "SET memory_limit = '1GB'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPLAIN ANALYZE DELETE FROM interactions",
        "CALL pragma_version()",
        "CHECKPOINT",
        "EXPORT DATABASE 'stolen'",
        "BEGIN",
        "",
        " ; ",
        "SELEC 1",
        "SELECT nothing FROM interactions",
        "SELECT * FROM interactionz",
        "SELECT 1/'x' AS y",
    ],
)
def test_sql_refuses_everything_but_one_select(
    filled: Cli, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert filled.refused("sql", query, "--json", code=2)
    assert list(tmp_path.iterdir()) == []
    assert filled.one("SELECT count(*) FROM interactions") == 3


FILES = [
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM READ_BLOB('{file}')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM read_csv('{file}', header = false)",
    "SELECT 1 AS x WHERE EXISTS (SELECT content FROM read_text('{file}'))",
    "WITH t AS (SELECT * FROM glob('{folder}/*')) SELECT * FROM t",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query_table(['{file}'])",
    "SELECT * FROM enable_profiling(save_location = '{folder}/new.json')",
]


@pytest.mark.parametrize("query", FILES)
def test_sql_reads_no_file(filled: Cli, query: str, tmp_path: Path) -> None:
    """The same check stands before the control process's connection, which may open files."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nhidden,1\n")
    message = filled.refused("sql", query.format(file=secret, folder=tmp_path), code=2)
    assert "hidden" not in message
    assert list(tmp_path.iterdir()) == [secret]


def test_too_many_rows_are_refused_with_a_remedy(filled: Cli) -> None:
    assert "LIMIT" in filled.refused("sql", "SELECT * FROM range(20000)", code=2)
    assert len(filled.json("sql", "SELECT * FROM range(10000)")["rows"]) == 10_000


def test_no_workspace_and_no_facts_are_told_apart(cli: Cli, tmp_path: Path) -> None:
    assert "is no workspace yet" in cli.refused("sql", "SELECT 1", code=2)
    assert not cli.home.exists()
    cli.start()
    assert "facts.duckdb does not exist yet" in cli.refused("sql", "SELECT 1", code=2)
    assert "facts.duckdb does not exist yet" in cli.refused("quarantine", code=2)


def test_a_facts_file_that_is_none_is_named(cli: Cli, tmp_path: Path) -> None:
    cli.start()
    (cli.home / "facts.duckdb").write_text("not a database, but long enough to look like a file of one" * 100)
    assert "facts" in cli.refused("sql", "SELECT 1", code=3)
    log = write_lines(tmp_path / "log.jsonl", [interaction(1)])
    assert "facts.duckdb" in cli.refused("ingest", log, code=3)


@pytest.fixture
def locked(cli: Cli) -> Iterator[Cli]:
    """A workspace whose facts another process has open, one that is no control process."""
    cli.start()
    Warehouse.open(cli.home / "facts.duckdb").close()
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", hold, str(cli.home / "facts.duckdb")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        yield cli
        holder.communicate()


def test_facts_that_another_process_holds_are_a_message(locked: Cli, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [interaction(1)])
    for words in (
        ("sql", "SELECT 1"),
        ("quarantine",),
        ("ingest", log),
        ("promote", "--actor", "cleo"),
        ("drift", "run"),
    ):
        message = locked.refused(*words, code=3)
        assert "process" in message, words


# replay


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file of messages as a support desk exports them."""
    path = tmp_path_factory.mktemp("messages") / "messages.csv"
    texts = ["what is my balance", "my card has not arrived", "when do you open", "I want to talk to an agent"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([[f"{text} {number}", "x"] for number in range(3) for text in texts])
    return path


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, messages: Path) -> tuple[Cli, dict[str, object]]:
    """A workspace into which the messages were replayed without a rollout, and what the command said."""
    cli = Cli(tmp_path_factory.mktemp("replayed") / "home")
    return cli, cli.json("replay", messages)


def test_replay_without_a_rollout_is_split_and_enters_no_comparison(replayed: tuple[Cli, dict[str, object]]) -> None:
    cli, counts = replayed
    assert counts["messages"] == 12
    arms = counts["arms"]
    assert isinstance(arms, dict)
    assert sum(arms.values()) == counts["conversations"]
    assert cli.one("SELECT count(*) FROM interactions") == 12
    assert cli.one("SELECT count(*) FROM exposures WHERE eligible OR rollout_id <> ''") == 0
    by_arm = dict(cli.json("sql", "SELECT arm, count(*) AS n FROM conversations GROUP BY arm")["rows"])
    assert by_arm == {arm: n for arm, n in arms.items() if n}
    asked = "SELECT conversation_id FROM interactions WHERE question LIKE '%agent%'"
    assert cli.one(f"SELECT count(*) FROM conversations WHERE escalated AND conversation_id IN ({asked})") == 3


def test_replay_with_a_rollout_asks_its_flags(
    replayed: tuple[Cli, dict[str, object]], messages: Path, cli: Cli, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(OPEN_POLICY.replace("[0.5, 1.0]", "[1.0]"))
    rollout = cli.start(policy=policy)["rollout"]
    shutil.copytree(replayed[0].home / "models", cli.home / "models", dirs_exist_ok=True)
    counts = cli.json("replay", messages, "--limit", "8", "--text-column", "text")
    assert counts["messages"] == 8
    assert counts["arms"]["assistant"] == 6  # all but the two who asked for a person
    assert cli.one(f"SELECT count(*) FROM exposures WHERE rollout_id = '{rollout}' AND eligible") == 6
    assert cli.one("SELECT count(*) FROM sources WHERE live") == 0


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("missing.csv", None, (), "missing.csv"),
        ("empty.csv", "", (), "empty.csv"),
        ("other.csv", "a,b\n1,2\n", (), "other.csv"),
        ("named.csv", "text\nhello\n", ("--text-column", "utterance"), "utterance"),
        ("sheet.docx", "x", (), "sheet.docx"),
    ],
)
def test_replay_of_a_file_that_cannot_be_used(
    replayed: tuple[Cli, dict[str, object]],
    tmp_path: Path,
    name: str,
    content: str | None,
    options: tuple[str, ...],
    words: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert words in replayed[0].refused("replay", tmp_path / name, *options, code=2)


# drift


def test_drift_without_data_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    assert "is no workspace yet" in cli.refused("drift", "run", code=2)
    log = write_lines(tmp_path / "log.jsonl", [interaction(n, f"c{n}") for n in range(3)])
    cli("ingest", log)
    message = cli.refused("drift", "run", "--hours", "1", code=1)
    assert "there is no data in the reference window" in message
    assert not (cli.home / "reports" / "drift").exists()


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "many", "1e300"])
def test_drift_over_an_impossible_window_is_wrong_use(filled: Cli, hours: str) -> None:
    assert "--hours" in filled("drift", "run", "--hours", hours, code=2).err


@pytest.mark.parametrize("words", [("quarantine",), ("audit", "log"), ("replay", "x.csv")])
def test_a_limit_below_one_is_wrong_use(filled: Cli, words: tuple[str, ...]) -> None:
    assert "--limit" in filled(*words, "--limit", "0", code=2).err


def test_times_of_a_log_with_offsets_are_stored_as_utc(cli: Cli, tmp_path: Path) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    far = moment.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    cli("ingest", write_lines(tmp_path / "log.jsonl", [interaction(1, ts=far.isoformat())]))
    assert datetime.fromisoformat(cli.one("SELECT ts FROM interactions")) == moment
