"""Fan-out to several routes, waits, flapping, storms, steps, reminders and dead letters: whole rounds of delivery over a real state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.deliver import DeliveryResult, Pauses, Result, Retry, Rules, deliver_due, waiting_for
from alerts.message import DeliveryError, Message
from alerts.model import Alert, Severity, Status, resolved
from alerts.pipeline import Route, Timing, match, routes_for
from controlplane.store.state_outbox import copy_id, is_copy
from controlplane.store.state_rows import Commit, IncidentRow, NewMessage

from .conftest import NOW, Killed, Mortal, State, Steps, an_alert

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WAITS = Timing(group_interval=MINUTE)
PAGER = Route("pager", ("pager", "console"), match(severity="critical"), continue_=True)
CHAT = Route("chat", ("chat", "console"), match(incident="yes"))
REST = Route("rest", ("review", "console"), timing=Timing(group_wait=timedelta(seconds=10)))
WRITES = (
    "record_routed",
    "record_sending",
    "record_sent",
    "record_failed",
    "record_suppressed",
    "add_message",
    "record_waiting",
)


@dataclass
class Box:
    """A receiver that keeps what it got; `down` is raised instead, for as long as it is set. It knows what it has by id, as Slack does."""

    name: str
    got: list[Message] = field(default_factory=list)
    down: DeliveryError | None = None
    tries: int = 0

    def send(self, message: Message) -> dict[str, Any]:
        self.tries += 1
        if self.down is not None:
            raise self.down
        if message.in_doubt and any(one.outbox_id == message.outbox_id for one in self.got):
            found = next(one for one in self.got if one.outbox_id == message.outbox_id)
            return {"parent": found.parent is None, "found": True, "told": list(found.told)}
        self.got.append(message)
        return {"parent": message.parent is None}

    def ids(self) -> list[str]:
        return [message.outbox_id for message in self.got]


@dataclass
class Office:
    """Delivery with three routes, as a job keeps it between two rounds."""

    state: State
    routes: tuple[Route, ...] = (PAGER, CHAT, REST)
    timing: Timing = WAITS
    boxes: dict[str, Box] = field(default_factory=lambda: {n: Box(n) for n in ("pager", "chat", "review", "console")})
    pauses: Pauses = field(default_factory=Pauses)
    retry: Retry = field(default_factory=Retry)

    def run(self, seconds: float = 0, writer: Any = None) -> dict[str, DeliveryResult]:
        rules = Rules(self.routes, timing=self.timing, retry=self.retry)
        now = NOW + timedelta(seconds=seconds)
        results = deliver_due(self.state, writer or self.state, self.boxes, now, rules, self.pauses)
        return {result.outbox_id: result for result in results}

    def run_apart(self, seconds: float, writer: Any) -> None:
        """The same round as the courier does it: routed first, then each receiver by itself."""
        rules, now = Rules(self.routes, timing=self.timing, retry=self.retry), NOW + timedelta(seconds=seconds)
        for name in sorted(waiting_for(self.state, writer, now, rules, self.pauses)):
            deliver_due(self.state, writer, self.boxes, now, rules, self.pauses, only=name)

    def __getitem__(self, name: str) -> Box:
        return self.boxes[name]


@pytest.fixture
def office(state: State) -> Office:
    return Office(state)


def error(alert_id: str = "e1", incident: str | None = "inc-1", **more: Any) -> Alert:
    return an_alert(alert_id, incident, severity=Severity.ERROR, **more)


def at(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def test_each_route_has_its_own_copy_attempts_and_receipt(office: Office) -> None:
    office["pager"].down = DeliveryError("pager: no answer")
    office.state.add(an_alert())
    results = office.run(0)
    copy = copy_id("a1", "pager")
    assert (results["a1"].result, results[copy].result) == (Result.SENT, Result.FAILED)
    office["pager"].down = None
    assert office.run(3)[copy].result is Result.SENT
    assert (office["chat"].ids(), office["pager"].ids()) == (["a1"], [copy])
    rows = {item.outbox_id: item for item in office.state.outbox()}
    assert {name: (row.route, row.attempts, row.receiver) for name, row in rows.items()} == {
        "a1": ("chat", 1, "chat"),
        copy: ("pager", 2, "pager"),
    }
    assert [is_copy(row) for row in (rows["a1"], rows[copy])] == [False, True]
    assert office.state.outbox_counts() == {"sent": 2}


def test_a_receiver_is_told_once_however_many_routes_lead_to_it(office: Office) -> None:
    twice = Route("again", ("chat",), continue_=True)
    office.routes = (twice, CHAT, REST)
    office.state.add(an_alert())
    office.run(0)
    assert office["chat"].ids() == ["a1"]
    assert [route.name for route in routes_for(an_alert(), "alert", office.routes)] == ["again"]


def test_who_was_told_that_it_fires_is_told_its_end(office: Office) -> None:
    """The end of an incident is mild by then: its route to the pager does not match any more."""
    office.state.add(an_alert())
    office.run(0)
    over = replace(resolved(an_alert("a2"), at(90)), severity=Severity.INFO)
    office.state.add(over, at=at(90))
    office.run(91)
    assert office["pager"].ids() == [copy_id("a1", "pager"), copy_id("a2", "pager")]
    assert office["pager"].got[-1].event.status is Status.RESOLVED
    assert office["pager"].got[-1].parent is not None


def test_a_route_that_is_gone_loses_nothing(office: Office) -> None:
    for name in ("pager", "chat"):
        office[name].down = DeliveryError(f"{name}: no answer")
    office.state.add(an_alert())
    office.run(0)
    office.routes = (Route("other", ("review", "console")),)
    results = office.run(70)
    assert results["a1"].result is Result.SENT
    assert "'pager' is no route any more" in results[copy_id("a1", "pager")].reason
    assert office["review"].ids() == ["a1"]
    assert office.run(4_000) == {}


def test_killed_between_any_two_steps_every_reader_sees_each_message_once(state: State) -> None:
    """Two receivers, each told by itself, three messages (one a step beside another); a new process carries on wherever the old one died."""
    die_at, died = 0, True
    while died:
        office, steps, died = Office(state, timing=Timing()), Steps(die_at), False
        incident = f"inc-{die_at}"
        for n, step in enumerate(("", "Kim acknowledged", "Kim: looking")):
            alert = replace(an_alert("x", incident), step=step)
            state.add(alert, f"{incident}/{n}", at(n // 2), kind="step" if step else "alert")
            for _ in range(2):
                try:
                    office.run_apart(n, Mortal(state, steps, WRITES))
                except Killed:
                    died, office = True, replace(office, pauses=Pauses())
        for name in ("chat", "pager"):
            got = office[name].got
            assert len(got) == len({m.outbox_id for m in got}), f"died at step {die_at}"
            assert sum(m.parent is None for m in got) == 1, f"died at step {die_at}"
            assert [line for m in got for line in m.steps] == ["Kim acknowledged", "Kim: looking"]
        assert {item.status for item in state.outbox()} <= {"sent", "suppressed"}
        die_at += 1
    assert die_at >= 14


def test_steps_that_come_due_together_are_one_message_with_a_line_each(office: Office) -> None:
    office.state.add(an_alert())
    office.run(0)
    for n, words in enumerate(("Kim acknowledged", "Kim: looking", "Kim: looking")):
        office.state.add(replace(an_alert(), step=words), f"s{n}", at(n + 1), kind="step")
    results = office.run(5)
    assert office["chat"].got[-1].steps == ("Kim acknowledged", "Kim: looking", "Kim: looking")
    assert results["s0"].reason == "notify: told inside another message (s2)"
    office.state.add(replace(an_alert(), step="Kim: looking"), "s9", at(9), kind="step")
    office.run(9)
    assert office["chat"].got[-1].steps == ("Kim: looking",)  # the same words again are news: a person said them again


def test_what_was_told_inside_another_message_stays_told(office: Office) -> None:
    """A hold becomes a rollback: its end is told inside the rollback's message. Later messages know that it is over, and who has it."""
    open_incident(office.state)
    hold = error(labels={"alertname": "hold", "action": "hold"}, standing={"state": "open"})
    office.state.add(hold)
    office.run(0)
    cut = replace(an_alert("cut"), standing={"state": "open"})
    office.state.add(cut, at=at(1))
    office.state.add(replace(resolved(hold, at(1)), alert_id="over"), at=at(1), kind="resolve")
    office.run(1)
    page = an_alert("page", labels={"alertname": "rollback_not_verified"})
    known = {"state": "acknowledged", "owner": "Kim"}
    office.state.add(page, at=at(20))
    office.state.add(replace(cut, step="Kim acknowledged", standing=known, alert_id="ack"), at=at(21), kind="step")
    office.run(22)
    office.state.add(replace(resolved(page, at(90)), alert_id="seen"), at=at(90), kind="resolve")
    office.run(90)
    shown = office["chat"].got[-1]
    assert (shown.view.status, shown.view.standing) == (Status.FIRING, known)
    assert [line.split(" ")[0] for line in shown.also] == ["RESOLVED"] * 2
    office.run(90 + 4 * 3600)
    assert office["chat"].got[-1].steps == ("Still acknowledged after 4 h 1 min, Kim has it",)
    office.state.add(replace(resolved(cut, at(20_000)), alert_id="end"), at=at(20_000), kind="resolve")
    office.run(20_000)
    assert office["chat"].got[-1].view.status is Status.RESOLVED


def test_a_step_waits_for_the_message_before_it_and_is_not_lost_when_that_fails(office: Office) -> None:
    office.state.add(an_alert())
    office.run(0)
    office["chat"].down = DeliveryError("chat: no answer")
    for n, words in enumerate(("acknowledged", "rolled back")):
        office.state.add(replace(an_alert(), step=words), f"s{n}", at(n + 1), kind="step")
    office.run(5)
    office["chat"].down = None
    office.run(9)
    assert [m.steps for m in office["chat"].got] == [(), ("acknowledged", "rolled back")]


def test_a_metric_that_goes_up_and_down_does_not_flap(office: Office) -> None:
    """Five minutes, up and down every five seconds: one parent, and at most one update each group interval."""
    for n in range(60):
        one = error(starts_at=NOW)
        alert = one if n % 2 == 0 else resolved(one, at(5 * n))
        step = "over" if n % 2 else "came back"
        office.state.add(replace(alert, step=step), f"f{n}", at(5 * n))
        office.run(5 * n)
    messages = office["chat"].got
    assert sum(m.parent is None for m in messages) == 1
    assert 2 <= len(messages) <= 6
    office.run(800)
    assert office.state.outbox_counts().keys() == {"sent", "suppressed"}
    assert messages[-1].view.status is Status.RESOLVED
    assert sum(len(m.steps) for m in messages) == 60  # the thread has all of it


def test_what_is_critical_waits_for_nothing_but_not_without_end(office: Office) -> None:
    for n in range(30):
        office.state.add(replace(an_alert(), done=(f"try {n}",)), f"c{n}", at(n))
        office.run(n)
    assert len(office["chat"].got) == 5
    office.run(4 + 61)
    assert [m.event.done for m in office["chat"].got[-1:]] == [("try 29",)]


def test_neither_people_nor_a_busy_incident_delay_another_critical_alert(office: Office) -> None:
    """That a cut is not verified must not wait because many have spoken."""
    for n in range(8):
        office.state.add(replace(an_alert(), step=f"Kim: {n}"), f"s{n}", at(n), kind="step")
        assert office.run(n)[f"s{n}"].result is Result.SENT
    for n in range(5):
        office.state.add(replace(an_alert(), done=(f"try {n}",)), f"c{n}", at(10 + n))
        assert office.run(10 + n)[f"c{n}"].result is Result.SENT
    office.state.add(an_alert("same", done=("try 6",)), at=at(16))
    assert office.run(16)["same"].result is Result.DELAYED
    for n in range(30):
        office.state.add(an_alert(f"page{n}", labels={"alertname": "rollback_not_verified", "n": f"{n}"}), at=at(17))
        told = office.run(17)[f"page{n}"].result
        assert told is (Result.SENT if n < 5 else Result.DELAYED)  # a storm of them is bounded all the same


def test_people_never_wait(office: Office) -> None:
    office.state.add(error())
    office.run(0)
    office.state.add(replace(error(), done=("verified",)), "auto", at(1))
    assert office.run(1)["auto"].result is Result.DELAYED
    office.state.add(replace(error(), step="Kim acknowledged", done=("verified",)), "kim", at(2), kind="step")
    office.state.add(replace(error("mild", "inc-2"), step="nobody acknowledged"), "tier", at(2), kind="tier:second")
    results = office.run(2)
    assert (results["kim"].result, results["tier"].result) == (Result.SENT, Result.SENT)
    assert results["auto"].reason.startswith("notify: told inside another message")


@pytest.mark.parametrize("incident", ["inc-1", None])
def test_a_storm_is_one_message(office: Office, incident: str | None) -> None:
    """20 triggers x 30 segments at once, of one incident or pages of their own."""
    alerts = []
    for trigger in range(20):
        for segment in range(30):
            labels = {"alertname": "trigger", "release": "r2", "trigger": f"t{trigger}", "segment": f"s{segment}"}
            alerts.append(error(f"p{trigger}.{segment}", incident, labels=labels, annotations={"title": f"{trigger}"}))
    messages = [NewMessage(a.alert_id, "alert", a.to_dict(), a.incident_id) for a in alerts]
    office.state.commit(Commit(messages=messages), NOW)
    office.run(0)
    results = office.run(11)
    (told,) = [*office["chat"].got, *office["review"].got]
    assert len(told.alerts) == 600
    assert office.state.outbox_counts() == {"sent": 1, "suppressed": 599}
    assert all(r.result in (Result.SENT, Result.SUPPRESSED) for r in results.values())
    assert office.run(12) == {}


def test_pages_of_a_group_go_beneath_the_first_for_the_repeat_interval(office: Office) -> None:
    labels = {"alertname": "trigger", "release": "r2"}
    for n, seconds in enumerate((0, 20, 90, 5 * 3600)):
        office.state.add(error(f"p{n}", None, labels=labels | {"segment": f"s{n}"}), at=at(seconds))
        office.run(seconds + 11)
        office.run(seconds + 75)
    parents = [message.parent is None for message in office["review"].got]
    assert parents == [True, False, False, True]
    office.state.add(an_alert("r1", None, labels={"alertname": "review"}), kind="review", at=at(5 * 3600))
    office.state.add(an_alert("r2", None, labels={"alertname": "review"}), kind="review", at=at(5 * 3600))
    office.run(5 * 3600 + 11)
    assert [message.parent for message in office["review"].got[-2:]] == [None, None]


def open_incident(state: State, incident: str = "inc-1", standing: str = "open") -> None:
    row = IncidentRow(incident, "r1", "2026.2", standing, "critical", "Escalations rose", "escalation", NOW)
    state.commit(Commit(incident=row), NOW)


def test_an_incident_that_still_fires_is_told_again_after_the_repeat_interval(office: Office) -> None:
    open_incident(office.state)
    office.state.add(replace(an_alert(), standing={"state": "acknowledged", "owner": "Kim"}))
    office.run(0)
    for minute in range(1, 9 * 60, 7):
        office.run(60 * minute)
    assert [m.steps[0].partition(",")[2] for m in office["chat"].got[1:]] == [" Kim has it"] * 2
    assert office["chat"].got[1].steps[0].startswith("Still acknowledged after 4 h")
    assert len(office["pager"].got) == 3
    assert all(m.parent is not None for m in office["chat"].got[1:])
    office.state.add(resolved(an_alert(), at(9 * 3600)), "end", at(9 * 3600))
    office.run(9 * 3600)
    office.run(9 * 3600 + 70)
    told = len(office["chat"].got)
    for hour in range(10, 40):
        office.run(3600 * hour)
    assert len(office["chat"].got) == told


def test_a_dead_letter_alerts_by_another_receiver_and_ends_when_it_takes_messages_again(office: Office) -> None:
    office["chat"].down = DeliveryError("chat: token revoked", permanent=True)
    office["review"].down = DeliveryError("review: token revoked", permanent=True)
    for n in range(3):
        office.state.add(error(f"e{n}", f"inc-{n}"))
    results = office.run(0)
    assert [results[f"e{n}"].result for n in range(3)] == [Result.DEAD] * 3
    office.run(11)
    told = [m for m in office["console"].got if m.event.labels["alertname"] == "delivery_failed"]
    assert {m.event.labels["receiver"] for m in told} == {"chat"}
    assert len(told) == 1  # one alert for the three, by the route's stand-in: the first of it is down too
    assert "token revoked" in told[0].event.annotations["summary"]
    office["chat"].down = office["review"].down = None
    office.state.add(error("later", "inc-9"), at=at(200))
    office.run(200)
    office.run(280)
    (over,) = [m for m in office["review"].got if m.event.labels["alertname"] == "delivery_failed"]
    assert over.event.status is Status.RESOLVED
    assert "chat takes messages again" in over.event.done
    assert (
        set(office.state.outbox_counts()) == {"sent", "dead", "suppressed"} or office.state.outbox_counts()["dead"] >= 3
    )


def test_a_pager_without_a_stand_in_that_is_broken_is_told_too(office: Office) -> None:
    """Its messages went by the next route; that it takes none must be known."""
    office.routes = (replace(PAGER, receivers=("pager",)), CHAT, REST)
    office["pager"].down = DeliveryError("pager: the other side answered 404", permanent=True)
    office.state.add(an_alert())
    office.run(0)
    assert office["chat"].ids() == ["a1"]
    assert office.run(10)["dead:pager:a1@pager"].result is Result.SENT
    assert office.state.statuses()["a1@pager"] == "dead"
    assert [m.event.title for m in office["review"].got] == ["Messages do not arrive: pager"]
    assert office.run(100) == {}


def test_a_dead_letter_never_goes_by_the_receiver_that_is_dead(office: Office) -> None:
    office.routes = (Route("all", ("chat", "console")),)
    office["chat"].down = DeliveryError("chat: token revoked", permanent=True)
    office.state.add(an_alert())
    office.run(0)
    assert office["chat"].tries == 1
    assert [m.event.labels["alertname"] for m in office["console"].got] == ["rollback", "delivery_failed"]


def test_while_a_receiver_is_known_to_be_down_the_stand_in_is_told_of_what_is_grave_at_once(office: Office) -> None:
    office["chat"].down = DeliveryError("chat: no answer")
    office.state.add(error())
    for second in (0, 3, 8, 17):
        office.run(second)
    assert office["console"].ids() == ["e1"]
    office.state.add(error("e2", "inc-2"), at=at(18))
    office.run(18)
    assert office["console"].ids() == ["e1", "e2"]  # paused for 16 s: it is not asked, and its stand-in is
    assert "asked for a pause" in office["console"].got[-1].note
    for second in range(20, 200, 5):
        office.run(second)
    assert office["console"].ids() == ["e1", "e2"]
    office["chat"].down = None
    office.run(300)
    assert sorted(office["chat"].ids()) == ["e1", "e2"]


def test_an_outage_of_an_hour_loses_nothing_and_reads_only_what_is_open(office: Office) -> None:
    office["chat"].down = DeliveryError("chat: no answer")
    for minute in range(60):
        office.state.add(
            error(f"e{minute}", f"inc-{minute % 6}", labels={"alertname": f"n{minute}"}), at=at(60 * minute)
        )
        office.run(60 * minute)
    assert office["chat"].tries <= 70
    office["chat"].down = None
    office.run(3_700)
    office.run(3_770)
    assert set(office.state.outbox_counts()) == {"sent", "suppressed"}
    assert sum(m.parent is None for m in office["chat"].got) == 6
    assert {alert.labels["alertname"] for m in office["chat"].got for alert in m.alerts} == {f"n{n}" for n in range(60)}


class Counting:
    """Counts the rows that are read from the outbox."""

    def __init__(self, state: State) -> None:
        self._state, self.rows = state, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._state, name)
        if name not in ("outbox_due", "outbox_of", "outbox", "newest_message"):
            return found

        def read(*args: Any, **kwargs: Any) -> Any:
            answer = found(*args, **kwargs)
            self.rows += len(answer) if isinstance(answer, list) else answer is not None
            return answer

        return read


def test_the_work_of_a_round_follows_what_is_open_not_the_history(state: State) -> None:
    office = Office(state)
    read = []
    for n in range(40):
        state.add(error(f"e{n}", f"inc-{n}"), at=at(n))
        counting = Counting(state)
        office.state = counting  # type: ignore[assignment]
        office.run(n, state)
        office.state = state
        read.append(counting.rows)
    assert read[1:] == [read[1]] * 39  # the fortieth round reads what the second one did
    counting = Counting(state)
    office.state = counting  # type: ignore[assignment]
    office.run(50, state)
    assert counting.rows == 0


LABELS = st.sampled_from(["trigger", "rollback"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["pager", "chat", "review"]), st.booleans(), st.sampled_from(["critical", "error"])),
        max_size=6,
    ),
    st.sampled_from([Severity.CRITICAL, Severity.ERROR, Severity.INFO]),
)
def test_every_alert_has_a_route_and_no_receiver_has_two(rows: list[tuple[str, bool, str]], severity: Severity) -> None:
    routes = [
        Route(f"r{n}", (name,), match(severity=wanted), continue_=more) for n, (name, more, wanted) in enumerate(rows)
    ]
    found = routes_for(an_alert(severity=severity), "alert", (*routes, Route("rest", ("console",))))
    primaries = [route.receivers[0] for route in found]
    assert found
    assert len(primaries) == len(set(primaries))
    assert all(route.matcher.matches(an_alert(severity=severity)) for route in found)
    assert all(route.continue_ for route in found[:-1])


def test_two_routes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two routes are called 'all'"):
        Rules((Route("all", ("chat",), match(severity="info")), Route("all", ("chat",))))
