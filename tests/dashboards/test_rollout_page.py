"""The Rollout page on every kind of workspace: what it says, what may be done from it, and that its numbers are those of the engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from controlplane.core.forecast_smallest import all_smallest
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.state_rows import StageRow
from dashboards import acting, answers, control, data, ui
from dashboards.control import Outcome
from dashboards.rollout import blind as rollout_blind
from dashboards.rollout import data as data_rollout
from dashboards.rollout import ladder as rollout_ladder
from dashboards.rollout import show_blind as rollout_show_blind
from dashboards.values import State
from jobs import publish
from jobs.ask_rollout import run_backtest
from jobs.control import Control
from tests.dashboards.conftest import TOKEN, World
from tests.dashboards.pages import charts, open_page, text

OPEN = answers.Answer(
    "May it grow?",
    "",
    answers.WAIT,
    (
        answers.Line("Fresh data", answers.GOOD, "fresh", "fresh", ""),
        answers.Line("Approved by a person", answers.WAIT, "none", "1", "x"),
    ),
)


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every chart against the schema of Vega-Lite."""
    monkeypatch.setattr(ui.Drawn, "CHECKED", True)
    return iter(())


def state_of(home: Path) -> tuple[tuple[str, str], State]:
    ref = SnapshotReader(home / "snapshots").current()
    return (str(ref.path), ref.key), data.state(str(ref.path), ref.key)


def alts(app: AppTest) -> list[str]:
    return [element.proto.alt for element in app.get("vega_lite_chart")]


def buttons(app: AppTest) -> dict[str, bool]:
    """Label -> whether it can be pressed."""
    return {button.label: not button.disabled for button in app.button}


def test_an_empty_workspace_says_what_to_do_next(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = text(open_page(monkeypatch, empty_home, "rollout"))
    for words in (
        "Nobody is on the ladder yet.",
        "No policy has been registered yet.",
        "<code>controlplane policy plan FILE</code>",
    ):
        assert words in shown


def test_the_gate_of_a_healthy_ramp(healthy_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, healthy_home, "rollout")
    shown = text(app)
    _, state = state_of(healthy_home)
    assert "Step 2 of 4: 20 % of eligible customers are on v1.4.0." in shown
    assert re.findall(r'class="cp-rung cp-rung-(\w+)"', shown) == ["done", "now", "ahead", "ahead"]
    assert "23 h, approved by ana.lopez" in shown
    for line in answers.answer(state).lines:
        assert line.name in shown
    assert shown.index("CSAT certified not worse") < shown.index("Rollout is running"), "what is missing comes first"
    assert charts(app) == 2
    escalation, csat = alts(app)
    assert re.match(
        r"Escalation rate, assistant minus menu: .6\.\d pp \[.*\], n 4,512 vs 17\.7k; margin 3 points", escalation
    )
    assert "margin 0.05 points" in csat
    standing = answers.standings(state, answers.stage_version(state))["csat"]
    assert standing.log_e < standing.log_threshold
    assert "Evidence over 10,000 of 20" in shown
    assert "Certified" in shown
    assert "Not yet" in shown
    assert not buttons(app)["Approve and go to 50 %"]
    assert "3 % stay on the menu as the comparison" in shown
    assert "eligible conversations a minute" in shown


def test_blind_spots_are_the_forecast_at_the_measured_or_the_typed_traffic(
    healthy_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, state = state_of(healthy_home)
    assert state.policy is not None
    known = data_rollout.measured(*at, state.policy.hash, state.policy, state.meta.now)
    assert known is not None
    app = open_page(monkeypatch, healthy_home, "rollout", view="blind-spots", trigger="timeouts")
    shown = text(app)
    assert rollout_blind.matrix(state.policy, all_smallest(state.policy, known)) in shown
    assert f"{known.per_minute:,.0f} a minute" in shown
    assert "Covered" in shown
    assert alts(app) == ["Time to detect Timeouts by size of harm and stage"], "the address chose the trigger"
    assert any("Harm that begins at any time" in line.value for line in app.markdown), "what is assumed"
    app = open_page(monkeypatch, healthy_home, "rollout", view="blind-spots", traffic="2")
    typed = replace(known, per_minute=2, source="the typed traffic")
    shown = text(app)
    assert rollout_blind.matrix(state.policy, all_smallest(state.policy, typed)) in shown
    assert ">blind<" in shown
    assert [rollout_show_blind._number(said) for said in ("1,200", "many", "-3", "")] == [1200, None, None, None]


def test_the_policy_in_words_and_against_another(healthy_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, healthy_home, "rollout", view="policy")
    shown = text(app)
    assert (
        "<b>Escalation increase</b>: when the escalation rate of treated customers is more than 4 points above" in shown
    )
    assert "Only one policy was registered here" in shown
    assert "Phase ramp: least time" in shown
    assert 'name = "bank-support"' in app.code[0].value
    shown = text(open_page(monkeypatch, healthy_home, "rollout", view="policy", old="shipped", new="shipped"))
    assert "Both say the same" in shown


def test_without_a_control_process_the_rest_is_still_told(healthy_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = text(
        open_page(monkeypatch, healthy_home, "rollout", view="what-if", trigger="csat_drop", limit="0.1", weight="40")
    )
    assert "The recorded evidence is asked of the control process." in shown
    assert "\u22120.2 points \u2192 \u22120.1 points" in shown
    assert "0.100% \u2192 0.200%" in shown
    app = open_page(monkeypatch, healthy_home, "rollout", view="backtest", role="viewer")
    assert "Not backtested yet." in text(app)
    assert not buttons(app)["Run the backtest"]


def test_after_a_rollback_it_says_what_stopped_it_and_what_comes_next(
    incident_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = text(open_page(monkeypatch, incident_home, "rollout"))
    assert "Off the ladder: v1.4.0 was rolled back from step 2 of 4." in shown
    assert re.findall(r'class="cp-rung cp-rung-(\w+)"', shown) == ["done", "cut", "ahead", "ahead"]
    for words in (
        "What stopped it",
        "Likely onset",
        "Cut verified",
        "214 customers served",
        "Before the next release starts",
    ):
        assert words in shown
    assert "Approve and go" not in shown


def test_a_what_if_on_the_recorded_ledger(full_control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    deps, home = full_control.deps, full_control.deps.home
    before = deps.state.version()
    where = (full_control.server.url, TOKEN)
    app = open_page(
        monkeypatch, home, "rollout", control=where, view="what-if", trigger="hallucination_breach", limit="60"
    )
    shown = text(app)
    (incident,) = deps.state.incidents()
    fired = f"{incident.detected_at:%H:%M} UTC"
    assert "it would have stayed silent" in shown
    assert fired in shown, "as it is, the alarm came when the incident was detected"
    blocks = list(deps.state.ledger_of_lane("60s+120s", 10_000))
    assert f"all {len(blocks)} blocks again" in shown, "the replay as it is gives what is recorded"
    assert alts(app)[0].startswith("Evidence of Hallucination breach on v1.0")
    assert "10 % \u2192 60 %" in shown
    assert "changes nothing" in shown
    shown = text(
        open_page(
            monkeypatch, home, "rollout", control=where, view="what-if", trigger="hallucination_breach", limit="95"
        )
    )
    assert "must be below 0.8" in shown, "what cannot be is said in words"
    assert deps.state.version() == before


def test_a_recorded_backtest_is_shown_with_its_report(full_control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    deps, home = full_control.deps, full_control.deps.home
    moment = deps.state.rollout().updated_at + timedelta(hours=1)
    found = run_backtest(deps, moment, "ana.lopez", replays=100)
    publish.run(deps, moment)
    app = open_page(monkeypatch, home, "rollout", view="backtest", control=(full_control.server.url, TOKEN))
    shown = text(app)
    rollbacks = deps.state.artefacts("backtest")[-1].summary["false_rollback"]
    assert f"{rollbacks['count']} of 100 harmless replays were rolled back" in shown
    assert f"{rollbacks['upper95']:.2%}" in shown
    assert found["verdict"] == "not shown"
    assert "too few replays to show it" in shown
    assert buttons(app)["Run the backtest"]
    assert len(app.get("iframe")) == 1
    (home / "reports" / "backtest" / f"{found['artefact']}.html").unlink()
    shown = text(open_page(monkeypatch, home, "rollout", view="backtest"))
    assert "The report's file is gone" in shown


def at_once(_now: object, _key: str, _label: str, consequence: str, send: acting.Send) -> None:
    """Stands for the dialog, which the harness cannot keep open."""
    assert "refuses if anything has changed" in consequence
    st.session_state["outcome"] = send("ana.lopez", "evidence read")
    st.rerun()


def test_who_approves_is_recorded_and_the_control_process_judges_once_more(
    full_control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "answer", lambda _state: OPEN)
    monkeypatch.setattr(acting, "confirm", at_once)
    where, home = (full_control.server.url, TOKEN), full_control.deps.home
    app = open_page(monkeypatch, home, "rollout", control=where, role="operator")
    assert "approval is missing for the step to 20 %" in text(app)
    assert not buttons(app)["Approve and go to 20 %"], "an operator may not let it grow"
    app = open_page(monkeypatch, home, "rollout", control=where, role="approver")
    next(button for button in app.button if button.label == "Approve and go to 20 %").click().run()
    assert "may not leave stage canary" in text(app), "the page was wrong; the gate was asked again and stayed shut"
    assert full_control.deps.state.rollout().stage == 1
    sent: list[Any] = []

    def act(_config: object, *wish: Any) -> Outcome:
        sent.append(wish)
        return Outcome(True, "It grows.")

    monkeypatch.setattr(control, "act", act)
    app = open_page(monkeypatch, home, "rollout", control=where)
    next(button for button in app.button if button.label == "Approve and go to 20 %").click().run()
    assert "It grows." in text(app)
    ((action, actor, reason, version, _role),) = sent
    assert (action, actor, reason, version) == (
        "promote",
        "ana.lopez",
        "evidence read",
        full_control.deps.state.rollout().version,
    )


def test_where_it_stands_in_every_state(healthy_home: Path) -> None:
    _, state = state_of(healthy_home)
    assert state.rollout is not None
    rollout = state.rollout
    held = replace(state, rollout=replace(rollout, state=type(rollout.state).HELD, reason="a doubt"))
    assert "held: a doubt" in rollout_ladder.headline(held).sentence
    last = replace(state, rollout=replace(rollout, stage=3, share=0.97, phase="full"))
    assert "This is the last step." in rollout_ladder.headline(last).sentence
    assert rollout_ladder.headline(replace(state, policy=None, policy_error="torn")).tone == "bad"
    assert (
        rollout_ladder.headline(replace(state, rollout=replace(rollout, stage=9))).headline == "Where are we? Unknown."
    )


def test_a_stage_that_was_begun_anew_counts_from_its_last_start(tiny_world: World) -> None:
    begun = tiny_world.now
    rows = [
        StageRow("r", v, "v1", "x", "canary", s, 0.05, begun + timedelta(hours=v), e)  # type: ignore[arg-type]
        for v, (s, e) in enumerate([(0, "start"), (1, "promote"), (0, "rollback"), (0, "restart"), (1, "promote")])
    ]
    assert rollout_ladder._times(rows, 0) == (begun + timedelta(hours=3), begun + timedelta(hours=4))
    assert rollout_ladder._times(rows, 1) == (begun + timedelta(hours=4), None)
    assert rollout_ladder._times(rows, 2) == (None, None)
