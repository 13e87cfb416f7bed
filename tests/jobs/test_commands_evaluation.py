"""Criteria first, then the run: every way around that is refused, and what is recorded opens the gate for exactly these artefacts."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.jobs.command_line import Cli
from tests.jobs.evaluation_world import ACTOR, REASON, ROWS, Bench, criteria, replies, rows, write


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Cli(tmp_path / "home"))


@pytest.fixture
def ready(bench: Bench) -> tuple[Bench, str]:
    """A data set, and criteria for it."""
    bench.add()
    return bench, bench.register()


def state(bench: Bench, statement: str) -> None:
    """Change the state behind the program's back."""
    with closing(sqlite3.connect(bench.cli.home / "state.sqlite")) as connection:
        assert connection.execute(statement).rowcount > 0
        connection.commit()


def refusal(bench: Bench, words: tuple[object, ...]) -> str:
    said = bench.cli(*words, code=1)  # type: ignore[arg-type]
    assert said.out == ""
    return said.err


# the path that is meant


def test_criteria_then_run_then_start(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    assert "no finished evaluation" in bench.start(code=1)
    found = bench.run(hash_)
    assert (found["verdict"], found["rows"], found["criteria_hash"]) == ("PASS", ROWS, hash_)
    assert {item["name"]: item["verdict"] for item in found["criteria"]} == {
        "intent_accuracy": "PASS",
        "misrouting_rate": "PASS",
    }
    assert found["figures"]["latency_p50"]["estimate"] == pytest.approx(129.0)
    assert "RUNNING in internal" in bench.start()
    events = [row["event"] for row in bench.cli.json("audit", "log")["rows"]]
    assert events == ["dataset_version", "criteria_registered", "evaluation_started", "evaluation_finished", "start"]
    assert bench.cli.json("audit", "verify")["ok"] is True


def test_a_start_may_name_the_run(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    run = bench.run(hash_)
    words = ("release", "start", "v1", "--actor", "ana", "--author", "ben", "--evaluated")
    assert "there is no evaluation 'ev-x'" in bench.cli.refused(*words, "ev-x", code=1)
    assert bench.cli.json(*words, run["run_id"])["state"] == "RUNNING"


def test_the_same_run_again_finds_the_same(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    first, second = bench.run(hash_, wrong=[1]), bench.run(hash_, wrong=[1])
    assert first["run_id"] != second["run_id"]
    for key in ("verdict", "figures", "criteria", "slices", "outcomes_hash", "reliability", "wrong"):
        assert first[key] == second[key], key


def test_list_show_and_report(ready: tuple[Bench, str], tmp_path: Path) -> None:
    bench, hash_ = ready
    assert bench.cli("eval", "list").out == "no evaluation yet\n"
    run = bench.run(hash_, "--html", str(tmp_path / "r.html"), wrong=[2])
    assert [row["run_id"] for row in bench.cli.json("eval", "list")["runs"]] == [run["run_id"]]
    shown = bench.cli.json("eval", "show", run["run_id"], "--rows", "--html", tmp_path / "again.html")
    assert shown["figures"] == run["figures"]
    assert [row["id"] for row in shown["wrong_rows"]] == ["r002"]
    assert "PASS" in bench.cli("eval", "show", run["run_id"]).out
    page = (tmp_path / "r.html").read_text()
    assert page == (tmp_path / "again.html").read_text()
    assert not re.search(r"<script|https?://|@import|url\(", page), "the report asks nobody for anything"
    for words in ("may enter the first phase", hash_, run["release_hash"], "question 2", "prefers-color-scheme"):
        assert words in page


def test_the_report_shows_what_a_customer_wrote_as_text(bench: Bench, tmp_path: Path) -> None:
    row = {"id": "r000", "text": "<script>alert(1)</script>", "expected_intent": "x"}
    write(tmp_path / "a.jsonl", [row, *rows(59, 1)])
    bench.cli("dataset", "add", "support", tmp_path / "a.jsonl", *ACTOR)
    bench.run(bench.register(), "--html", str(tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


# what is refused


def test_without_criteria_nothing_is_run(bench: Bench) -> None:
    bench.add()
    assert "acceptance criteria come first" in refusal(bench, bench.words("0123456789"))
    assert "acceptance criteria come first" in refusal(bench, bench.words("quality"))
    assert bench.cli.json("eval", "list") == {"runs": []}
    assert "no acceptance criteria are registered" in bench.start(code=1)


def test_an_unregistered_data_set_is_refused_with_the_remedy(ready: tuple[Bench, str], tmp_path: Path) -> None:
    bench, hash_ = ready
    assert "there are support" in refusal(bench, bench.words(hash_, data="other"))
    assert "no such file" in refusal(bench, bench.words(hash_, data=str(tmp_path / "gone.jsonl")))
    file = write(tmp_path / "other.jsonl", rows(7))
    assert "dataset add" in refusal(bench, bench.words(hash_, data=str(file)))


def test_a_registered_file_is_known_by_its_content_in_any_order(ready: tuple[Bench, str], tmp_path: Path) -> None:
    bench, hash_ = ready
    file = write(tmp_path / "copy.jsonl", reversed(rows()))
    assert bench.cli.json(*bench.words(hash_, data=str(file)))["verdict"] == "PASS"
    write(file, [*rows()[:-1], {**rows()[-1], "text": "changed"}])
    assert "was changed since" in refusal(bench, bench.words(hash_, data=str(file)))


def test_a_data_set_that_was_changed_after_the_criteria_is_refused(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    first = bench.cli.json("dataset", "list")["datasets"][0]["version"]
    bench.add(ROWS + 5)
    message = refusal(bench, bench.words(hash_))
    assert "was changed after the criteria were registered" in message
    assert f"support@{first[:12]}" in message
    assert bench.cli.json(*bench.words(hash_, data=f"support@{first[:12]}"))["verdict"] == "PASS"


def test_criteria_are_for_the_data_sets_they_name_and_no_others(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    bench.add(20, "extra")
    assert "are not for extra" in refusal(bench, bench.words(hash_, "--data", "extra"))
    both = bench.register(datasets='datasets = ["support", "extra"]')
    assert "for data set extra@" in refusal(bench, bench.words(both))
    found = [{**row, "conversation_id": f"support/{row['conversation_id']}"} for row in replies()]
    found += [{**row, "conversation_id": f"extra/{row['conversation_id']}"} for row in replies(20)]
    words = list(bench.words(both, "--data", "extra"))
    words[words.index("--replies") + 1] = write(bench.folder / "both.jsonl", found)
    assert bench.cli.json(*words)["rows"] == ROWS + 20


def test_criteria_registered_after_the_release_was_seen_are_refused(ready: tuple[Bench, str]) -> None:
    bench, strict = ready[0], ready[0].register(limit=0.95)
    assert bench.run(strict, wrong=range(6), code=1)["verdict"] == "INCONCLUSIVE"
    lenient = bench.register(limit=0.5)
    message = refusal(bench, bench.words(lenient, wrong=range(6)))
    assert "registered after this release was run" in message
    assert bench.run(lenient, wrong=range(6), model="m2")["verdict"] == "PASS"  # another release: nobody has seen it
    bench.add(ROWS + 40)
    again = bench.register(limit=0.5)
    assert (
        bench.run(again, wrong=range(6), n=ROWS + 40)["verdict"] == "PASS"
    )  # the same release on data that it has not seen


def test_a_run_that_was_stopped_counts_as_seen(ready: tuple[Bench, str], monkeypatch: pytest.MonkeyPatch) -> None:
    bench, hash_ = ready

    def stop(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("jobs.evaluation_run.judge", stop)
        assert bench.cli(*bench.words(hash_), code=130).err.endswith("controlplane: interrupted\n")
    (row,) = bench.cli.json("eval", "list")["runs"]
    assert (row["verdict"], row["finished_at"]) == (None, None)
    assert "begun and not ended" in bench.start(code=1)
    assert "not ended" in bench.cli("eval", "show", row["run_id"]).out
    assert "after this release was run" in refusal(bench, bench.words(bench.register(limit=0.5)))
    assert bench.run(hash_)["verdict"] == "PASS"  # the next one begins anew


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE acceptance_criteria SET text = replace(text, '0.8', '0.1')",
            "were changed after they were registered",
        ),
        ("UPDATE acceptance_criteria SET registered_at = '2020-01-01T00:00:00.000000Z'", "does not say that criteria"),
        ("UPDATE acceptance_criteria SET datasets = '{}'", "were changed after they were registered"),
        ("UPDATE audit SET payload = replace(payload, 'quality', 'equality')", "audit log is broken"),
        ("DELETE FROM audit WHERE seq = 1", "audit log is broken"),
        ("UPDATE dataset_versions SET rows = 7", "does not say that data set"),
    ],
)
def test_whoever_changes_the_state_is_found_before_a_run(
    ready: tuple[Bench, str], statement: str, message: str
) -> None:
    bench, hash_ = ready
    state(bench, statement)
    assert message in refusal(bench, bench.words(hash_))
    assert bench.cli.json("eval", "list") == {"runs": []}


def test_rows_that_were_changed_or_are_gone_are_found(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    (path,) = (bench.cli.home / "datasets").glob("*.jsonl")
    whole = path.read_text()
    path.write_text(whole.replace("question 7", "question 8"))
    assert "was changed" in refusal(bench, bench.words(hash_))
    path.unlink()
    assert "is gone" in refusal(bench, bench.words(hash_))
    bench.add()  # the same rows again: no new version, the file is back
    assert path.read_text() == whole
    assert bench.run(hash_)["verdict"] == "PASS"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--baseline", "ev-none"), "no finished run on the same data"),
        (("--release", "x.toml"), "one of both"),
        (("--data", "support"), "each data set once"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    ready: tuple[Bench, str], words: tuple[str, ...], message: str
) -> None:
    bench, hash_ = ready
    assert message in refusal(bench, bench.words(hash_, *words))


def test_records_that_answer_none_of_the_rows_are_named_and_missing_ones_count_as_failed(
    ready: tuple[Bench, str],
) -> None:
    bench, hash_ = ready
    found = bench.run(hash_, n=ROWS - 20, code=1)
    assert found["figures"]["intent_accuracy"]["estimate"] == pytest.approx(1 - 20 / ROWS, abs=1e-5)
    assert found["figures"]["misrouting_rate"]["n"] == ROWS / 3
    words = list(bench.words(hash_))
    words[words.index("--replies") + 1] = write(bench.folder / "others.jsonl", [{"conversation_id": "x"}])
    assert "no record belongs to a row" in bench.cli.refused(*words, code=2)


def test_bad_criteria_are_told_with_their_lines(bench: Bench, tmp_path: Path) -> None:
    path = criteria(tmp_path / "c.toml", datasets="")
    path.write_text(path.read_text().replace("limit = 0.2", "limt = 0.2"))
    message = bench.cli.refused("eval", "register", path, *ACTOR, code=2)
    assert "c.toml:12: criteria.1.limt: unknown key" in message
    assert "dataset add" in bench.cli.refused("eval", "register", criteria(path), *ACTOR, code=1)


# the gate


def test_only_exactly_these_artefacts_may_start(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    bench.run(hash_)
    message = bench.start("m2", code=1)
    assert "no finished evaluation under the criteria in force" in message
    assert f"eval run --data NAME --criteria {hash_[:12]}" in message


def test_a_run_that_failed_is_not_outvoted_by_another(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    failed = bench.run(hash_, wrong=range(0, 60, 2), code=1)
    assert failed["verdict"] == "FAIL"
    assert "intent_accuracy FAIL" in bench.start(code=1)
    bench.run(hash_, "--seed", "8")  # other answers, as if the service had had a better day
    assert f"evaluation {failed['run_id']}" in bench.start(code=1)


def test_criteria_registered_anew_replace_the_ones_before(ready: tuple[Bench, str]) -> None:
    bench, hash_ = ready
    bench.run(hash_)
    bench.add(ROWS + 5)
    newer = bench.register()
    assert f"which {newer[:12]} has replaced" in bench.start(code=1)
    bench.run(newer, n=ROWS + 5)
    assert "RUNNING" in bench.start()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE evaluation_runs SET verdict = 'PASS'", "changed after it was recorded"),
        (
            "UPDATE evaluation_runs SET result = replace(result, 'FAIL', 'PASS'), verdict = 'PASS'",
            "changed after it was recorded",
        ),
        ("UPDATE evaluation_runs SET release_hash = 'x'", "changed or taken out"),
        ("UPDATE evaluation_runs SET finished_at = NULL", "changed or taken out"),
        ("DELETE FROM evaluation_runs", "changed or taken out"),
        (
            "UPDATE audit SET payload = replace(payload, 'FAIL', 'PASS') WHERE event = 'evaluation_finished'",
            "audit log is broken",
        ),
    ],
)
def test_a_verdict_changed_in_the_database_opens_nothing(
    ready: tuple[Bench, str], statement: str, message: str
) -> None:
    bench, hash_ = ready
    bench.run(hash_, wrong=range(0, 60, 2), code=1)
    state(bench, statement)
    assert message in bench.start(code=1)


def test_the_policy_may_name_criteria(ready: tuple[Bench, str], tmp_path: Path) -> None:
    from controlplane.settings import shipped_policy

    bench, hash_ = ready
    bench.run(hash_)
    for wanted, code in (("others", 1), (hash_[:12], 0)):
        text = shipped_policy("default").replace("required = true ", f'required = true\ncriteria = "{wanted}" ')
        (tmp_path / "policy.toml").write_text(text)
        words = (
            "release",
            "start",
            "v1",
            "--artefact",
            "model=m1",
            "--actor",
            "ana",
            "--policy",
            tmp_path / "policy.toml",
        )
        said = bench.cli(*words, code=code)
        assert code == 0 or "no acceptance criteria 'others' are registered" in said.err


def test_the_last_accepted_release_is_the_one_compared_with(ready: tuple[Bench, str], tmp_path: Path) -> None:
    bench, hash_ = ready
    text = criteria(tmp_path / "c.toml").read_text()
    paired = '[[criteria]]\nname = "no step back"\nmetric = "intent_accuracy"\ncomparison = "not_worse"\nmargin = 0.15\nwithout_baseline = "skip"\n'
    (tmp_path / "c.toml").write_text(text + paired)
    hash_ = bench.cli.json("eval", "register", tmp_path / "c.toml", *ACTOR, *REASON)["criteria_hash"]
    first = bench.run(hash_)
    assert first["comparison"] is None
    assert first["criteria"][-1]["applied"] is False
    bench.start()
    second = bench.run(hash_, model="m2", wrong=[0, 1])
    assert second["comparison"]["run"] == first["run_id"]
    assert second["comparison"]["metrics"]["intent_accuracy"]["worse"] == 2
    assert second["criteria"][-1]["verdict"] == "PASS"
    third = bench.run(hash_, model="m3", wrong=range(8), code=1)
    assert third["criteria"][-1]["verdict"] == "INCONCLUSIVE"
    named = bench.run(hash_, "--baseline", second["run_id"], model="m4", wrong=[0, 1])
    assert named["comparison"]["release"] == "release m2"
    assert json.dumps(named)  # plain values throughout
