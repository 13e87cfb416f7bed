"""The Quality page on every kind of workspace, and with a control process: proof lists, examples, one answer after the other labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards import ui
from jobs.control import Control
from tests.dashboards.conftest import TOKEN
from tests.dashboards.pages import charts, open_page, text

Patch = pytest.MonkeyPatch


def quality(patch: Patch, home: Path, control: Control | None = None, role: str = "admin", **query: str) -> AppTest:
    patch.setattr(ui.Drawn, "CHECKED", True)
    url = None if control is None else (control.server.url, TOKEN)
    return open_page(patch, home, "quality", control=url, role=role, **query)


def rows(control: Control, sql: str) -> list[Any]:
    with control.deps.warehouse.cursor() as cursor:
        return cursor.execute(sql).fetchall()


def test_nothing_yet_says_what_to_do(monkeypatch: Patch, empty_home: Path) -> None:
    shown = text(quality(monkeypatch, empty_home))
    assert "Nothing has been answered yet." in shown
    assert "controlplane ingest FILE" in shown


def test_the_answer_its_numbers_and_who_reached_a_person(monkeypatch: Patch, healthy_home: Path) -> None:
    app = quality(monkeypatch, healthy_home)
    shown = text(app)
    assert "Everybody known to need a person reached one, 3 of them late." in shown
    for words in (
        *("Safety misrouting rate", "Intent misclassification rate", "Hallucination frequency", "Confidence is off by"),
        *("Fraud", "Legal matter", "Harassment", "Disputed charge", "Asked for a person", "Missed at most"),
        "No control process here.",
    ):
        assert words in shown, words
    assert "r1-" not in shown


def test_what_it_understands_with_the_matrix_on_request(monkeypatch: Patch, healthy_home: Path) -> None:
    app = quality(monkeypatch, healthy_home, view="understanding", window="24 h")
    shown = text(app)
    assert "Meant <b>Balance</b>, taken for <b>Card not arrived</b>" in shown
    assert "Expected calibration error" in shown
    assert charts(app) == 1
    (switch,) = [one for one in app.toggle if one.label == "Show the full matrix"]
    switch.set_value(True).run()
    assert charts(app) == 2
    assert app.query_params["matrix"] == "on"


def test_claims_over_time_and_work_without_anybody_to_ask(monkeypatch: Patch, incident_home: Path) -> None:
    claims = quality(monkeypatch, incident_home, view="sources")
    assert charts(claims) == 1
    assert "limit 5.0 %" in text(claims)
    for view, words in (("label", "nobody has drawn answers yet"), ("topics", "Nobody has looked for topics yet.")):
        shown = text(quality(monkeypatch, incident_home, view=view))
        assert words in shown
        assert "Window" not in shown


def test_a_snapshot_without_these_tables_is_an_empty_state(monkeypatch: Patch, healthy_home: Path) -> None:
    import duckdb

    from dashboards import data

    read = data.read

    def older(path: str, query: str, params: dict[str, Any]) -> Any:
        if query in ("pages/quality_intents", "pages/quality_safety", "pages/quality_releases"):
            raise duckdb.CatalogException("Table with name intents does not exist!")
        return read(path, query, params)

    monkeypatch.setattr(data, "read", older)
    for loader in ("intents", "safety", "releases"):
        from dashboards.quality import data as data_quality

        getattr(data_quality, loader).clear()
    shown = text(quality(monkeypatch, healthy_home, view="understanding"))
    assert "Whether it is safe is not known yet" in shown
    assert "Nobody has said what customers meant." in shown
    for loader in ("intents", "safety", "releases"):
        getattr(data_quality, loader).clear()


def test_the_proof_counts_what_the_facts_hold(monkeypatch: Patch, full_home: Path, read_only_control: Control) -> None:
    app = quality(monkeypatch, full_home, read_only_control, window="30 days")
    shown = text(app)
    mandatory = "safety_route IN ('fraud', 'legal', 'harassment', 'financial_dispute')"
    ((seen, reached),) = rows(
        read_only_control, f"SELECT count(*), count(escalated_at) FROM conversations WHERE {mandatory}"
    )
    assert f"{reached:,} of {seen:,} conversations recognised" in shown
    ((fraud,),) = rows(read_only_control, "SELECT count(*) FROM conversations WHERE safety_route = 'fraud'")
    assert f'<td>Fraud</td><td class="cp-num">{fraud:,}</td>' in shown
    late = "escalated_key > route_key OR escalated_at IS NULL"
    called = rows(
        read_only_control,
        "SELECT DISTINCT conversation_id FROM evaluations WHERE name = 'safety_route' AND label = 'misrouted'"
        f" UNION SELECT conversation_id FROM conversations WHERE {mandatory} AND ({late})",
    )  # chance decides whether the audit of a run found any
    assert all(f"conversation?id={key}" in shown for (key,) in called)
    assert ("No exception." in shown) is (not called)
    assert f"of {seen:,} conversations." in shown
    (prepare,) = [one for one in app.button if one.key == "quality_prepare"]
    prepare.click().run()
    assert not app.exception
    (whole,) = [one for one in app.get("download_button") if "as CSV" in one.proto.label]
    assert f"{seen:,}" in whole.proto.label


def test_who_may_only_look_reads_no_customers_words(
    monkeypatch: Patch, full_home: Path, read_only_control: Control
) -> None:
    viewer = text(quality(monkeypatch, full_home, read_only_control, role="viewer", view="sources"))
    assert "takes more than looking" in viewer
    assert 'class="cp-bubble' not in viewer
    before = len(read_only_control.deps.state.audit_rows())
    shown = text(quality(monkeypatch, full_home, read_only_control, role="operator", view="sources"))
    assert shown.count('class="cp-bubble cp-answer') == 4
    audit = read_only_control.deps.state.audit_rows()
    assert [row["event"] for row in audit[before:]] == ["answers_read"]
    (first,) = rows(
        read_only_control,
        "SELECT i.answer FROM evaluations AS e JOIN interactions AS i USING (interaction_id)"
        " WHERE e.name = 'groundedness' AND e.label = 'ungrounded' ORDER BY i.ts DESC LIMIT 1",
    )
    assert first[0][:40] in shown
    assert "cp-empty" in text(quality(monkeypatch, full_home, read_only_control, role="viewer", view="label"))


def test_messages_that_were_mixed_up_and_open_questions(
    monkeypatch: Patch, full_home: Path, read_only_control: Control
) -> None:
    wrong = rows(
        read_only_control,
        "SELECT e.label, i.intent_pred FROM evaluations AS e JOIN interactions AS i USING (interaction_id)"
        " WHERE e.name = 'intent_true' AND i.arm = 'assistant' AND e.label <> i.intent_pred"
        " GROUP BY ALL ORDER BY count(*) DESC, e.label, i.intent_pred LIMIT 1",
    )
    truth, predicted = wrong[0]
    app = quality(monkeypatch, full_home, read_only_control, view="understanding", mixed=f"{truth}~{predicted}")
    assert 'class="cp-bubble' in text(app)
    topics = text(quality(monkeypatch, full_home, read_only_control, view="topics"))
    ((summary,),) = rows_of_state(full_home)
    assert str(summary["topics"][0]["customers"]) in topics
    assert "There is no earlier time to compare with." in topics
    assert "class='cp-quote'" in topics
    anybody = text(open_page(monkeypatch, full_home, "quality", view="topics", role="viewer"))
    assert "class='cp-quote'" not in anybody
    assert "Examples in the customers' own words" in anybody


def rows_of_state(home: Path) -> list[Any]:
    import json

    from controlplane.store.snapshot import SnapshotReader

    with SnapshotReader(home / "snapshots").open() as connection:
        found = connection.execute("SELECT summary FROM artefacts WHERE kind = 'topics'").fetchall()
    return [(json.loads(row[0]),) for row in found[-1:]]


def test_one_answer_after_the_other_is_labelled(monkeypatch: Patch, full_home: Path, full_control: Control) -> None:
    state = full_control.deps.state
    app = quality(monkeypatch, full_home, full_control, view="label")
    assert "Who labels?" in text(app)
    assert an_exception(monkeypatch, full_home, full_control)
    app.text_input(key="quality_name").set_value("rita").run()
    first = item(app)
    assert "review_assigned" in str(state.audit_rows()[-1]["event"]) or state.review_assignments()
    app.selectbox(key=f"wanted_label_{first}").select("fees")
    app.text_input(key=f"note_label_{first}").set_value("asked about fees")
    press(app, f"say_correct_label_{first}")
    assert "Correct, recorded." in text(app)
    second = item(app)
    assert second != first
    opinion = state.review_opinions()[first]
    assert [(one.reviewer, one.label, one.intent, one.note) for one in opinion.values()] == [
        ("rita", "correct", "fees", "asked about fees")
    ]
    press(app, f"skip_label_{second}")
    assert item(app) not in (first, second)
    assert not app.exception


def an_exception(patch: Patch, home: Path, control: Control) -> bool:
    """Whether an answer that a person called misrouted stands among the exceptions, with the subject they named and what became of it."""
    with control.deps.warehouse.transaction() as cursor:
        cursor.execute(
            "INSERT INTO evaluations BY NAME SELECT t.name || i.interaction_id AS evaluation_id, i.conversation_id, i.interaction_id, i.ts,"
            " t.name, t.label, 'human:olga' AS evaluator, 1.0 AS sampling_rate, hash(t.name) AS id_hash, 0 AS raw_hash, 1 AS batch_id, 0 AS line"
            " FROM (SELECT * FROM interactions WHERE safety_route IS NULL AND NOT escalated ORDER BY ts DESC LIMIT 1) AS i,"
            " (VALUES ('safety_route', 'misrouted'), ('intent_true', 'fraud')) AS t(name, label)"
        )
    ((key,),) = rows(control, "SELECT conversation_id FROM evaluations WHERE evaluator = 'human:olga' LIMIT 1")
    shown = text(quality(patch, home, control))
    return f"conversation?id={key}" in shown and "random audit, by olga" in shown and "No exception." not in shown


def item(app: AppTest) -> str:
    """The id of the answer that is shown."""
    (key,) = [str(one.key) for one in app.button if str(one.key).startswith("say_correct_label_")]
    return key.removeprefix("say_correct_label_")


def press(app: AppTest, key: str) -> None:
    (found,) = [one for one in app.button if one.key == key]
    found.click().run()
    assert not app.exception, [error.value for error in app.exception]
