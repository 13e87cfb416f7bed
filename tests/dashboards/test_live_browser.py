"""The Live page in a real browser: it follows new data and a changed state by itself, without a jump or a flicker."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.core.policy import parse
from controlplane.core.rollout import Event
from controlplane.settings import load
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.state import StateReader
from dashboards import data
from jobs import actions, publish
from jobs.control import control_process
from tests.dashboards.browser import PATIENCE_MS, PHONE, TOKEN, Watched, chromium, needs_chromium, served

pytestmark = needs_chromium
# How far the page is scrolled, how high it is, and whether anything was ever drawn faded, watched on every frame.
WATCH = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  window.seen = {tops: new Set(), faded: 0};
  const look = () => {
    window.seen.tops.add(Math.round(main.scrollTop));
    for (const box of document.querySelectorAll('.st-key-cp_live_rest [data-stale], .st-key-cp_live_top [data-stale]'))
      if (getComputedStyle(box).opacity !== '1') window.seen.faded += 1;
    requestAnimationFrame(look);
  };
  look();
}"""


def test_new_data_and_a_hold_show_by_themselves(
    healthy_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(healthy_home, home)
    for name in ("landing", "models"):
        (home / name).mkdir(exist_ok=True)
    monkeypatch.setenv("CONTROLPLANE_TOKEN", TOKEN)
    settings = load(home)
    ref = SnapshotReader(home / "snapshots").current()
    moment = data.state(str(ref.path), ref.key).meta.now
    reader = StateReader(settings.state_url)
    policy = parse(str(reader.policy_text(reader.rollout().policy_hash)))
    reader.close()
    with (
        control_process(settings, policy, lambda: moment, 0) as control,
        served(home, control.server.url, TOKEN) as url,
        chromium() as browser,
    ):
        publish.run(control.deps, moment)
        (home / "snapshots" / "CURRENT").touch()
        seen = Watched(browser, url, PHONE)
        page = seen.open("live?window=24+h")
        assert "data is 7 s old" in page.inner_text(".cp-headline")
        page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollTo(0, 1200)")
        page.wait_for_timeout(300)
        page.evaluate(WATCH)
        newest = (moment + timedelta(seconds=3)).replace(tzinfo=None)
        with control.deps.warehouse.transaction() as cursor:
            cursor.execute("UPDATE sources SET last_ts = $newest, last_seen = $newest", {"newest": newest})
        publish.run(control.deps, moment + timedelta(seconds=5))
        page.wait_for_selector(".cp-headline:has-text('data is 2 s old')", timeout=PATIENCE_MS)
        assert page.evaluate("() => [...window.seen.tops]") == [1200]
        assert page.evaluate("() => window.seen.faded") == 0
        actions.act(control.deps.state, policy, Event.HOLD, "ben", "a check", moment)
        publish.run(control.deps, moment + timedelta(seconds=10))
        page.wait_for_selector(".cp-headline:has-text('Held: serving 20 %')", timeout=PATIENCE_MS)
        page.get_by_role("button", name="Go on").wait_for(timeout=PATIENCE_MS)
        wide = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= PHONE["width"]
        seen.picture("live-held-phone")
        seen.clean()
