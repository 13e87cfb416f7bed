"""The alerting file: what ships, every error with its line, waits and names, quiet hours and rotas, and what is configured here."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from hypothesis import given
from hypothesis import strategies as st

from alerts.config import load, shipped, shipped_text
from alerts.config_read import check
from alerts.config_values import AlertingError, duration, said
from alerts.config_words import alert_of_labels, verdict
from alerts.model import Alert, Severity
from alerts.pipeline import Matcher, Silence, match, routes_for
from alerts.schedule import WEEKDAYS, QuietHours, Rota
from alerts.wiring import ReceiverError, wire
from controlplane.core.metrics import METRICS

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday
LEAST = """schema = 1
[[routes]]
name = "all"
receivers = ["console"]
"""
PEOPLE = """
[[people]]
name = "kim"
role = "operator"
slack = "U0KIM"
[[people]]
name = "lee"
role = "approver"
[[rotas]]
name = "ml"
people = ["kim", "lee"]
first_day = 2026-01-05
[[ladder]]
name = "first line"
people = ["ml", "kim"]
"""
QUIET = """
[quiet_hours]
from = "22:00"
until = "07:00"
zone = "Europe/Berlin"
"""


def errors(text: str) -> list[str]:
    with pytest.raises(AlertingError) as caught:
        load(text, "a.toml")
    return str(caught.value).split("\n")


def problems(text: str) -> list[str]:
    return [problem.text("a.toml") for problem in check(text, "a.toml")[1]]


def alert(severity: Severity = Severity.WARNING, incident: str | None = None, **labels: str) -> Alert:
    return Alert(alert_id="a", labels=labels, annotations={}, severity=severity, starts_at=NOW, incident_id=incident)


# what ships


def test_what_ships_has_no_errors_and_no_warnings() -> None:
    found, said_of_it = check(shipped_text(), "alerting.toml")
    assert found is not None
    assert said_of_it == ()
    assert found == shipped() or found.hash == shipped().hash


def test_what_ships_is_in_the_package() -> None:
    """Read as a resource, and taken into the wheel."""
    assert resources.files("alerts").joinpath("alerting.toml").is_file()
    builder = WheelBuilder(str(Path(__file__).parents[2]))
    assert "alerts/alerting.toml" in {file.distribution_path for file in builder.recurse_included_files()}


PAGERS = {f"CONTROLPLANE_ALERT_{name}": "http://127.0.0.1:9/" for name in ("ML_URL", "PLATFORM_URL")}
PAGERS |= {f"CONTROLPLANE_ALERT_{name}": "s" for name in ("ML_SECRET", "PLATFORM_SECRET")}


@pytest.mark.parametrize("metric", [name for name, entry in METRICS.items() if entry.decides])
def test_every_metric_that_decides_has_one_team_on_call(metric: str) -> None:
    routes = wire(shipped(), PAGERS).alerting.rules.routes
    taken = routes_for(alert(metric=metric, incident="i"), "alert", routes)
    teams = {route.receivers[0] for route in taken} & {"ml-oncall", "platform-oncall"}
    platform = METRICS[metric].family.name in ("REQUEST", "CALL") and metric != "costly_share"
    assert teams == {"platform-oncall" if platform else "ml-oncall"}
    assert taken[-1].name == "incidents"


@pytest.mark.parametrize(
    ("labels", "team"),
    [
        ({"category": "safety", "safety": "confirmed"}, "ml-oncall"),
        ({"category": "drift"}, "ml-oncall"),
        ({"category": "validity", "trigger": "srm"}, "platform-oncall"),
        ({"category": "delivery", "alertname": "delivery_failed"}, "platform-oncall"),
        ({"trigger": "freshness", "alertname": "hold"}, "platform-oncall"),
        ({"alertname": "rollback_not_verified"}, "platform-oncall"),
        ({"alertname": "containment_not_verified", "action": "contain"}, "platform-oncall"),
        ({"alertname": "rollback", "trigger": "person"}, "ml-oncall"),
    ],
)
def test_what_has_no_metric_has_a_team_too(labels: dict[str, str], team: str) -> None:
    routes = wire(shipped(), PAGERS).alerting.rules.routes
    assert routes_for(alert(**labels), "alert", routes)[0].receivers == (team,)


def test_without_pagers_all_ends_at_slack_and_without_slack_at_the_console() -> None:
    slack = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_CHANNEL": "C1", "SLACK_REVIEW_CHANNEL": "C2"}
    for variables, incident, other in ((slack, "slack", "slack-review"), ({}, "console", "console")):
        routes = wire(shipped(), variables).alerting.rules.routes
        for one, first in ((alert(metric="csat", incident="i"), incident), (alert(category="drift"), other)):
            (route,) = routes_for(one, "alert", routes)
            assert (route.receivers[0], route.receivers[-1]) == (first, "console")


# errors


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("schema = 2\n", 1, "schema: 2 is not a known schema; write schema = 1"),
        ("schema = 1\n[[routs]]\n", 2, "routs: unknown key; known here: schema, timing"),
        (LEAST + 'recievers = ["x"]\n', 5, "routes.0.recievers: unknown key; known here: name, receivers"),
        (LEAST + "[timing]\ngroup_weight = 3\n", 6, "unknown key; known here: group_wait, group_interval"),
        (LEAST + "[timing]\ngroup_wait = 3\n", 6, '3 is no span of time of at most a year; write group_wait = "0s"'),
        (LEAST + '[timing]\nrepeat_interval = "1s"\n', 6, "repeats within a minute"),
        (LEAST + '[retry]\nfirst = "2m"\n', 5, "first must be above 0s and at most longest"),
        (LEAST + "[retry]\nmax_attempts = 0\n", 6, "0 is not a whole number from 1"),
        (LEAST.replace('"console"', '"pager"'), 4, "'pager' is no receiver; known: console"),
        (LEAST.replace('["console"]', "[]"), 2, "names no receiver"),
        (LEAST + 'match = { metric = "csat" }\n', 2, "the last route does not take everything"),
        (LEAST + "continue = true\n", 2, "the last route does not take everything"),
        (LEAST + "quiet = true\n", 2, "the last route does not take everything"),
        (LEAST + "match = []\n", 5, "match: is empty: the route would take nothing"),
        (LEAST + "[quiet_hours]\ndays = []\n", 6, "days: names no day"),
        (LEAST + "quiet = 1\n", 5, "1 is neither true nor false"),
        (LEAST + "match = { severity = 3 }\n", 5, "3 is neither a text nor a list of texts"),
        (LEAST + 'match = { severity = "grave" }\n', 5, "'grave' is no severity there is; known: critical"),
        (LEAST + LEAST[11:].replace("all", "more"), 5, "is never reached; an earlier route takes everything"),
        (LEAST + LEAST[11:], 6, "'all' is taken already"),
        (LEAST.replace("all", "tier x"), 3, "'tier x' is a name of another kind"),
        ("schema = 1\n", 1, "the last route does not take everything"),
        (LEAST + '[[receivers]]\nname = "p"\nkind = "pager"\n', 7, "'pager' is not known; one of slack, webhook"),
        (LEAST + '[[receivers]]\nname = "p"\nkind = "webhook"\nurl = "http://x/"\n', 5, "needs secret"),
        (LEAST + '[[receivers]]\nname = "s"\nkind = "slack"\nchannel = "$HOME"\n', 8, "$HOME is no variable that is"),
        (
            LEAST + '[[receivers]]\nname = "s"\nkind = "slack"\nchannel = "$SLACK_BOT_TOKEN"\n',
            8,
            "$SLACK_BOT_TOKEN is no",
        ),
        (LEAST + '[[receivers]]\nname = "a"\nkind = "alertmanager"\nurl = "ftp://x"\n', 8, "'ftp://x' is no address"),
        (
            LEAST + '[[receivers]]\nname = "console"\nkind = "console"\nurl = "http://x"\n',
            8,
            "has no url; leave it out",
        ),
        (LEAST + '[[inhibitions]]\nname = "x"\nsource = { a = "b" }\n', 5, "is no table of labels"),
        (LEAST + '[[people]]\nname = "kim"\nrole = "producer"\n', 7, "'producer' is not known; one of viewer"),
        (LEAST + '[[people]]\nname = "kim"\nrole = "viewer"\nslack = "@kim"\n', 8, "'@kim' is no member id"),
        (LEAST + PEOPLE.replace('["kim", "lee"]', '["kim", "max"]'), 15, "'max' is no person; known: kim, lee"),
        (LEAST + PEOPLE.replace("2026-01-05", '"soon"'), 16, "'soon' is no date"),
        (LEAST + PEOPLE.replace('["ml", "kim"]', '["hr"]'), 19, "'hr' is no person or rota; known: kim, lee, ml"),
        (LEAST + '[[ladder]]\nname = "x"\nafter = "0s"\n', 7, "a tier is told after a while"),
        (LEAST + QUIET.replace("22:00", "25:00"), 7, "'25:00' is no time of the day"),
        (LEAST + QUIET.replace("Europe/Berlin", "Mars/Base"), 9, "'Mars/Base' is no time zone known here"),
        (LEAST + QUIET.replace("22:00", "07:00"), 6, "from and until are the same"),
        (LEAST + QUIET + 'days = ["monday"]\n', 10, "'monday' is no day; known: fri, mon"),
        ("schema = 1\nnot toml", 2, "mend the syntax"),
    ],
)
def test_every_error_names_file_line_key_and_remedy(text: str, line: int, words: str) -> None:
    found = errors(text)
    assert any(one.startswith(f"a.toml:{line}: ") and words in one for one in found), found


def test_all_errors_are_found_at_once() -> None:
    found = errors(LEAST.replace('"console"', '"pager"') + "[timing]\nx = 1\n[retry]\ny = 2\n")
    assert [one.split(":")[1] for one in found] == ["4", "6", "8"]


def test_a_secret_never_stands_in_the_file() -> None:
    text = LEAST + '[[receivers]]\nname = "p"\nkind = "webhook"\nurl = "http://x/"\nsecret = "hunter2"\n'
    (found,) = errors(text)
    assert "a secret stands in the file" in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST, "there is no [[ladder]]"),
        (
            LEAST + '[[receivers]]\nname = "am"\nkind = "alertmanager"\nurl = "http://x"\n',
            "nothing goes to receiver 'am'",
        ),
        (
            LEAST.replace("[[routes]]", '[[routes]]\nname="m"\nreceivers=["console"]\nmatch={metrik="x"}\n[[routes]]'),
            "'metrik'",
        ),
        (
            LEAST + '[[inhibitions]]\nname = "x"\nsource = { trigger = "a" }\ntarget = { category = "metric" }\n',
            "what the machine did",
        ),
        (LEAST + PEOPLE, "lee is called but cannot be mentioned"),
        (LEAST + PEOPLE.replace('["ml", "kim"]', '["kim"]'), "no tier calls rota 'ml'"),
    ],
)
def test_what_will_disappoint_is_a_warning(text: str, words: str) -> None:
    assert any("warning: " in one and words in one for one in problems(text)), problems(text)
    assert load(text, "a.toml").source == "a.toml"


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    found, said_of_it = check(LEAST + text, "a.toml")
    assert found is not None or said_of_it


# spans, rotas, quiet hours


@given(st.integers(0, 365 * 24 * 3600 * 1000).map(lambda ms: timedelta(milliseconds=ms)))
def test_a_span_is_read_as_it_is_said(span: timedelta) -> None:
    assert duration(said(span)) == span


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5m!", "1.5h", "400d", "5M"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"span|year"):
        duration(text)


def test_a_rota_hands_over_every_day_on_the_wall_clock() -> None:
    rota = Rota("ml", ("kim", "lee"), date(2026, 3, 28), time(9), "Europe/Berlin")
    assert rota.on_call(datetime(2026, 3, 28, 7, 59, tzinfo=UTC)) is None
    assert rota.on_call(datetime(2026, 3, 28, 8, 0, tzinfo=UTC)) == "kim"  # 09:00, winter
    assert rota.on_call(datetime(2026, 3, 29, 6, 59, tzinfo=UTC)) == "kim"
    assert rota.on_call(datetime(2026, 3, 29, 7, 0, tzinfo=UTC)) == "lee"  # 09:00, summer


@given(
    st.integers(0, 10**6).map(lambda minutes: NOW + timedelta(minutes=minutes)), st.integers(1, 5), st.integers(1, 7)
)
def test_everybody_has_their_days_in_turn(now: datetime, people: int, days: int) -> None:
    names = tuple(f"p{n}" for n in range(people))
    rota = Rota("r", names, date(2026, 1, 5), time(0), days=days)
    turn = [rota.on_call(now + timedelta(days=n)) for n in range(people * days)]
    assert rota.on_call(now) == rota.on_call(now + timedelta(days=people * days))
    assert {name: turn.count(name) for name in names} == dict.fromkeys(names, days)


def test_quiet_hours_go_over_midnight_and_know_their_days() -> None:
    quiet = QuietHours(time(22), time(7), "UTC", ("mon",))
    assert quiet.until(NOW) is None
    assert quiet.until(NOW.replace(hour=22)) == datetime(2026, 1, 6, 7, tzinfo=UTC)
    assert quiet.until(datetime(2026, 1, 6, 6, 59, tzinfo=UTC)) == datetime(2026, 1, 6, 7, tzinfo=UTC)
    assert quiet.until(datetime(2026, 1, 6, 7, tzinfo=UTC)) is None
    assert quiet.until(datetime(2026, 1, 6, 23, tzinfo=UTC)) is None  # a Tuesday


@given(
    st.times(),
    st.times(),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.integers(0, 60 * 24 * 365).map(lambda minutes: NOW + timedelta(minutes=minutes)),
)
def test_after_the_quiet_hours_it_is_not_quiet(starts: time, ends: time, zone: str, now: datetime) -> None:
    if starts == ends:
        return
    quiet = QuietHours(starts, ends, zone, WEEKDAYS)
    later = quiet.after(now)
    assert later >= now
    assert quiet.until(later) is None
    assert later - now <= timedelta(hours=25)
    assert (later == now) == (quiet.until(now) is None)


def test_in_the_quiet_hours_a_quiet_route_takes_only_what_is_critical() -> None:
    wired = wire(load(shipped_text() + QUIET, "a.toml"), PAGERS)
    night, noon = datetime(2026, 1, 5, 23, tzinfo=UTC), NOW
    for severity in Severity:
        one = alert(severity, metric="csat", incident="i")
        for now, woken in ((night, severity is Severity.CRITICAL), (noon, True)):
            taken = routes_for(one, "alert", wired.alerting.rules_at(now).routes)
            assert (taken[0].receivers == ("ml-oncall",)) == woken
            assert taken[-1].name == "incidents", "the channel is told at any time"


@given(st.sets(st.sampled_from(["critical", "error", "warning"]), min_size=1), st.sampled_from(list(Severity)))
def test_quiet_hours_never_let_through_more_than_the_route_takes(asked: set[str], severity: Severity) -> None:
    plain = Matcher({"severity": frozenset(asked)})
    quiet = '[[routes]]\nname = "q"\nreceivers = ["console"]\nquiet = true\ncontinue = true\n'
    text = LEAST.replace("[[routes]]", f"{quiet}match = {{ severity = {sorted(asked)} }}\n[[routes]]")
    rules = load(text + QUIET, "a.toml").rules_at(datetime(2026, 1, 5, 23, tzinfo=UTC))
    takes = rules.routes[0].matcher.matches(alert(severity))
    assert takes == (plain.matches(alert(severity)) and severity is Severity.CRITICAL)


def test_who_is_on_call() -> None:
    found = load(LEAST + PEOPLE, "a.toml")
    assert [person.name for person in found.on_call(("ml", "kim"), NOW)] == ["kim"]
    assert [person.name for person in found.on_call(("ml", "kim"), NOW + timedelta(days=1))] == ["lee", "kim"]


# what is configured here


def test_a_receiver_that_is_not_configured_is_left_out_and_named() -> None:
    wired = wire(shipped(), {})
    assert set(wired.receivers) == {"console"}
    assert wired.left_out["slack"] == "SLACK_BOT_TOKEN, SLACK_CHANNEL"
    assert all(route.receivers == ("console",) for route in wired.alerting.rules.routes)


def test_half_a_receiver_is_refused_naming_what_is_missing() -> None:
    with pytest.raises(ReceiverError, match=r"'ml-oncall' is configured by half: CONTROLPLANE_ALERT_ML_SECRET is not"):
        wire(shipped(), {"CONTROLPLANE_ALERT_ML_URL": "http://127.0.0.1:9/"})
    with pytest.raises(ReceiverError, match="CONTROLPLANE_ALERT_ML_URL is not set"):
        wire(shipped(), {"CONTROLPLANE_ALERT_ML_SECRET": "hidden"})


def test_an_address_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(ReceiverError, match="CONTROLPLANE_ALERT_ML_URL is no address") as caught:
        wire(shipped(), PAGERS | {"CONTROLPLANE_ALERT_ML_URL": "token-by-mistake"})
    assert "token-by-mistake" not in str(caught.value)


def test_every_kind_of_receiver_is_connected() -> None:
    variables = PAGERS | {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_CHANNEL": "C1", "SLACK_REVIEW_CHANNEL": "C2"}
    variables |= {"CONTROLPLANE_ALERT_ALERTMANAGER_URL": "http://127.0.0.1:9"}
    variables |= {"CONTROLPLANE_ALERT_WEBHOOK_URL": "http://127.0.0.1:9/", "CONTROLPLANE_ALERT_WEBHOOK_SECRET": "s"}
    wired = wire(shipped(), variables)
    assert wired.left_out == {}
    assert {name: receiver.name for name, receiver in wired.receivers.items()} == {n: n for n in wired.receivers}
    assert set(wired.receivers) == {spec.name for spec in shipped().receivers}


def test_secrets_are_never_shown() -> None:
    variables = PAGERS | {"CONTROLPLANE_ALERT_ML_SECRET": "hunter2", "SLACK_BOT_TOKEN": "xoxb-9", "SLACK_CHANNEL": "C1"}
    shown = repr(wire(shipped(), variables))
    assert "hunter2" not in shown
    assert "xoxb-9" not in shown


def test_a_tier_has_a_route_to_each_of_its_receivers() -> None:
    rules = wire(shipped(), PAGERS).alerting.rules
    second = shipped().ladder[1]
    taken = routes_for(alert(metric="csat", incident="i"), second.kind, rules.routes)
    assert [route.receivers[0] for route in taken] == ["ml-oncall", "platform-oncall", "console"]
    other = routes_for(alert(metric="csat", incident="i"), "alert", rules.routes)
    assert [route.receivers[0] for route in other] == ["ml-oncall", "console"]


# what becomes of one alert


def test_an_alert_that_is_silenced_or_inhibited_says_by_what() -> None:
    whole = shipped()
    wired = wire(whole, {})
    silence = Silence("s-1", match(metric="csat"), "ana", "survey", NOW, NOW + timedelta(hours=1))
    one, kind = alert_of_labels({"metric": ("csat",), "category": ("metric",), "release": ("v1",)}, NOW)
    assert "s-1 by ana" in verdict(wired, whole, one, kind, NOW, [silence]).withheld
    assert verdict(wired, whole, one, kind, NOW + timedelta(hours=1), [silence]).withheld == ""
    cut = alert(Severity.CRITICAL, "i9", alertname="rollback", release="v1")
    assert "rolled-back release" in verdict(wired, whole, one, kind, NOW, active=[cut]).withheld
    stale = alert(Severity.WARNING, "i9", alertname="hold", release="v0", trigger="freshness")
    assert "stale data" in verdict(wired, whole, one, kind, NOW, active=[stale]).withheld
    other = alert(Severity.CRITICAL, "i9", alertname="rollback", release="v2")
    assert verdict(wired, whole, one, kind, NOW, active=[other]).withheld == ""


def test_a_confirmed_safety_event_is_never_held_back() -> None:
    whole = shipped()
    silence = Silence("s-1", match(category="safety"), "ana", "quiet", NOW, NOW + timedelta(hours=1))
    labels = {"category": ("safety",), "safety": ("confirmed",), "severity": ("warning",)}
    one, kind = alert_of_labels(labels, NOW)
    assert verdict(wire(whole, {}), whole, one, kind, NOW, [silence]).withheld == ""


@given(st.dictionaries(st.sampled_from(["metric", "category", "trigger", "severity", "incident"]), st.sampled_from(
    ["csat", "latency_p95", "metric", "safety", "freshness", "critical", "warning", "yes", "no"])))  # fmt: skip
def test_every_alert_is_told_by_somebody_and_every_route_is_accounted_for(labels: dict[str, str]) -> None:
    known = {"severity": ("critical", "warning"), "incident": ("yes", "no")}
    labels = {name: value for name, value in labels.items() if value in known.get(name, (value,))}
    whole = shipped()
    one, kind = alert_of_labels({name: (value,) for name, value in labels.items()}, NOW)
    for variables in ({}, PAGERS):
        found = verdict(wire(whole, variables), whole, one, kind, NOW)
        assert found.routes[-1].receivers[-1] == "console"
        named = {item.route for item in (*found.routes, *found.passed)}
        assert len(named) == len(found.routes) + len(found.passed)
        assert named >= {"alertmanager", "Platform on-call", "ML on-call", "incidents"}
