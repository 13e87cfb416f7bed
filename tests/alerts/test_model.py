"""The alert value: identity, storage, and the sentences it carries."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model import (
    Alert,
    AlertFormatError,
    Link,
    Reading,
    Severity,
    Status,
    Times,
    fingerprint,
    promise_text,
    reading_of,
    resolved,
)
from alerts.wording import reading_line
from controlplane.core.audit import canonical
from controlplane.core.model import Action, BlockCounts, TriggerReading, Verdict

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
microseconds_of_a_century = st.integers(0, 3_155_760_000_000_000)
moments = microseconds_of_a_century.map(lambda n: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=n))
readings = st.builds(
    Reading,
    words,
    words,
    words,
    st.none() | st.floats(-50, 5_000),
    st.floats(0, 50),
    st.booleans(),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 10**9),
    st.none() | st.floats(1, 5),
    st.none() | st.floats(1, 5),
    words,
    words,
)
any_alert = st.builds(
    Alert,
    alert_id=words,
    labels=st.dictionaries(words, words, max_size=8),
    annotations=st.dictionaries(st.sampled_from(["title", "summary"]), words),
    severity=st.sampled_from(Severity),
    starts_at=moments,
    incident_id=st.none() | words,
    status=st.sampled_from(Status),
    ends_at=st.none() | moments,
    readings=st.lists(readings, max_size=30).map(tuple),
    promise=words,
    times=st.builds(Times, *(st.none() | moments for _ in range(5))),
    customers_exposed=st.none() | st.integers(0, 10**9),
    done=st.lists(words, max_size=40).map(tuple),
    links=st.lists(st.builds(Link, words, words), max_size=10).map(tuple),
)


@given(any_alert)
def test_an_alert_survives_storage(alert: Alert) -> None:
    assert Alert.from_dict(json.loads(canonical(alert.to_dict()))) == alert


@given(st.dictionaries(words, words, max_size=8), st.randoms())
def test_the_fingerprint_depends_on_the_labels_and_not_on_their_order(labels: dict[str, str], random: object) -> None:
    items = list(labels.items())
    random.shuffle(items)
    assert fingerprint(dict(items)) == fingerprint(labels)
    assert fingerprint({**labels, "one more": "label"}) != fingerprint(labels)


def _alert(**more: object) -> Alert:
    fields = {"labels": {"alertname": "hold"}, "annotations": {}, "severity": Severity.WARNING, "starts_at": NOW}
    return Alert(alert_id="a", **{**fields, **more})


def test_the_key_moves_with_state_and_not_with_evidence() -> None:
    alert = _alert(times=Times(detected=NOW))
    same = replace(
        alert,
        readings=(Reading("t", "m", "s", 1.0, 2.0, False),),
        customers_exposed=5,
        times=replace(alert.times, alerted=NOW),
    )
    assert same.key == alert.key
    verified = replace(alert, times=replace(alert.times, verified=NOW))
    over = resolved(alert, NOW, ["release fixed"])
    assert len({alert.key, verified.key, over.key, replace(alert, severity=Severity.ERROR).key}) == 4
    assert {key[:12] for key in (alert.key, verified.key, over.key)} == {fingerprint(alert.labels)[:12]}
    assert (over.status, over.ends_at, over.done) == (Status.RESOLVED, NOW, ("release fixed",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alert_id", None),
        ("labels", "not an object"),
        ("severity", "catastrophic"),
        ("status", 3),
        ("starts_at", "yesterday"),
        ("starts_at", None),
        ("readings", [{"unknown": 1}]),
        ("readings", ["text"]),
        ("times", [1]),
        ("customers_exposed", True),
        ("customers_exposed", "many"),
        ("done", "one"),
        ("links", [{"title": "t"}]),
    ],
)
def test_a_stored_alert_that_is_wrong_names_the_field(field: str, value: object) -> None:
    with pytest.raises(AlertFormatError, match=f"'{field}'"):
        Alert.from_dict({**_alert().to_dict(), field: value})


def test_times_of_another_zone_are_stored_as_utc() -> None:
    alert = _alert(starts_at=NOW.astimezone(timezone(timedelta(hours=5))))
    assert alert.to_dict()["starts_at"] == "2026-01-05T09:00:00.000000Z"
    assert Alert.from_dict({**alert.to_dict(), "starts_at": "2026-01-05T09:00:00"}).starts_at == NOW


def test_ratings_become_means_and_rates_stay_counts() -> None:
    def seen(counts: BlockCounts, log_e: float) -> TriggerReading:
        return TriggerReading("t", "m", "all", Action.ROLLBACK, Verdict.FAIL, NOW, log_e, 7.6, True, counts, "why")

    rated = reading_of(
        seen(BlockCounts("m", "all", NOW, 60, k_t=(5, 0, 0, 0, 5), k_c=(0, 0, 0, 0, 4)), 8.0), "-2", "[-3, -1]"
    )
    assert (rated.n_t, rated.x_t, rated.mean_t, rated.n_c, rated.mean_c) == (10, None, 3.0, 4, 5.0)
    counted = reading_of(seen(BlockCounts("m", "all", NOW, 60, n_t=10, x_t=4, n_c=20, x_c=1), -inf))
    assert (counted.n_t, counted.x_t, counted.n_c, counted.x_c, counted.log_e) == (10, 4, 20, 1, None)
    assert canonical(_alert(readings=(counted,)).to_dict())


def test_the_promise_is_said_in_full() -> None:
    assert promise_text(0.0005, 0.01, 10) == (
        "If this release stayed within its limits in every block, this stream would ever raise this alarm in the planned "
        "10 weeks with probability <= 0.05 %, any automatic rollback <= 1 % (safety tripwire and validity holds not counted)."
    )
    assert "no probability is promised" in promise_text(0.0005, 0.01, 10, counted=False)


def test_what_is_only_approximate_says_so() -> None:
    exact, approximate = (promise_text(0.0005, 0.01, 10, exact=said) for said in (True, False))
    assert approximate.startswith(exact)
    assert "These probabilities are approximate" in approximate.removeprefix(exact)
    seen = TriggerReading(
        "t", "m", "all", Action.HOLD, Verdict.FAIL, NOW, 8.0, 7.6, True, BlockCounts("m", "all", NOW, 60, 9, 9), "why", exact=False
    )  # fmt: skip
    assert reading_of(seen).exact is False
    assert "(fired, approximate)" in reading_line(reading_of(seen))
    assert "approximate" not in reading_line(reading_of(replace(seen, exact=True)))


def test_the_halves_of_the_shadow_are_not_called_arms() -> None:
    counts = BlockCounts("m", "csat_drop", NOW, 60, n_t=10, x_t=4, n_c=20, x_c=1)
    seen = TriggerReading("aa_shadow", "m", "csat_drop", Action.HOLD, Verdict.FAIL, NOW, 8.0, 7.6, True, counts, "why")
    line = reading_line(reading_of(seen))
    assert "one half of the baseline 4/10" in line
    assert "the other 1/20" in line
    assert "assistant" not in line
