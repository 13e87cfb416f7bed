"""Debian's Chromium on the dashboards: a page whose console, errors and requests are remembered, and the server of a workspace.

Nothing but loopback may be asked for. Pictures go to test-artefacts/.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

from dashboards.launch import command, environment

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")
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
# No placeholder is left, every chart has drawn something.
DRAWN = """() => !document.querySelector('[data-testid=stSkeleton]')
  && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(chart => chart.querySelector('canvas, svg'))"""
_doors: dict[str, str] = {}  # by address of a server: the token it was started with


class Watched:
    """A page whose console, errors and requests are remembered; logged in with the server's token unless `token` is another, or ""."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        size: dict[str, int] | None = None,
        scheme: str = "light",
        token: str | None = None,
    ) -> None:
        context = browser.new_context(viewport=size or DESKTOP, color_scheme=scheme)
        if known := _doors.get(url, "") if token is None else token:
            assert context.request.post(f"{url}/session", form={"token": known}, max_redirects=0).status == 303
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
        self.page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
        return self.page

    def picture(self, name: str, folder: Path | None = None) -> Path:
        """The whole page as a PNG; its path."""
        path = (folder or ARTEFACTS) / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        size = self.page.viewport_size
        assert size is not None
        height = self.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
        self.page.set_viewport_size({"width": size["width"], "height": min(max(int(height), size["height"]), 8000)})
        self.settled()
        self.page.wait_for_timeout(600)
        self.page.screenshot(path=path)
        self.page.set_viewport_size(size)
        return path

    def clean(self) -> None:
        """Nothing went wrong and nobody else was asked since the last time."""
        errors, outside, refused = self.errors[:], self.outside[:], self.refused[:]
        for seen in (self.errors, self.outside, self.refused):
            seen.clear()
        assert errors == []
        assert outside == []
        assert [line for line in refused if not line.endswith(PROBES)] == []


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def served(home: Path, control_url: str | None = None, token: str | None = None, **more: str) -> Iterator[str]:
    """The dashboards of a workspace, as a process of their own; ended by its id. `more`: further environment variables."""
    port = free_port()
    log = home / "dashboards.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command(port),
            env=environment(home, {**os.environ, **more}, control_url, token),
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
            url = f"http://127.0.0.1:{port}"
            _doors[url] = token if control_url and token else ""
            yield url
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A started browser; the test is skipped with the reason where it does not start."""
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        except Error as error:
            pytest.skip(f"{CHROMIUM} does not start here: {error.message.splitlines()[0]}")
        yield found
        found.close()
