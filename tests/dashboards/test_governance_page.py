"""The Governance page as people see it: each view, the whole log paged through, a record that was changed, a pack to take away."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from controlplane.core.audit import READINGS
from controlplane.store.snapshot import SnapshotReader
from jobs.control import Control
from tests.dashboards.conftest import TOKEN
from tests.dashboards.pages import charts, open_page, text
from tests.dashboards.test_incidents_page import settle


@pytest.mark.parametrize(
    ("show", "words"),
    [
        ("force", ("What counts now", "Evaluation data", "Nothing is set aside", "Let the rollout grow")),
        ("releases", ("Rolled back", "Serving", "classifier", "3 approvals", "No review has been signed yet")),
        ("evaluation", ("Failed", "Passed", "learned from", "Every line in numbers", "first registration")),
        ("drills", ("Nobody has rehearsed yet", "API outage")),
        ("pack", ("Evidence pack", "audit export")),
    ],
)
def test_each_view_of_the_demos_record(
    monkeypatch: pytest.MonkeyPatch, full_home: Path, show: str, words: tuple[str, ...]
) -> None:
    app = open_page(monkeypatch, full_home, "governance", show=show)
    shown = "\n".join([text(app), *(box.label for box in app.expander)])
    assert "The record holds" in shown
    for one in words:
        assert one in shown, one
    assert charts(app) == (1 if show == "evaluation" else 0)


def test_an_empty_record_says_what_begins_it(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> None:
    shown = text(open_page(monkeypatch, empty_home, "governance"))
    assert "Nothing is on record yet" in shown
    assert "controlplane release start" in shown
    assert "No release was evaluated yet" in text(open_page(monkeypatch, empty_home, "governance", show="evaluation"))


def test_a_row_that_was_changed_is_said_first(
    monkeypatch: pytest.MonkeyPatch, healthy_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(healthy_home, home)
    path = SnapshotReader(home / "snapshots").current().path
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE audit SET actor = 'somebody else' WHERE seq = 2")
    shown = text(open_page(monkeypatch, home, "governance"))
    assert "The record does NOT hold: row 2 was changed" in shown
    assert "cp-edge-bad" in shown


def test_without_a_control_process_the_snapshots_part_is_shown(
    monkeypatch: pytest.MonkeyPatch, full_home: Path
) -> None:
    app = open_page(monkeypatch, full_home, "governance", event="rollback", role="viewer")
    shown = text(app)
    assert "1 rows match" in shown
    assert "hallucination_breach" in shown
    assert app.button(key="task_audit_check").disabled


def test_the_log_is_paged_checked_and_packed(monkeypatch: pytest.MonkeyPatch, full_control: Control) -> None:
    control = (full_control.server.url, TOKEN)
    total = len(full_control.deps.state.audit_rows())
    app = open_page(monkeypatch, full_control.deps.home, "governance", control=control)
    assert f"1 to 25 of {total} rows" in text(app)
    app.button(key="audit_older").click().run()
    assert f"26 to 50 of {total} rows" in text(app)
    app.button(key="audit_newer").click().run()
    app.selectbox(key="pick_event").set_value("rollback").run()
    assert "1 to 1 of 1 rows" in text(app)
    app.button(key="task_audit_check").click().run()
    shown = settle(app, "Both chains hold")
    assert full_control.deps.state.audit_rows()[-1]["hash"] in shown
    app = open_page(monkeypatch, full_control.deps.home, "governance", control=control, show="pack")
    app.button(key="task_pack").click().run()
    assert "Verified" in settle(app, "Note the hash of its manifest")
    assert [file.suffix for file in (full_control.deps.home / "exports").iterdir()] == [".zip"]
    assert len(app.get("download_button")) == 1


def test_the_log_of_days_that_one_chooses(monkeypatch: pytest.MonkeyPatch, full_control: Control) -> None:
    control = (full_control.server.url, TOKEN)
    rows = [row for row in full_control.deps.state.audit_rows() if row["event"] not in READINGS]
    day = str(rows[-1]["at"])[:10]
    hidden = sum(1 for row in rows if str(row["at"])[:10] == day)
    home = full_control.deps.home
    app = open_page(monkeypatch, home, "governance", control=control, since="days", **{"from": day, "to": day})
    assert f"of {hidden} rows" in text(app)
    app.date_input(key="pick_from").set_value(None).run()
    assert f"of {len(rows)} rows" in text(app)
    app.date_input(key="pick_to").set_value(date.fromisoformat(day) - timedelta(days=400)).run()
    assert "No row matches." in text(app)
    app.date_input(key="pick_from").set_value(date.fromisoformat(day)).run()
    assert "The first day is behind the last one." in text(app)
    assert app.query_params["from"] in (day, [day])
