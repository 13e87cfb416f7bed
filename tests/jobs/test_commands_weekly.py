"""`controlplane review weekly | show | pinned | verify | sign | correct` on two weeks of logs, and the Monday job."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.core.audit import canonical, sha256_text
from controlplane.settings import shipped_policy
from jobs import notify, up, weekly_sign, weekly_tell
from jobs.deps import Deps
from jobs.scheduler import Job, run_once, slot_of
from tests.jobs.command_line import Cli, last_line
from tests.jobs.weekly_world import MONDAY, WEEK, Desk, ingest

REVIEW = "2026-W03-v1"
OWNERS = '[programme]\nowners = ["mira", "jon"]\n'


def logs(folder: Path, name: str, desk: Desk, n: int, begin: datetime = MONDAY - WEEK) -> Path:
    path = folder / f"{name}.jsonl"
    records = desk.weeks(begin, MONDAY + WEEK, n)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Two weeks of logs in a workspace whose policy names who signs."""
    folder = tmp_path_factory.mktemp("weekly")
    policy = folder / "owned.toml"
    policy.write_text(shipped_policy("default") + OWNERS)
    found = Cli(folder / "home", {"CONTROLPLANE_POLICY": str(policy)})
    found("ingest", logs(folder, "logs", Desk(seed=5), 240))
    return found


@pytest.fixture(scope="module")
def pinned(cli: Cli) -> dict:
    return cli.json("review", "weekly", "--week", "2026-W03", "--actor", "ana")


def test_a_look_records_nothing(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "home")
    cli("ingest", logs(tmp_path, "logs", Desk(seed=6), 60))
    before = cli.json("audit", "log")["rows"]
    said = cli("review", "weekly", "--week", "2026-W03", "--no-pin", "--json", "--out", tmp_path / "look.html")
    value = last_line(said.out)
    assert (value["pinned"], value["document"]["review_id"]) == (False, REVIEW)
    assert value["document"]["words"]["headline"].startswith("Week 2026-W03: of 5 success measures")
    assert "Week 2026-W03" in (tmp_path / "look.html").read_text(encoding="utf-8")
    assert cli.json("audit", "log")["rows"] == before
    assert "no review is pinned yet" in cli.refused("review", "show", code=1)
    assert cli("review", "pinned").out.strip() == "no review is pinned yet"
    assert not (cli.home / "reports" / "review").exists()


def test_a_pinned_review_is_filed_and_vouched_for(cli: Cli, pinned: dict) -> None:
    document = pinned["document"]
    assert (pinned["review_id"], pinned["vouched"], pinned["signatures"]) == (REVIEW, True, [])
    assert pinned["document_hash"] == sha256_text(canonical(document))
    kept = json.loads((cli.home / "reports" / "review" / f"{REVIEW}.json").read_text(encoding="utf-8"))
    assert kept == document
    (row,) = (row for row in cli.json("audit", "log")["rows"] if row["event"] == "review_pinned")
    assert (row["actor"], row["subject"]) == ("ana", REVIEW)
    assert pinned["document_hash"] in json.dumps(row)
    assert document["figures"][0]["assistant"]["n"] > 30
    again = cli.json("review", "weekly", "--week", "2026-W03", "--post")
    assert (again["document"], again["posted"]) == (document, True)  # asked again it is given back
    assert "--no-pin" in cli.refused("review", "weekly", "--post", "--no-pin", code=2)
    page = Path(pinned["path"]).read_text(encoding="utf-8")
    assert pinned["document_hash"] in page


def test_show_says_what_the_document_says(cli: Cli, pinned: dict, tmp_path: Path) -> None:
    out = cli("review", "show").out
    said = pinned["document"]["words"]
    for text in (said["headline"], said["answer"], *(item["sentence"] for item in said["success"])):
        assert text in out
    assert cli.json("review", "show", "2026-W03")["review_id"] == REVIEW
    cli("review", "show", "--out", tmp_path / "r.json")
    cli("review", "show", "--out", tmp_path / "r.pdf")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-1.7")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == pinned["document"]


def test_who_the_policy_names_signs_with_name_and_time(cli: Cli, pinned: dict) -> None:
    sign = ("review", "sign", "latest", "--note", "read with operations", "--actor")
    assert "names mira, jon" in cli.refused(*sign, "eve", code=1)
    value = cli.json(*sign, "mira")
    assert value["signature"]["document_hash"] == pinned["document_hash"]
    assert "signed 2026-W03-v1 already" in cli.refused(*sign, "mira", code=1)
    cli("review", "sign", REVIEW, "--actor", "jon", "--verdict", "object", "--note", "CSAT is too young")
    shown = cli.json("review", "show")
    assert shown["document"] == pinned["document"]
    assert [(one["actor"], one["verdict"]) for one in shown["signatures"]] == [("mira", "agree"), ("jon", "object")]
    page = (cli.home / "reports" / "review" / f"{REVIEW}.html").read_text(encoding="utf-8")
    assert "CSAT is too young" in page
    cli("review", "weekly", "--week", "2026-W03")  # pinned already: the page keeps its signatures
    assert (cli.home / "reports" / "review" / f"{REVIEW}.html").read_text(encoding="utf-8") == page
    assert "signed by mira (agrees)" in cli("review", "show").out
    assert cli.json("review", "pinned")["reviews"][0]["signatures"] == shown["signatures"]
    assert cli.json("audit", "verify")["ok"] is True


def test_a_person_may_change_their_mind_and_both_stay_on_record(cli: Cli, pinned: dict) -> None:
    cli("review", "sign", REVIEW, "--actor", "jon", "--note", "explained")
    assert [one["verdict"] for one in cli.json("review", "show")["signatures"] if one["actor"] == "jon"] == ["agree"]
    rows = [
        row for row in cli.json("audit", "log")["rows"] if row["event"] == "review_signed" and row["actor"] == "jon"
    ]
    assert len(rows) == 2


def test_a_correction_is_a_new_version_that_says_what_changed(cli: Cli, pinned: dict, tmp_path: Path) -> None:
    cli("ingest", logs(tmp_path, "late", Desk(seed=77, share=0.5), 60, MONDAY))
    correct = ("review", "correct", "--actor", "ana", "--reason", "a late file of the call centre")
    value = cli.json(*correct, REVIEW)
    assert (value["review_id"], value["document"]["corrects"]) == ("2026-W03-v2", REVIEW)
    changed = {item["what"]: item for item in value["changed"]}
    title = value["document"]["figures"][0]["title"]
    assert any(what.startswith(f"{title}, assistant") for what in changed)
    assert all(item["before"] != item["after"] for item in value["changed"])
    same = {"review_id": REVIEW, "same": True, "differs": [], "document_hash": pinned["document_hash"]}
    assert cli.json("review", "verify", REVIEW) == same  # what came later changes nothing
    assert cli.json("review", "show", REVIEW)["document"] == pinned["document"]
    assert "was corrected by 2026-W03-v2" in cli.refused(
        "review", "sign", REVIEW, "--actor", "mira", "--note", "x", code=1
    )
    assert "correct that one" in cli.refused(*correct, REVIEW, code=1)
    assert cli.json("review", "show", "2026-W03")["review_id"] == "2026-W03-v2"
    page = (cli.home / "reports" / "review" / "2026-W03-v2.html").read_text(encoding="utf-8")
    assert "a late file of the call centre" in page
    with closing(sqlite3.connect(cli.home / "state.sqlite")) as state:
        told = state.execute("SELECT outbox_id, kind FROM outbox").fetchall()
    assert told == [("review:2026-W03-v1", "review"), ("review:2026-W03-v2", "review")]


def test_a_document_that_was_changed_is_found(cli: Cli, pinned: dict) -> None:
    cli.json("review", "show", "2026-W03")
    with closing(sqlite3.connect(cli.home / "state.sqlite")) as state:
        (text,) = state.execute("SELECT summary FROM artefacts WHERE artefact_id = ?", [REVIEW]).fetchone()
        summary = json.loads(text)
        summary["success"][0]["assistant"]["value"] = 4.99
        state.execute("UPDATE artefacts SET summary = ? WHERE artefact_id = ?", [canonical(summary), REVIEW])
        state.commit()
        assert "NOT WHAT WAS PINNED" in cli("review", "show", REVIEW, code=1).out
        value = cli.json("review", "verify", REVIEW, code=1)
        assert value["same"] is False
        assert "success" in value["differs"]
        state.execute("UPDATE artefacts SET summary = ? WHERE artefact_id = ?", [text, REVIEW])
        state.commit()
    assert cli.json("review", "show", REVIEW)["vouched"] is True
    filed = cli.home / "reports" / "review" / f"{REVIEW}.json"
    was = filed.read_bytes()
    filed.write_bytes(b"{}")
    assert "is not what is recorded" in cli("review", "verify", REVIEW, code=1).out
    filed.write_bytes(was)


@pytest.mark.parametrize(("content", "said"), [(b"{", "cannot be read"), (None, "is not there"), (b'{"a":1}', "")])
def test_the_filed_document_is_looked_at(tmp_path: Path, content: bytes | None, said: str) -> None:
    document = {"review_id": REVIEW, "week": "2026-W03"}
    kept = weekly_sign.Kept(document, sha256_text('{"a":1}'), True, (), "", ())
    (tmp_path / "review").mkdir()
    if content is not None:
        (tmp_path / "review" / f"{REVIEW}.json").write_bytes(content)
    found = weekly_sign.astray(tmp_path, kept)
    assert [said in line for line in found] == ([True] if said else [])


def test_wrong_use_is_told(cli: Cli, pinned: dict, tmp_path: Path) -> None:
    assert "is no ISO week" in cli.refused("review", "weekly", "--week", "2026-W60", code=2)
    assert "look at it so far with --no-pin" in cli.refused("review", "weekly", "--week", "2999-W01", code=1)
    assert "ends in .html, .pdf or .json" in cli.refused("review", "weekly", "--out", tmp_path / "r.txt", code=2)
    assert "there is no folder" in cli.refused("review", "show", "--out", tmp_path / "no" / "r.html", code=2)
    assert "there are agree and object" in cli.refused(
        "review", "sign", REVIEW, "--actor", "mira", "--note", "x", "--verdict", "maybe", code=2
    )
    assert "no review '2026-W01' is pinned; there are" in cli.refused("review", "show", "2026-W01", code=1)
    assert "no workspace yet" in Cli(tmp_path / "none").refused("review", "show", code=2)


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (datetime(2026, 1, 19, 5, 0, tzinfo=UTC), MONDAY),
        (datetime(2026, 1, 19, 0, 0, tzinfo=UTC), MONDAY),
        (datetime(2026, 1, 25, 23, 59, tzinfo=UTC), MONDAY),
        (datetime(2026, 1, 18, 23, 59, tzinfo=UTC), MONDAY - WEEK),
    ],
)
def test_the_last_week_that_has_ended(now: datetime, since: datetime) -> None:
    assert weekly_tell.last_full_week(now) == (since, since + WEEK)


def test_mondays_pin_last_week_and_tell_once_over_all_processes(deps: Deps, tmp_path: Path) -> None:
    due = MONDAY + WEEK + timedelta(hours=5)
    assert weekly_tell.monday(deps, due, due).startswith("no review of 2026-W03: no release is served")
    ingest(deps.warehouse, tmp_path, Desk().conversation(MONDAY, "u1", "baseline"), MONDAY)
    job = Job("review", lambda now: weekly_tell.monday(deps, now, due), cron=up.MONDAYS)
    late = due + timedelta(hours=7)  # no process ran at five
    assert slot_of(job, late) == "2026-01-19T05:00"
    assert [run_once(job, deps.state, f"process {n}", late) for n in (1, 2)] == [True, False]
    weekly_tell.monday(deps, late + timedelta(hours=1), due)  # taken over from one that died before it was done
    assert [row.artefact_id for row in deps.state.artefacts("review")] == [REVIEW]
    assert [(item.outbox_id, item.kind) for item in deps.state.outbox()] == [(f"review:{REVIEW}", "review")]
    notify.run(deps, late)
    notify.run(deps, late + timedelta(hours=5))
    told = (tmp_path / "told.txt").read_text()
    assert told.count("INFO · Weekly review 2026-W03") == 1
    assert "Unknown: CSAT uplift" in told
    assert (deps.reports / "review" / f"{REVIEW}.html").is_file()
