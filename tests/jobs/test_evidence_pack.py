"""The evidence pack: whole, the same twice, verified by itself, and whatever is changed in it is found by file and row."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from controlplane import settings as settings_module
from controlplane.core.audit import GENESIS, canonical, sha256_text
from controlplane.core.overrides import Override
from controlplane.core.policy import parse
from controlplane.settings import SettingsError
from controlplane.store import state_tables as t
from controlplane.store.state import StateWriter
from controlplane.store.state_evaluation import CriteriaRow, DatasetVersion, ReviewLabel, criteria_identity
from controlplane.store.state_rows import AuditEntry, Commit
from controlplane.store.warehouse import Warehouse
from jobs import evidence_pack, evidence_pack_verify
from jobs.deps import Deps
from jobs.evidence_pack_governance import retention
from jobs.evidence_pack_records import ARTEFACTS, LEFT_OUT, RECORDS, without_customers
from jobs.evidence_pack_replay import replay_pack
from jobs.evidence_pack_vouch import Log, Vouching
from jobs.refused import Refused
from tests.jobs.command_line import Cli
from tests.jobs.conftest import START
from tests.jobs.test_closing import POLICY
from tests.jobs.test_evidence_replay import story

DAY = ("--from", "2026-01-05", "--to", "2026-01-05")
LATER = START + timedelta(hours=2)


def records_of_people(state: StateWriter, rollout_id: str, home: Path) -> None:
    """What a rollout alone does not leave: criteria, data sets, labels, an override, a pinned review, a drift analysis, a trade-off."""
    text = "criteria of the test"
    criteria = CriteriaRow(criteria_identity(text, {}), "quality", "ada", text, {}, "ada", LATER)
    state.register_criteria(criteria)
    state.add_dataset_version(DatasetVersion("support", "a" * 64, 3, None, "file", "ada", LATER, {"rows": 3}))
    state.add_review_label(ReviewLabel("i1", rollout_id, 1, "correct", "fine", "kim", LATER))
    until = LATER + timedelta(hours=1)
    item = Override(f"{rollout_id}-o1", rollout_id, "csat_drop", "kim", "known", LATER, until)
    state.add_override(item, "p" * 64)
    document = {"review_id": "2026-W02-v1", "success": []}
    folder = home / "reports" / "review"
    folder.mkdir(parents=True)
    (folder / "2026-W02-v1.json").write_text(json.dumps(document, indent=1))
    (folder / "2026-W02-v1.html").write_text("<html></html>")
    state.record_artefact("2026-W02-v1", "review", "reports/review/2026-W02-v1.json", document, LATER)
    pinned = {"document_hash": sha256_text(canonical(document))}
    state.record_artefact("gone", "drift", "reports/drift/gone", {"drifted": []}, LATER)
    summary = {"verdict": "hold"}
    state.record_artefact("tradeoff-1", "tradeoff", "", summary, LATER)
    said = {"result_hash": sha256_text(canonical(summary))}
    rows = [
        AuditEntry("ada", "review_pinned", "2026-W02-v1", "weekly", pinned),
        AuditEntry("ada", "tradeoff_recorded", "tradeoff-1", "hold", said),
    ]
    state.commit(Commit(audit=rows), LATER)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a rollout that was rolled back, and with records of people."""
    made = settings_module.load(tmp_path_factory.mktemp("pack") / "home", env={})
    made.workspace.create("live")
    state = StateWriter(made.state_url)
    state.migrate(START)
    with Warehouse.open(made.workspace.facts) as warehouse:
        rollout_id = story(Deps(made, warehouse, state, parse(POLICY)))
    records_of_people(state, rollout_id, made.workspace.home)
    state.close()
    return made.workspace.home


@pytest.fixture(scope="module")
def pack(home: Path) -> Path:
    out = home.parent / "pack"
    Cli(home).json("audit", "export", *DAY, "--out", out)
    return out


@pytest.fixture
def copy(pack: Path, tmp_path: Path) -> Path:
    shutil.copytree(pack, tmp_path / "copy")
    return tmp_path / "copy"


def problems(pack: Path, anchor: dict[str, str] | None = None) -> list[str]:
    return [one.text() for one in evidence_pack_verify.verify_pack(pack, anchor)[0].problems]


def lines(pack: Path, name: str) -> list[str]:
    return (pack / name).read_text().splitlines()


def reforge(pack: Path) -> None:
    """The manifest written anew so that it agrees with the files, as somebody would who knows how."""
    manifest = json.loads((pack / "manifest.json").read_text())
    for name, said in manifest["files"].items():
        content = (pack / name).read_bytes()
        said |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        if "rows" in said:
            said["rows"] = len(content.splitlines())
    for name, chain in manifest["chains"].items():
        last = lines(pack, f"records/{name}.jsonl")
        chain["head_end"] = json.loads(last[-1])["hash"] if last else chain["head_before"]
    (pack / "manifest.json").write_text(canonical(manifest) + "\n")


def edit(pack: Path, record: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = pack / "records" / f"{record}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("".join(canonical(row) + "\n" for row in rows))


# what it holds


def test_a_pack_is_whole_and_says_so(home: Path, pack: Path) -> None:
    value = Cli(home).json("audit", "verify", pack, "--replay")
    assert value["ok"], value
    assert value["decisions"] == 1
    assert value["vouched"] == 11  # five stages, criteria, data set, label, override, trade-off, review
    (replayed,) = value["replay"]["rollouts"]
    assert (replayed["replayed"], replayed["blocks"], replayed["decisions"]) == (
        True,
        value["rows"]["records/ledger.jsonl"],
        1,
    )
    assert value["notes"] == [
        "drift gone: recorded by a program whose log did not vouch for it yet",
        "documents of gone were not there when the pack was written: there is no document any more",
    ]


def test_it_needs_no_workspace(pack: Path, tmp_path: Path) -> None:
    assert Cli(tmp_path / "nothing").json("audit", "verify", pack)["ok"]
    assert not (tmp_path / "nothing").exists()


def test_the_rule_in_the_readme_verifies_a_chain_without_our_program(pack: Path) -> None:
    """Written from the README's words alone."""
    manifest = json.loads((pack / "manifest.json").read_text())
    assert "prev_hash, one line feed, that JSON" in (pack / "README.txt").read_text()
    for name in ("audit", "ledger"):
        before = manifest["chains"][name]["head_before"]
        assert before == GENESIS
        for line in lines(pack, f"records/{name}.jsonl"):
            row = json.loads(line)
            assert row["prev_hash"] == before
            body = {key: value for key, value in row.items() if key not in ("seq", "prev_hash", "hash")}
            text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            before = hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
            assert row["hash"] == before
        assert before == manifest["chains"][name]["head_end"]
    for name, said in manifest["files"].items():
        assert hashlib.sha256((pack / name).read_bytes()).hexdigest() == said["sha256"]


def test_the_same_period_twice_is_the_same_bytes(home: Path, pack: Path, tmp_path: Path) -> None:
    cli = Cli(home)
    said = [cli.json("audit", "export", *DAY, "--out", tmp_path / f"{n}.zip") for n in (1, 2)]
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert said[0]["manifest_sha256"] == hashlib.sha256((pack / "manifest.json").read_bytes()).hexdigest()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert cli.json("audit", "verify", tmp_path / "1.zip", "--replay")["ok"]


def test_every_table_is_exported_or_named_with_the_reason() -> None:
    exported = {record.table for record in RECORDS.values()} | {"artefacts"}
    assert set(t.metadata.tables) == exported | set(LEFT_OUT), (
        "say in jobs/evidence_pack_records.py what becomes of the table"
    )
    assert all(record.time in t.metadata.tables[record.table].c for record in RECORDS.values())


def test_a_part_of_the_chains_verifies_by_itself_and_says_what_it_cannot_replay(home: Path, tmp_path: Path) -> None:
    cli = Cli(home)
    cli.json("audit", "export", "--from", "2026-01-05T09:20", "--to", "2026-01-05T09:34", "--out", tmp_path / "part")
    value = cli.json("audit", "verify", tmp_path / "part", "--replay")
    assert value["ok"], value
    assert 0 < value["rows"]["records/ledger.jsonl"] < 75
    assert json.loads((tmp_path / "part" / "manifest.json").read_text())["chains"]["ledger"]["head_before"] != GENESIS
    (one,) = value["replay"]["rollouts"]
    assert not one["replayed"]
    assert "lie before the period; a pack from 2026-01-05 on has them" in one["reason"]


def test_a_period_without_records_is_a_pack_that_says_so(home: Path, tmp_path: Path) -> None:
    cli = Cli(home)
    cli.json("audit", "export", "--from", "2025-01-01", "--to", "2025-12-31", "--out", tmp_path / "empty")
    assert cli.json("audit", "verify", tmp_path / "empty")["ok"]
    rows = json.loads((tmp_path / "empty" / "governance.json").read_text())["table"]
    assert {row["status"] for row in rows} == {"no record in this period", "unknown"}
    assert "no record in this period" in (tmp_path / "empty" / "governance.html").read_text()


def test_no_customer_leaves(home: Path, pack: Path) -> None:
    with Warehouse.open(home / "facts.duckdb", read_only=True) as warehouse, warehouse.cursor() as cursor:
        customers = {row[0] for row in cursor.execute("SELECT DISTINCT user_id FROM conversations").fetchall()}
    assert len(customers) > 1000
    for path in pack.rglob("*"):
        words = set(re.findall(r"\bu\d+\b", path.read_text())) if path.is_file() else set()
        assert not words & customers, path
    clean, replaced = without_customers({"a": [{"user_id": "u1", "n": 1}], "customer_id": 7})
    assert (clean["a"][0]["n"], replaced) == (1, 2)
    assert "u1" not in canonical(clean)


# governance


def test_the_table_leads_to_the_rows(pack: Path) -> None:
    rows = json.loads((pack / "governance.json").read_text())["table"]
    by_article = {row["article"]: row for row in rows}
    assert {row["asked_by"] for row in rows} == {"EU AI Act", "NIST AI RMF", "ISO/IEC 42001"}
    for row in rows:
        for record in row["records"]:
            if record["rows"]:
                keys = record["key"].split("/")
                there = [json.loads(line) for line in lines(pack, record["file"])]
                ids = {"/".join(str(one[key]) for key in keys) for one in there}
                assert set(record["ids"]) <= ids
                assert record["last_id"] in ids
                assert record["rows"] <= len(ids)
    stops = {record["what"]: record["rows"] for record in by_article["Art. 14"]["records"]}
    assert (
        stops["stopped by a person"],
        stops["stopped by the control plane"],
        stops["overrides, with reason and end"],
    ) == (1, 1, 1)
    assert by_article["Art. 50"]["status"] == "unknown"
    assert by_article["Art. 12, 19, 26(6)"]["facts"]["kinds"]["conversations"]["n"] > 1000
    page = (pack / "governance.html").read_text()
    assert 'href="records/audit.jsonl"' in page
    assert "http" not in page.replace("http-equiv", "")


def test_retention_says_kept_young_lost_or_unknown() -> None:
    old, young = START - timedelta(days=200), START - timedelta(days=20)
    assert retention(START, old, old, old)["facts"]["verdict"] == "kept"
    assert retention(START, young, young, young)["facts"]["verdict"] == "young"
    assert retention(START, young, old, old)["facts"]["verdict"] == "not kept"
    assert retention(START, None, None, None)["facts"]["verdict"] == "unknown"


# what is wrong with it


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_edit_of_any_file_is_found(
    pack: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    work = tmp_path_factory.mktemp("edit") / "pack"
    shutil.copytree(pack, work)
    names = sorted(
        path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file() and path.stat().st_size
    )
    name = data.draw(st.sampled_from([one for one in names if one != "manifest.json"]))
    content = (work / name).read_bytes()
    rows = content.splitlines(keepends=True)
    place = data.draw(st.integers(0, len(rows) - 1))
    match data.draw(st.sampled_from(["change", "remove", "swap", "insert", "truncate", "file", "other"])):
        case "change":
            at = data.draw(st.integers(0, len(content) - 1))
            changed = content[:at] + bytes([(content[at] + data.draw(st.integers(1, 255))) % 256]) + content[at + 1 :]
        case "remove":
            changed = b"".join(rows[:place] + rows[place + 1 :])
        case "swap":
            other = data.draw(st.integers(0, len(rows) - 1))
            rows[place], rows[other] = rows[other], rows[place]
            changed = b"".join(rows)
        case "insert":
            changed = b"".join([*rows[:place], rows[data.draw(st.integers(0, len(rows) - 1))], *rows[place:]])
        case "truncate":
            changed = content[: data.draw(st.integers(0, len(content) - 1))]
        case "file":
            changed = b""
        case _:
            changed = (work / data.draw(st.sampled_from(names))).read_bytes()
    assume(changed != content)
    (work / name).write_bytes(changed)
    assert any(one.startswith(name) for one in problems(work))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_edit_of_a_chain_is_found_by_its_row_although_the_manifest_agrees(
    pack: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    work = tmp_path_factory.mktemp("forged") / "pack"
    shutil.copytree(pack, work)
    record = data.draw(st.sampled_from(["audit", "ledger"]))
    rows = [json.loads(line) for line in lines(work, f"records/{record}.jsonl")]
    place = data.draw(st.integers(0, len(rows) - 2))
    first = rows[place]["seq"]
    match data.draw(st.sampled_from(["change", "remove", "swap", "repeat"])):
        case "change":
            column = data.draw(st.sampled_from(sorted(set(rows[0]) - {"seq"})))
            rows[place][column] = f"{rows[place][column]} "
        case "remove":
            first = rows[place + 1]["seq"]
            del rows[place]
        case "swap":
            rows[place], rows[place + 1] = rows[place + 1], rows[place]
            first = rows[place]["seq"]
        case _:
            rows.insert(place, rows[place])
    (work / "records" / f"{record}.jsonl").write_text("".join(canonical(row) + "\n" for row in rows))
    reforge(work)
    found = problems(work)
    assert any(f"records/{record}.jsonl row {first}:" in one for one in found), found


def set_value(column: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0].update({column: value})


FORGED: dict[str, tuple[str, Callable[[list[dict[str, Any]]], None], str]] = {
    "a policy's text": ("policies", set_value("text", "another"), "does not have the hash that names it"),
    "a release's artefacts": ("releases", set_value("artefacts", {"model": "m2"}), "artefacts do not have the hash"),
    "criteria": ("criteria", set_value("text", "another line"), "text and data sets do not have the hash"),
    "criteria's time": ("criteria", set_value("registered_at", "2025-01-01T00:00:00.000000Z"), "does not vouch for it"),
    "criteria taken out": ("criteria", list.clear, "criteria_registered, and the record is not there"),
    "a data set's size": ("datasets", set_value("rows", 4), "does not vouch for it"),
    "a data set's time": ("datasets", set_value("created_at", "2025-01-01T00:00:00.000000Z"), "dataset_version, and the record is not there"),
    "a label": ("review_labels", set_value("label", "unsafe"), "does not vouch for it"),
    "a label taken out": ("review_labels", list.clear, "has 1 labels of this rollout, the file 0"),
    "an override's end": ("overrides", set_value("until", "2026-02-05T00:00:00.000000Z"), "does not vouch for it"),
    "an override taken out": ("overrides", list.clear, "override_added, and the record is not there"),
    "a served share": ("stages", set_value("share", 0.9), "the audit log says version"),
    "a stage taken out": ("stages", lambda rows: rows.pop(1), "the audit log has the event, and the history does not"),
    "a trade-off": ("artefacts_tradeoff", set_value("summary", {"verdict": "grow"}), "does not vouch for it"),
    "a trade-off taken out": ("artefacts_tradeoff", list.clear, "tradeoff_recorded, and the record is not there"),
    "a review": ("artefacts_review", set_value("summary", {"success": ["better"]}), "does not vouch for it"),
    "a review taken out": ("artefacts_review", list.clear, "review_pinned, and the record is not there"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_record_does_not_agree_with_the_log(what: str, copy: Path) -> None:
    record, change, reason = FORGED[what]
    edit(copy, record, change)
    reforge(copy)
    assert any(f"records/{record}.jsonl" in one and reason in one for one in problems(copy)), problems(copy)


def test_a_review_that_was_rewritten_is_found(copy: Path) -> None:
    path = copy / "files" / "reports" / "review" / "2026-W02-v1.json"
    path.write_text(path.read_text().replace("[]", '["better"]'))
    reforge(copy)
    (found,) = problems(copy)
    assert "reports/review/2026-W02-v1.json: is not the document that was pinned" in found


def test_evidence_of_a_decision_that_is_cut_off_is_found(copy: Path) -> None:
    def cut(rows: list[dict[str, Any]]) -> None:
        del rows[next(n for n, row in enumerate(rows) if '"fired":true' in row["readings"]) :]

    edit(copy, "ledger", cut)
    reforge(copy)
    assert any("has no block with the evidence of the decision in audit row" in one for one in problems(copy))


def test_an_end_that_was_cut_off_and_forged_is_found_by_what_was_noted_elsewhere(
    home: Path, pack: Path, copy: Path, tmp_path: Path
) -> None:
    cli = Cli(home)
    edit(copy, "outbox", lambda rows: rows.pop())  # nothing in the pack itself vouches for messages
    reforge(copy)
    assert problems(copy) == []
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(cli.json("audit", "verify", pack)))
    assert "is not the one that was noted" in cli("audit", "verify", copy, "--anchor", kept, code=1).everything
    heads = tmp_path / "heads.json"
    heads.write_text(json.dumps(cli.json("audit", "verify")))
    cli("audit", "verify", pack, "--anchor", heads)
    edit(copy, "audit", lambda rows: rows.pop())
    reforge(copy)
    assert "that was noted earlier is not in it" in cli("audit", "verify", copy, "--anchor", heads, code=1).everything


def test_what_is_no_pack_is_said(home: Path, copy: Path, tmp_path: Path) -> None:
    cli = Cli(home)
    (tmp_path / "text.zip").write_text("no zip")
    for wrong, reason in (
        (tmp_path / "gone", "there is no"),
        (tmp_path / "text.zip", "no zip that can be read"),
        (home, "has no manifest.json"),
    ):
        assert reason in cli("audit", "verify", wrong, code=1).everything
    for text, reason in (
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"kind": 1}', "is"),
        ("{}", "cannot be read"),
    ):
        (copy / "manifest.json").write_text(text)
        assert reason in cli("audit", "verify", copy, code=1).everything
    assert "name it" in cli("audit", "verify", "--replay", code=2).everything


def test_a_row_without_its_columns_is_a_problem_and_no_crash(copy: Path) -> None:
    edit(copy, "criteria", lambda rows: rows[0].pop("text"))
    edit(copy, "incidents", lambda rows: rows[0].pop("incident_id"))
    reforge(copy)
    assert any("cannot be read as a row" in one or "has not the columns" in one for one in problems(copy))


def test_a_name_given_twice_shows_nobody_another_value_than_the_one_that_is_hashed(copy: Path) -> None:
    path = copy / "records" / "audit.jsonl"
    path.write_text(path.read_text().replace('{"actor":', '{"actor":"mallory","actor":', 1))
    reforge(copy)
    assert any("records/audit.jsonl row 1 (line): cannot be read" in one for one in problems(copy))


def test_a_drift_analysis_put_in_after_the_log_began_to_vouch_for_them_is_found() -> None:
    row = {"kind": "drift", "artefact_id": "put-in", "created_at": "2026-01-05T12:00:00.000000Z", "summary": {}}
    for at, found in (("2026-01-05T11:00:00.000000Z", 1), ("2026-01-05T13:00:00.000000Z", 0)):
        said = {("drift_recorded", "another"): [{"summary_hash": "a", "_actor": "ada", "_at": at}]}
        vouching = Vouching(Log(said=said), "2026-01-05T00:00:00.000000Z", "2026-01-06T00:00:00.000000Z")
        vouching.see("artefacts_drift", "file", "key", row)
        assert (len(vouching.problems), len(vouching.unvouched)) == (found, 1 - found)


@pytest.mark.parametrize("place", ["records/audit.jsonl", "manifest.json"])
@pytest.mark.parametrize("how", ["bytes", "encrypted", "method"])
def test_a_zip_that_cannot_be_unpacked_is_a_message_and_no_crash(
    pack: Path, tmp_path: Path, place: str, how: str
) -> None:
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in pack.rglob("*"):
            if one.is_file() and one.relative_to(pack).as_posix() != place:
                archive.write(one, one.relative_to(pack).as_posix())
        archive.write(pack / place, place)
        start = archive.getinfo(place).header_offset
    content = bytearray(path.read_bytes())
    last = content.rfind(b"PK\x01\x02")
    at, value = {
        "bytes": (start + 100, content[start + 100] ^ 255),
        "encrypted": (last + 8, 1),
        "method": (last + 10, 99),
    }[how]
    content[at] = value
    path.write_bytes(content)
    if place == "manifest.json":
        with pytest.raises(Refused, match=r"manifest\.json cannot be read"):
            problems(path)
    else:
        assert any(one.startswith(place) for one in problems(path))


def test_links_deep_rows_and_false_lines_of_a_pack_are_told(copy: Path) -> None:
    (copy / "records" / "criteria.jsonl").write_text("[" * 100_000 + "\n")
    (copy / "files" / "link").symlink_to("/etc/hostname")
    reforge(copy)
    found = problems(copy)
    assert any(one.startswith("files/link: is a link") for one in found)
    assert any("records/criteria.jsonl row 1 (line): cannot be read" in one for one in found)
    assert evidence_pack_verify.printable("a\nverified \x1b[2J") == "a\\nverified \\x1b[2J"
    manifest = json.loads((copy / "manifest.json").read_text())
    for broken in ({"period": {}}, {"chains": {}}, {"files": {"x": 1}}):
        (copy / "manifest.json").write_text(canonical(manifest | broken) + "\n")
        with pytest.raises(Refused):
            problems(copy)


def test_a_period_is_in_days_or_exact_times() -> None:
    assert evidence_pack.period("2026-01-01", "2026-01-31T12:00+02:00")[1].isoformat() == "2026-01-31T10:00:00+00:00"
    assert evidence_pack.period("2026-01-01", "2026-01-31")[1].isoformat() == "2026-02-01T00:00:00+00:00"
    for until in ("2026-01-31t12:00", "2026-W05", "9999-12-31"):
        with pytest.raises(SettingsError):
            evidence_pack.period("2026-01-01", until)


def test_a_period_that_is_not_over_shows_no_retention_of_its_rest(home: Path, tmp_path: Path) -> None:
    Cli(home).json("audit", "export", "--from", "2026-01-05", "--to", "2030-12-31", "--out", tmp_path / "p")
    row = json.loads((tmp_path / "p" / "governance.json").read_text())["table"][0]
    assert row["retention"]["as_of"].startswith("2026-01-")
    assert {row["retention"][name]["verdict"] for name in ("facts", "audit_log")} == {"young"}


def test_a_changed_count_is_found_by_the_replay(copy: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        counts = json.loads(rows[3]["counts"])
        counts[0]["xT"] = max(0, counts[0]["xT"] - 1) if counts[0]["xT"] else 1
        rows[3]["counts"] = canonical(counts)

    edit(copy, "ledger", change)
    assert not replay_pack(copy)["ok"]


def test_a_broken_chain_of_the_workspace_is_exported_and_named(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    with closing(sqlite3.connect(tmp_path / "home" / "state.sqlite")) as connection, connection:
        connection.execute("UPDATE audit SET reason = 'nothing happened' WHERE seq = 2")
    cli = Cli(tmp_path / "home")
    value = cli.json("audit", "export", *DAY, "--out", tmp_path / "p", code=1)
    assert value["broken"]["audit"]["seq"] == 2
    found = problems(tmp_path / "p")
    assert any("records/audit.jsonl row 2" in one for one in found)


def test_the_place_is_never_written_over_and_a_failure_leaves_nothing(
    home: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(home)
    assert "is not empty" in cli("audit", "export", *DAY, "--out", pack, code=1).everything
    (tmp_path / "folder.zip").mkdir()
    assert "is called like a file" in cli("audit", "export", *DAY, "--out", tmp_path / "folder.zip", code=1).everything
    (tmp_path / "folder.zip").rmdir()
    assert "lies in the workspace" in cli("audit", "export", *DAY, "--out", home / "p", code=1).everything
    assert (
        "is no date" in cli("audit", "export", "--from", "x", "--to", "y", "--out", tmp_path / "p", code=2).everything
    )
    assert (
        "is not before"
        in cli(
            "audit", "export", "--from", "2026-02-01", "--to", "2026-01-01", "--out", tmp_path / "p", code=2
        ).everything
    )
    monkeypatch.setattr(evidence_pack, "readme", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evidence_pack.export(str(home), START, LATER, tmp_path / "p", LATER)
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_artefacts_have_words() -> None:
    assert all(text and not text.endswith(".") for text in ARTEFACTS.values())
