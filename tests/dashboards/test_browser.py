"""The dashboards in a real browser: navigation, what moves by itself, the roll-back button to the end, phone size, both themes.

Debian's Chromium is driven where it is installed; elsewhere these tests skip. Nothing but loopback may be asked for. Pictures go
to test-artefacts/.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

from controlplane.core.policy import Policy, parse
from controlplane.settings import load
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.state import StateReader
from dashboards import data
from dashboards.launch import command, environment
from jobs import publish
from jobs.control import control_process

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")
ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 60_000
TOKEN = "a-token-for-this-test"
# Streamlit's client asks for its own health below a deep link first, then at the root: known, harmless, its own origin.
PROBES = ("/_stcore/health", "/_stcore/host-config")


class Watched:
    """A page whose console, errors and requests are remembered."""

    def __init__(self, browser: Browser, url: str, size: dict[str, int] | None = None, scheme: str = "light") -> None:
        context = browser.new_context(viewport=size or DESKTOP, color_scheme=scheme)
        self.page: Page = context.new_page()
        self.url, self.errors, self.outside, self.refused = url, [], [], []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("response", lambda r: self.refused.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _console(self, message: ConsoleMessage) -> None:
        # A refused response shows as an error of the console too; those are judged by their address in `refused`.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "about") and parts.hostname != "127.0.0.1":
            self.outside.append(url)

    def open(self, path: str = "") -> Page:
        self.page.goto(f"{self.url}/{path}")
        return self.settled()

    def settled(self) -> Page:
        """The page once its script has run and its charts are drawn."""
        self.page.wait_for_selector(".cp-strip, .cp-empty", timeout=PATIENCE_MS)
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=PATIENCE_MS)
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(c => c.querySelector('canvas, svg'))",
            timeout=PATIENCE_MS,
        )
        return self.page

    def picture(self, name: str) -> None:
        """The whole page as a PNG."""
        ARTEFACTS.mkdir(exist_ok=True)
        size = self.page.viewport_size
        assert size is not None
        height = self.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
        self.page.set_viewport_size({"width": size["width"], "height": min(max(int(height), size["height"]), 8000)})
        self.settled()
        self.page.wait_for_timeout(600)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")
        self.page.set_viewport_size(size)

    def clean(self) -> None:
        """Nothing went wrong and nobody else was asked."""
        assert self.errors == []
        assert self.outside == []
        assert [line for line in self.refused if not line.endswith(PROBES)] == []


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def served(home: Path, control_url: str | None = None, token: str | None = None) -> Iterator[str]:
    """The dashboards of a workspace, as a process of their own; ended by its id."""
    port = free_port()
    log = home / "dashboards.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command(port),
            env=environment(home, os.environ, control_url, token),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, log.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        except Error as error:
            pytest.skip(f"{CHROMIUM} does not start here: {error.message.splitlines()[0]}")
        yield found
        found.close()


def test_all_pages_in_a_troubled_workspace(browser: Browser, incident_home: Path) -> None:
    with served(incident_home) as url:
        seen = Watched(browser, url)
        page = seen.open()
        assert "it was rolled back" in page.inner_text(".cp-headline")
        seen.picture("review-incident")
        page.get_by_role("link", name="Live").click()
        page.wait_for_selector("text=Last decisions", timeout=PATIENCE_MS)
        seen.settled()
        assert page.url.endswith("/live?window=6+h")
        seen.picture("live-incident")
        page.get_by_role("link", name="Drift").click()
        page.wait_for_selector("text=Has the traffic changed?", timeout=PATIENCE_MS)
        seen.settled()
        inner = page.frame_locator("iframe").frame_locator("iframe")
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
        seen.open()
        seen.picture("review")
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
