"""Every page on an empty, a healthy and a troubled workspace, through Streamlit's own test harness."""

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from controlplane.core.roles import Role
from controlplane.core.rollout import Event
from controlplane.store.snapshot import SnapshotReader, VersionInfo, publish
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import Commit
from controlplane.store.warehouse import Warehouse
from dashboards import control
from dashboards.config import Config

APP = Path(__file__).parents[2] / "dashboards" / "app.py"
PAGES = ("app_pages/review_page.py", "app_pages/live_page.py", "app_pages/drift_page.py")
SECONDS = 60


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch):
    def open_(home: Path, page: str = PAGES[0], **query: str) -> AppTest:
        monkeypatch.setenv("CONTROLPLANE_HOME", str(home))
        for name in ("CONTROLPLANE_URL", "CONTROLPLANE_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        app = AppTest.from_file(str(APP), default_timeout=SECONDS)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        if page != PAGES[0]:
            app.switch_page(page).run()
        assert not app.exception, [error.value for error in app.exception]
        return app

    return open_


def text(app: AppTest) -> str:
    """Everything a person can read on the page."""
    parts = [element.proto.body for element in app.get("html")]
    parts += [element.value for kind in (app.markdown, app.caption, app.error, app.success) for element in kind]
    return "\n".join(parts)


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


@pytest.mark.parametrize("page", PAGES)
def test_without_a_workspace_every_page_says_what_to_do(open_page, tmp_path: Path, page: str) -> None:
    shown = text(open_page(tmp_path / "nowhere", page))
    assert "Nothing has been published yet." in shown
    assert "<code>controlplane up</code>" in shown


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (PAGES[0], ("No release is being rolled out.", "No conversations yet.", "controlplane ingest FILE")),
        (PAGES[1], ("No rollout", "everyone is served by the baseline")),
        (PAGES[2], ("No drift analysis yet.", "controlplane drift run --hours 24")),
    ],
)
def test_an_empty_workspace_says_what_to_do_next(open_page, empty_home: Path, page: str, said: tuple[str, ...]) -> None:
    shown = text(open_page(empty_home, page))
    assert all(words in shown for words in said), shown


@pytest.mark.parametrize("page", PAGES)
def test_every_page_carries_the_live_strip(open_page, incident_home: Path, page: str) -> None:
    shown = text(open_page(incident_home, page))
    for words in (
        "Rolled back",
        "v1.4.0",
        "Share now",
        "Hallucination breach",
        "Data age",
        "UTC",
        "demo clock",
    ):
        assert words in shown


def test_a_resolved_incident_stays_to_be_read_with_its_times(open_page, incident_home: Path, tmp_path: Path) -> None:
    """The next release runs under another name; what led to the last rollback is still there."""
    home = tmp_path / "home"
    shutil.copytree(incident_home, home)
    state = StateWriter(f"sqlite:///{home / 'state.sqlite'}")
    now = state.incidents()[0].detected_at + timedelta(hours=1)
    after = replace(state.incidents()[0], state="resolved", resolved_at=now, rollout_id="an-earlier-one")
    state.commit(Commit(incident=after), now)
    with Warehouse.open(home / "facts.duckdb") as warehouse:
        cursor = warehouse.cursor()
        publish(cursor, state.export(), home / "snapshots", now, VersionInfo(state.version(), "0.1.0", "demo"))
        cursor.close()
    state.close()
    live, review = text(open_page(home, PAGES[1])), text(open_page(home))
    assert "Open incidents" not in live
    assert "214 customers served between onset and cut" in live
    assert "cut verified 9 s after detection, 214 customers exposed, resolved" in review


def test_text_from_logs_is_never_markup(tiny_world, open_page) -> None:
    evil = "<img src=x onerror=alert(1)>"
    tiny_world.state.register_policy(tiny_world.policy.hash, "p", tiny_world.policy.text, tiny_world.now)
    tiny_world.person(Event.START, evil, actor=evil)
    tiny_world.save()
    for page in PAGES[:2]:
        shown = text(open_page(tiny_world.home, page))
        assert evil not in shown
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown


def test_a_silent_control_process_is_an_alarm_not_all_green(open_page, tmp_path: Path, healthy_home: Path) -> None:
    pointer = SnapshotReader(healthy_home / "snapshots").folder / "CURRENT"
    before = pointer.stat()
    os.utime(pointer, (before.st_atime, before.st_mtime - 3600))
    try:
        assert "control process silent for 1 h" in text(open_page(healthy_home))
    finally:
        os.utime(pointer, (before.st_atime, before.st_mtime))


def test_acting_without_a_control_process_never_raises(tmp_path: Path) -> None:
    nowhere = Config(tmp_path, "http://127.0.0.1:9", "some-token")
    assert "did not answer" in control.act(nowhere, "hold", "ana", "drill", 1, Role.ADMIN).text
    assert "Read-only" in control.act(nowhere, "hold", "ana", "drill", 1, None).text
    assert "Read-only" in control.act(Config(tmp_path), "hold", "ana", "drill", 1, Role.ADMIN).text
