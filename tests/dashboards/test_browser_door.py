"""Logging in with a real browser: token, roles, the one-time link, an OpenID provider; and that the pages keep their own security policy."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from alerts.config import shipped_text
from tests.dashboards.browser import (
    ARTEFACTS,
    PATIENCE_MS,
    PHONE,
    TOKEN,
    Watched,
    chromium,
    free_port,
    needs_chromium,
    served,
)

pytestmark = needs_chromium

OPERATORS = "an-operators-token"
CODE = "a-code-for-this-test"
ANA = {"sub": "ana", "email": "Ana@Example.com", "email_verified": True, "name": "Ana"}
EVE = {"sub": "eve", "email": "eve@example.com", "email_verified": True, "name": "Eve"}
PEOPLE = '\n[[people]]\nname = "ana.lopez"\nrole = "operator"\nemail = "ana@example.com"\n'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@contextmanager
def provider() -> Iterator[str]:
    """An OpenID provider on loopback, as a process of its own; ended by its id."""
    port = free_port()
    users = [part for user in (ANA, EVE) for part in ("--user-claims", json.dumps(user))]
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *users]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def enter(page: Page, token: str, name: str = "") -> None:
    """As a person does it: from the strip to the form and back."""
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def test_token_link_and_provider(browser: Browser, healthy_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(healthy_home, home)
    (home / "alerting.toml").write_text(shipped_text() + PEOPLE)
    with provider() as issuer:
        more = {
            "CONTROLPLANE_DASHBOARD_TOKENS": f"operator:{OPERATORS}",
            "CONTROLPLANE_DASHBOARD_CODE": CODE,
            "CONTROLPLANE_OIDC_ISSUER": issuer,
            "CONTROLPLANE_OIDC_CLIENT_ID": "dashboards",
            "CONTROLPLANE_OIDC_CLIENT_SECRET": "hush",
            "CONTROLPLANE_OIDC_NAME": "Example Bank",
        }
        nowhere = f"http://127.0.0.1:{free_port()}"  # nothing is asked of the control process here
        with served(home, nowhere, TOKEN, **more) as url:
            _by_token(browser, url)
            _by_link(browser, url)
            _by_provider(browser, url)


def _by_token(browser: Browser, url: str) -> None:
    seen = Watched(browser, url, token="")
    page = seen.open("live?window=24+h")
    assert (
        page.get_by_role("button", name="Roll back now").count() == 0
        or page.get_by_role("button", name="Roll back now").is_disabled()
    )
    assert page.evaluate("() => document.cookie").find("controlplane") == -1
    enter(page, OPERATORS + "x")
    assert "No role has this token" in page.inner_text("main")
    assert seen.refused.pop().startswith("401")
    page.screenshot(path=ARTEFACTS / "log-in.png")
    page.get_by_label("Your name").fill("kim")
    page.get_by_label("Token").fill(OPERATORS)
    page.get_by_role("button", name="Log in").click()
    seen.settled()
    assert page.url == f"{url}/live?window=24+h"
    assert "kim, operator" in page.inner_text(".cp-strip")
    assert page.get_by_role("button", name="Roll back now").is_enabled()
    assert "controlplane" not in page.evaluate("() => document.cookie")
    page.get_by_role("link", name="kim, operator").click()
    page.get_by_role("button", name="Log out").click()
    seen.settled()
    assert "Log in" in page.inner_text(".cp-strip")
    seen.clean()


def _by_link(browser: Browser, url: str) -> None:
    seen = Watched(browser, url, PHONE, token="")
    page = seen.open(f"session/once?code={CODE}")
    assert page.url == f"{url}/"
    assert "admin" in page.inner_text(".cp-strip")
    seen.clean()
    again = Watched(browser, url, token="").page
    again.goto(f"{url}/session/once?code={CODE}")
    assert "This link has been used" in again.inner_text("main")


def _by_provider(browser: Browser, url: str) -> None:
    seen = Watched(browser, url, token="")
    # the provider of this test dresses its own form from outside; what counts is what our pages ask for
    seen.page.route(lambda asked: "127.0.0.1" not in asked, lambda route: route.abort())
    page = seen.open("incidents")
    for who, said in ((ANA, "ana.lopez, operator"), (EVE, "eve@example.com, viewer")):
        page.get_by_role("link", name="Log in").click()
        page.get_by_role("link", name="Log in with Example Bank").click()
        page.get_by_role("button", name=str(who["sub"]), exact=True).click()
        page.wait_for_selector(f".cp-strip:has-text('{said}')", timeout=PATIENCE_MS)
        assert "/incidents" in page.url
        seen.settled()
        page.get_by_role("link", name="Log out").click()
        page.wait_for_load_state()
        if page.get_by_role("button").count() and not page.url.startswith(url):
            page.get_by_role("button").first.click()
        page.goto(f"{url}/incidents")
        page.wait_for_selector(".cp-strip:has-text('Log in')", timeout=PATIENCE_MS)
    assert [error for error in seen.errors if "Content Security Policy" in error] == []
    assert all(os.path.basename(asked) == "pico.min.css" for asked in seen.outside)
