"""The dashboards in a real browser: navigation, what moves by itself, the roll-back button to the end, phone size, both themes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from controlplane.core.policy import Policy, parse
from controlplane.settings import load
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.state import StateReader
from dashboards import data
from jobs import publish
from jobs.control import control_process
from tests.dashboards.browser import PATIENCE_MS, PHONE, TOKEN, Watched, chromium, needs_chromium, served

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_all_pages_in_a_troubled_workspace(browser: Browser, incident_home: Path) -> None:
    with served(incident_home) as url:
        seen = Watched(browser, url)
        page = seen.open()
        assert "it was rolled back" in page.inner_text(".cp-headline")
        seen.picture("review-incident")
        page.get_by_role("link", name="Live").click()
        page.wait_for_selector("text=Last decisions", timeout=PATIENCE_MS)
        seen.settled()
        assert page.url.endswith("/live")
        seen.picture("live-incident")
        page.get_by_role("link", name="Drift").click()
        page.wait_for_selector("text=Has the traffic changed?", timeout=PATIENCE_MS)
        seen.settled()
        page.get_by_text("Show the report").click()
        inner = page.frame_locator(
            "iframe"
        )  # a page of its own, so that its scripts run without the dashboards' origin
        assert inner.locator("#t").inner_text(timeout=PATIENCE_MS) == "Drawn by its own script"
        seen.picture("drift")
        seen.clean()
        phone = Watched(browser, url, PHONE, "dark")
        phone.open("live")
        wide = phone.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= PHONE["width"]
        phone.picture("live-phone-dark")
        phone.clean()


def test_the_roll_back_button_to_the_end(
    browser: Browser, healthy_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deep link, both themes; then button, confirmation, control process, state, snapshot, and the page moves by itself."""
    home = tmp_path / "home"
    shutil.copytree(healthy_home, home)
    for name in ("landing", "models"):
        (home / name).mkdir()
    monkeypatch.setenv("CONTROLPLANE_TOKEN", TOKEN)
    settings = load(home)
    moment = _published(home)
    with (
        control_process(settings, _policy(settings.state_url), lambda: moment, 0) as control,
        served(home, control.server.url, TOKEN) as url,
    ):
        dark = Watched(browser, url, scheme="dark")
        page = dark.open("?window=Last+24+h")
        assert "Last 24 h: 2026-01-06" in page.inner_text("[data-testid=stMain]")
        background = "() => getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        assert page.evaluate(background) == "rgb(18, 24, 31)"
        dark.picture("review-dark")
        dark.clean()
        seen = Watched(browser, url)
        page = seen.open("live?window=24+h")
        seen.picture("live")
        assert "Running" in page.inner_text(".cp-strip")
        _roll_back(seen)
        rollout = control.deps.state.rollout()
        assert rollout is not None
        assert (str(rollout.state), rollout.share) == ("ROLLED_BACK", 0.0)
        assert control.deps.state.audit_rows()[-1]["actor"] == "ana.lopez"
        publish.run(control.deps, moment + timedelta(seconds=5))
        page.wait_for_selector(".cp-strip:has-text('Rolled back')", timeout=PATIENCE_MS)
        seen.clean()


def _roll_back(seen: Watched) -> None:
    """As a person does it: ask, say who and why, confirm."""
    page = seen.page
    page.get_by_role("button", name="Roll back now").click()
    confirm = page.get_by_role("dialog")
    sure = confirm.get_by_role("button", name="Yes, roll back now")
    sure.wait_for(timeout=PATIENCE_MS)
    assert sure.is_disabled()
    confirm.get_by_label("Your name").fill("ana.lopez")
    confirm.get_by_label("Reason").fill("drill")
    confirm.get_by_label("Reason").press("Tab")
    sure.click(timeout=PATIENCE_MS)
    page.wait_for_selector("text=The traffic is cut", timeout=PATIENCE_MS)


def _published(home: Path) -> datetime:
    """The time of the workspace's snapshot."""
    ref = SnapshotReader(home / "snapshots").current()
    return data.state(str(ref.path), ref.key).meta.now


def _policy(url: str) -> Policy:
    """The policy in force."""
    reader = StateReader(url)
    try:
        rollout = reader.rollout()
        assert rollout is not None
        return parse(str(reader.policy_text(rollout.policy_hash)))
    finally:
        reader.close()
