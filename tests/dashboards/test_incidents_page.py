"""The Incidents page as people see it: overview and one incident on every kind of workspace, asked for with and without a control process."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from jobs.control import Control
from tests.dashboards.conftest import TOKEN
from tests.dashboards.pages import charts, open_page, text

ASKED_TIMES = 200


def buttons(app: AppTest) -> dict[str, bool]:
    """Whether each button can be pressed, by its key."""
    return {str(button.key): not button.disabled for button in app.button}


def settle(app: AppTest, words: str) -> str:
    """What is shown once the task has ended."""
    for _ in range(ASKED_TIMES):
        shown = text(app)
        if words in shown:
            return shown
        app.run()
    raise AssertionError(f"{words!r} never came: {text(app)[-2000:]}")


def test_nothing_has_happened_on_an_empty_workspace(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> None:
    app = open_page(monkeypatch, empty_home, "incidents", days="nonsense")
    shown = text(app)
    assert "No incident is open" in shown
    assert "controlplane drill" in shown
    assert charts(app) == 0


def test_an_open_incident_is_the_first_thing_said(monkeypatch: pytest.MonkeyPatch, incident_home: Path) -> None:
    app = open_page(monkeypatch, incident_home, "incidents")
    shown = text(app)
    assert "1 incident is open" in shown
    assert "nobody has acknowledged it yet" in shown
    assert "1 of 2 (95 %" in shown  # start and deploy; the deploy was cut
    assert '<a href="?incident=r1-v5">' in shown
    assert charts(app) == 1


def test_mid_incident_nobody_can_act_who_has_not_logged_in(
    monkeypatch: pytest.MonkeyPatch, incident_home: Path
) -> None:
    app = open_page(monkeypatch, incident_home, "incidents", incident="r1-v5", role="viewer")
    shown = text(app)
    for words in (
        "45 min 31 s after its likely onset",
        "214 customers were exposed",
        "People were told first",
        "No cause has been ranked",
    ):
        assert words in shown
    acts = {key: able for key, able in buttons(app).items() if key.startswith("ask_")}
    assert {"ask_acknowledge_r1-v5", "ask_resolve_r1-v5", "ask_note_r1-v5", "ask_serious"} <= set(acts)
    assert not any(acts.values())
    assert charts(app) == 1


def test_an_incident_that_is_not_there(monkeypatch: pytest.MonkeyPatch, healthy_home: Path) -> None:
    shown = text(open_page(monkeypatch, healthy_home, "incidents", incident="<script>nowhere"))
    assert "There is no such incident" in shown
    assert "<script>" not in shown


def test_one_incident_with_its_causes_asked_for(monkeypatch: pytest.MonkeyPatch, full_control: Control) -> None:
    home, url = full_control.deps.home, full_control.server.url
    (row,) = full_control.deps.state.incidents()
    app = open_page(monkeypatch, home, "incidents", control=(url, TOKEN), incident=row.incident_id)
    shown = text(app)
    for words in ("rolled back", "Check every import", "said by the control plane", "Post-incident report"):
        assert words in shown
    before = charts(app)
    app.button(key=f"task_causes_{row.incident_id}").click().run()
    shown = settle(app, "What would change it")
    assert charts(app) == before + 1
    assert "Contested" in shown
    app.button(key=f"ask_note_{row.incident_id}").click().run()
    assert "Your words go into the timeline" in text(app)
    assert app.button(key=f"yes_note_{row.incident_id}").disabled  # nobody has said who and why yet
