"""The Live page as a person finds it, through Streamlit's own harness: the answer, the acts by role, what is in force, and every act to its end."""

from __future__ import annotations

import os
import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from controlplane.core.overrides import Override
from controlplane.core.rollout import Event
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.state_incidents import SilenceRow
from dashboards import acting, ui
from jobs import publish
from jobs.control import Control
from tests.dashboards.conftest import TOKEN
from tests.dashboards.pages import charts, open_page, text


@pytest.fixture(autouse=True)
def _fresh_and_checked(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The publisher was there just now, and every chart is held against the schema of Vega-Lite."""
    monkeypatch.setattr(ui.Drawn, "CHECKED", True)
    for name in ("healthy_home", "incident_home", "full_home"):
        if name in request.fixturenames:
            os.utime(request.getfixturevalue(name) / "snapshots" / "CURRENT")


def buttons(app: AppTest) -> dict[str, bool]:
    """Label of every act -> whether it can be pressed."""
    return {button.label: not button.disabled for button in app.button if button.key.startswith("ask_")}


def test_a_healthy_ramp_is_understood_at_a_glance(monkeypatch: pytest.MonkeyPatch, healthy_home: Path) -> None:
    app = open_page(monkeypatch, healthy_home, "live", window="24 h")
    shown = text(app)
    assert "Serving 20 % on v1.4.0; nothing is firing; data is 7 s old." in shown
    for title in (
        "Latency p50",
        "Latency p95",
        "Mean latency",
        "Slow share",
        "Request error rate",
        "Time-out frequency",
        "API error rate",
        "Dependency failure rate",
        "Safety incidents",
        "Traffic volume",
        "Request volume",
    ):
        assert f'<span class="cp-title">{title}' in shown, title
    assert "Slow share (slower than 4,000 ms) over 5.0 % holds the ramp" in shown
    assert "over 4,000 ms; menu 0.0 %, limit 5.0 %" in shown
    assert re.search(r"\d+\.\d % to \d+\.\d %, [\d,.k]+ requests", shown)
    assert "knowledge" in shown
    assert "bank" in shown
    assert "every message got through" in shown
    assert "Read 182,340 = stored 182,011 + duplicates 214 + refused 115." in shown
    assert charts(app) == 2  # latency and volume; the triggers are small pictures while nothing is urgent
    assert shown.count('class="cp-spark"') >= 5 + 11 + 2
    assert all('alt="' in part.split(">")[0] for part in shown.split('<img class="cp-spark"')[1:])
    assert buttons(app) == {"Roll back now": False, "Hold the ramp": False, "Switch workflows off": False}
    assert "Read-only" in shown
    assert app.query_params["window"] in ("24 h", ["24 h"])


def test_after_a_rollback_it_says_that_customers_are_safe(monkeypatch: pytest.MonkeyPatch, incident_home: Path) -> None:
    app = open_page(monkeypatch, incident_home, "live")
    shown = text(app)
    assert "Rolled back: everyone is on the baseline, cut verified after 9 s." in shown
    for words in ("Likely onset", "9 s after the cut", "214 customers served between onset and cut", "messages sent 1"):
        assert words in shown
    assert "**nobody has taken it yet**" in shown
    assert "incidents?incident=r1-v5" in shown
    assert ">Fired<" in shown
    assert "Hallucination frequency over 5.0 % rolls back" in shown
    assert "menu; nothing of the assistant" in shown
    assert "Figures are of the last stage served" in shown
    assert "trigger Hallucination breach: " in shown
    assert "hallucination_breach" not in shown
    assert charts(app) == 3
    assert buttons(app) == {"Acknowledge": False}


def test_a_silent_control_process_is_the_first_thing_said(monkeypatch: pytest.MonkeyPatch, healthy_home: Path) -> None:
    pointer = SnapshotReader(healthy_home / "snapshots").folder / "CURRENT"
    now = pointer.stat().st_mtime
    os.utime(pointer, (now, now - 600))
    shown = text(open_page(monkeypatch, healthy_home, "live"))
    os.utime(pointer, (now, now))
    assert "Nobody is watching: the control process has been silent for 10 min" in shown


def test_an_empty_workspace_says_what_to_do(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> None:
    os.utime(empty_home / "snapshots" / "CURRENT")
    app = open_page(monkeypatch, empty_home, "live", window="<script>")
    shown = text(app)
    assert "No release is being rolled out; everyone is served by the baseline." in shown
    assert "No traffic yet." in shown
    assert "controlplane ingest FILE" in shown
    assert charts(app) == 0
    assert buttons(app) == {}


def test_the_demo_run_is_shown_in_full(monkeypatch: pytest.MonkeyPatch, full_home: Path) -> None:
    shown = text(open_page(monkeypatch, full_home, "live", window="48 h"))
    assert "Serving 5 % on v1.1; nothing is firing" in shown
    assert "Reviewed: v1.0 rolled back" in "\n".join([shown, *_expanders(monkeypatch, full_home)])
    assert "Slow share" in shown
    assert re.search(r"knowledge.*?\d,\d{3}", shown, re.DOTALL)
    assert "undeliverable" in shown.lower()
    assert "output reviewed" not in shown


def _expanders(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[str]:
    return [expander.label for expander in open_page(monkeypatch, home, "live").expander]


def test_silences_and_overrides_in_force_are_shown_and_nothing_that_has_ended(
    tiny_world, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = tiny_world
    world.state.register_policy(world.policy.hash, "p", world.policy.text, world.now)
    world.person(Event.START, "go")
    world.run(world.now + timedelta(hours=1))
    hours = timedelta(hours=1)
    for name, start, end in (("s-now", 0, 2), ("s-over", -3, -1), ("s-ended", 0, 2)):
        row = SilenceRow(
            name, {"metric": (name,)}, "ana", f"why {name} <b>", world.now + start * hours, world.now + end * hours
        )
        world.state.add_silence(row, world.now)
        if name == "s-ended":
            world.state.end_silence(row, "ben", "enough", world.now)
    world.state.add_override(
        Override("o-1", "r1", "csat_drop", "ana", "a survey was wrong", world.now, world.now + hours),
        world.policy.hash,
    )
    world.save()
    shown = text(open_page(monkeypatch, world.home, "live"))
    assert "alerts with metric s-now" in shown
    assert "ana: why s-now &lt;b&gt;" in shown
    assert "CSAT drop pages a person instead of acting" in shown
    assert "alerts with metric s-over" not in shown
    assert "alerts with metric s-ended" not in shown


def press(app: AppTest, label: str) -> AppTest:
    """The button; what the dialog would ask for is known."""
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def at_once(now: object, key: str, label: str, consequence: str, send: acting.Send) -> None:
    """Stands for the dialog, which the harness cannot keep open: one sentence of consequence, then who and why."""
    assert consequence.endswith(".")
    st.session_state["outcome"] = send("ana.lopez", "drill")
    st.rerun()


def test_every_act_is_carried_out_in_the_persons_name(full_control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "confirm", at_once)
    deps, home = full_control.deps, full_control.deps.settings.workspace.home
    begun = deps.state.rollout().updated_at
    moment = begun + timedelta(minutes=6)  # the clock of the control process stands there

    def shown() -> AppTest:
        nonlocal moment
        moment += timedelta(seconds=1)
        publish.run(deps, moment)
        return open_page(monkeypatch, home, "live", control=(full_control.server.url, TOKEN))

    silence = SilenceRow("s-1", {"metric": ("csat",)}, "kim", "a survey", begun, begun + timedelta(hours=3))
    deps.state.add_silence(silence, moment)
    app = shown()
    assert buttons(app)["Roll back now"]
    assert "Switched off" not in text(app)
    assert "Workflows are switched off" in text(press(app, "Switch workflows off"))
    assert deps.state.rollout().execution_enabled is False
    assert "The silence is ended." in text(press(shown(), "End silence"))
    assert deps.state.silences()[0].ended_by == "ana.lopez"
    assert "The ramp is held" in text(press(shown(), "Hold the ramp"))
    app = shown()
    assert "Held: serving 5 % on v1.1." in text(app)
    assert buttons(app) == {"Roll back now": True, "Go on": True, "Switch workflows on": True}
    assert "The ramp goes on" in text(press(app, "Go on"))
    assert "The traffic is cut" in text(press(shown(), "Roll back now"))
    app = shown()
    assert "the cut is NOT verified yet" in text(app)
    assert "The incident is acknowledged." in text(press(app, "Acknowledge"))
    newest = deps.state.open_incidents()[-1]
    assert newest.owner == "ana.lopez"
    assert [row["reason"] for row in deps.state.audit_rows()[-5:]] == ["drill"] * 5


def test_who_may_what_is_what_the_table_of_roles_says(full_control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    home = full_control.deps.settings.workspace.home
    found = {
        role: buttons(open_page(monkeypatch, home, "live", control=(full_control.server.url, TOKEN), role=role))
        for role in ("viewer", "operator")
    }
    assert not any(found["viewer"].values())
    assert found["operator"]["Roll back now"]
    assert found["operator"]["Hold the ramp"]
    assert found["operator"]["Switch workflows off"]


def test_a_snapshot_that_goes_away_is_an_empty_state(
    healthy_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(healthy_home, home)
    (home / "snapshots" / "CURRENT").unlink()
    assert "Nothing has been published yet." in text(open_page(monkeypatch, home, "live"))
