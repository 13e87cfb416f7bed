"""The picture of an incident is drawn from the ledger: the numbers that were decided upon, up to the decision."""

from __future__ import annotations

import json
from datetime import timedelta

from alerts.model import Alert
from alerts.receivers.slack import SlackReceiver
from controlplane.settings import SlackIn, load
from jobs import actions, alert_charts, evaluate
from jobs.deps import Deps
from tests.jobs.conftest import START, FactsByHand


def harm(deps: Deps, facts: FactsByHand, rollout_id: str) -> int:
    """Eight good minutes, then escalations rise until the machine cuts; the minute of the cut."""
    for minute in range(40):
        rollout = deps.state.rollout()
        assert rollout is not None
        treated = 0.1 if minute < 8 else 0.6
        facts.minute(START + timedelta(minutes=minute), 400, rollout.share, treated, 0.1, rollout_id)
        facts.heard(START + timedelta(minutes=minute + 1))
        if evaluate.run(deps, START + timedelta(minutes=minute + 1)).decision is not None:
            return minute
    raise AssertionError("the harm was never found")


def test_the_evidence_of_an_incident_is_drawn_from_the_ledger(deps: Deps, facts: FactsByHand, started: str) -> None:
    harm(deps, facts, started)
    (row,) = deps.state.incidents()
    view = Alert.from_dict(deps.state.outbox()[0].payload)
    frame = alert_charts.frame(deps.state, row, view)
    assert frame is not None
    (stream, *_) = frame.streams
    assert stream.name == "escalation increase, all traffic"
    stored = {
        (reading["log_e"], reading["log_threshold"])
        for entry in deps.state.ledger_rows(started)
        for reading in json.loads(entry["readings"])
        if (reading["trigger"], reading["segment"]) == ("escalation_increase", "all")
    }
    assert {(value, stream.log_threshold) for _, value in stream.points} <= stored
    assert len(stream.points) > 5
    last_moment, last = stream.points[-1]
    assert last is not None
    assert last >= stream.log_threshold > stream.points[0][1]
    assert last_moment <= row.detected_at
    assert [word for word, _ in frame.marks] == ["likely onset", "detected", "cut"]
    picture = alert_charts.picture(deps.state, row.incident_id, view)
    assert picture is not None
    assert picture.png.startswith(b"\x89PNG")
    assert "escalation increase" in picture.title


def test_what_has_no_course_has_no_picture(deps: Deps, started: str) -> None:
    actions.act(deps.state, deps.policy, actions.Event.ROLLBACK, "ana", "by hand", START)
    (row,) = deps.state.incidents()
    view = Alert.from_dict(deps.state.outbox()[0].payload)
    assert alert_charts.picture(deps.state, row.incident_id, view) is None
    assert alert_charts.picture(deps.state, "unknown", view) is None


def test_buttons_are_drawn_only_where_a_press_is_heard(deps: Deps) -> None:
    receiver = SlackReceiver.connect("xoxb-t", "C1", "http://127.0.0.1:1/")
    deps.receivers = {**deps.receivers, "slack": receiver}
    alert_charts.attach(deps)
    assert not receiver.listens
    for given in ({"SLACK_APP_TOKEN": "xapp-1"}, {"SLACK_SIGNING_SECRET": "s"}):
        deps.settings = load(deps.home, env=given)
        assert deps.settings.slack_in != SlackIn()
        alert_charts.attach(deps)
        assert receiver.listens
