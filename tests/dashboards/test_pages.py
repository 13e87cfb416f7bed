"""Every page on an empty, a healthy and a troubled workspace, through Streamlit's own test harness."""

import os
import re
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

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
        "demo: simulated clock",
    ):
        assert words in shown


def test_review_opens_with_the_answer_and_shows_its_reasons(open_page, healthy_home: Path) -> None:
    app = open_page(healthy_home)
    shown = text(app)
    assert "May it grow to 50 %? Not yet." in shown
    assert "CSAT certified not worse by 0.05 points" in shown
    for title in (
        "CSAT",
        "Escalation rate",
        "Intent misclassification rate",
        "Resolution time",
        "Safety misrouting rate",
    ):
        assert f'<span class="cp-title">{title}</span>' in shown
    assert "Improved" in shown
    assert "% final (after 1 d)" in shown
    assert "Cost per resolved conversation" in shown
    assert charts(app) >= 14


def test_review_after_a_rollback_says_no_and_shows_the_containment(open_page, incident_home: Path) -> None:
    shown = text(open_page(incident_home))
    assert "May it grow? No: it was rolled back." in shown
    for words in ("Likely onset", "Detected", "Traffic cut", "9 s after the cut", "First alert", "Contained"):
        assert words in shown
    assert "the incident decides, not these" in shown


@pytest.mark.parametrize("window", ["This stage", "Last 24 h", "This release"])
def test_the_window_comes_from_the_address_and_goes_back_into_it(open_page, healthy_home: Path, window: str) -> None:
    app = open_page(healthy_home, window=window)
    assert re.search(f"{window}: 202[56]-", text(app))
    assert app.query_params["window"] in (window, [window])


def test_a_window_that_does_not_exist_is_the_default(open_page, healthy_home: Path) -> None:
    assert "Last 7 days: 2025-12-31" in text(open_page(healthy_home, window="<script>"))


def test_live_shows_evidence_limits_and_decisions(open_page, incident_home: Path) -> None:
    app = open_page(incident_home, PAGES[1])
    shown = text(app)
    assert "Fired" in shown
    assert "Hallucination frequency over 5.0 % \u2192 rollback" in shown
    assert "CSAT drop of more than 0.2 points" in shown
    assert "messages sent 1" in shown
    assert "cut verified: read-back, 20 probes" in shown
    assert "Read 182,340 = stored 182,011 + duplicates 214 + refused 115." in shown
    assert "support-desk" in shown
    assert charts(app) == 5 + 2 + 4


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
    assert "Detection to verified cut" in review
    assert "Resolved" in review


def test_live_without_a_token_cannot_act(open_page, healthy_home: Path) -> None:
    app = open_page(healthy_home, PAGES[1])
    buttons = {button.label: button.disabled for button in app.button}
    assert buttons == {"Hold the ramp": True, "Roll back now": True}
    assert "Read-only" in text(app)


def test_live_offers_nothing_after_a_rollback(open_page, incident_home: Path) -> None:
    assert [button.label for button in open_page(incident_home, PAGES[1]).button] == []


def test_drift_names_what_moved_and_what_broke(open_page, healthy_home: Path) -> None:
    app = open_page(healthy_home, PAGES[2])
    shown = text(app)
    assert "Has the traffic changed? Yes, in 2 of 5 columns." in shown
    assert "broken: workflow" in shown
    assert "crypto_wallet" in shown
    assert "Jensen-Shannon 0.131" not in shown  # the score has a column of its own
    frame = app.get("iframe")[0].proto.srcdoc
    assert 'sandbox="allow-scripts"' in frame
    assert "allow-same-origin" not in frame


def test_drift_without_its_file_says_so(open_page, healthy_home: Path) -> None:
    report = next(healthy_home.glob("reports/drift/*/report.html"))
    kept = report.read_bytes()
    report.unlink()
    try:
        assert "is gone from the workspace" in text(open_page(healthy_home, PAGES[2]))
    finally:
        report.write_bytes(kept)


def test_text_from_logs_is_never_markup(tiny_world, open_page) -> None:
    evil = "<img src=x onerror=alert(1)>"
    tiny_world.state.register_policy(tiny_world.policy.hash, "p", tiny_world.policy.text, tiny_world.now)
    tiny_world.person(Event.START, evil, actor=evil)
    tiny_world.save()
    for page in PAGES[:2]:
        shown = text(open_page(tiny_world.home, page))
        assert evil not in shown
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown


def test_the_newest_pinned_review_is_there_to_take_along(tiny_world, open_page) -> None:
    for week in ("2026-W02", "2026-W03"):
        path = f"reports/review/{week}-v1.json"
        page = tiny_world.home / path.replace(".json", ".html")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<p>the page</p>", encoding="utf-8")
        summary = {"words": {"headline": f"Week {week}: <b>1 improved</b>."}}
        later = tiny_world.now if week.endswith("2") else tiny_world.now + timedelta(days=7)
        tiny_world.state.record_artefact(f"{week}-v1", "review", path, summary, later)
    tiny_world.save()
    app = open_page(tiny_world.home)
    shown = text(app)
    assert "Week 2026-W03: &lt;b&gt;1 improved&lt;/b&gt;." in shown
    assert "controlplane review show 2026-W03-v1" in shown
    assert "2026-W02" not in shown
    assert [button.proto.label for button in app.get("download_button")] == ["Download the review"]


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
    assert "did not answer" in control.act(nowhere, "hold", "ana", "drill", 1).text
    assert "Read-only" in control.act(Config(tmp_path), "hold", "ana", "drill", 1).text
