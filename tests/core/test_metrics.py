"""The catalogue: complete, consistent with the queries that count and with the policies that name its metrics."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.metrics import METRICS, Direction, DisplayKind, Family, metric
from controlplane.core.model import MetricKind
from controlplane.store.queries import load, sql_root

# What the product promises to measure, in the words of its users.
PROMISED = {
    "csat", "csat_response_rate", "contact_rate", "escalation_rate", "misclassification_rate", "hallucination_rate", "latency_p50", "latency_p95",
    "slow_share", "api_error_rate", "dependency_failure_rate", "timeout_rate", "tokens_per_request", "cost_per_1k_tokens", "cost_per_resolved",
    "traffic_volume", "costly_share", "model_usage", "safety_incidents", "misrouting_rate", "resolution_time", "resolution_rate",
}  # fmt: skip


def test_every_promised_metric_is_there():
    assert set(METRICS) >= PROMISED


def test_an_unknown_metric_is_named_with_what_there_is():
    with pytest.raises(KeyError, match=r"no metric 'csta'.*contact_rate, cost_per_1k_tokens"):
        metric("csta")


@pytest.mark.parametrize("entry", METRICS.values(), ids=lambda entry: entry.name)
def test_an_entry_is_complete_and_its_query_exists(entry):
    assert entry.name == entry.name.lower()
    assert entry.title
    assert entry.unit
    assert entry.numerator
    assert bool(entry.denominator) == (entry.kind is not DisplayKind.COUNT)
    assert entry.maturity >= timedelta(0)
    assert load(entry.sql).startswith("--")
    assert not (entry.comparable and entry.direction is Direction.NEITHER), "a comparison needs a better side"


def test_only_the_assistants_own_numbers_are_not_comparable():
    alone = {name for name, entry in METRICS.items() if entry.decides and not entry.comparable}
    assert alone == {"hallucination_rate", "api_error_rate", "costly_share"}, (
        "the menu generates no answer and calls no model"
    )
    assert all(METRICS[name].kind is MetricKind.ONE_SAMPLE for name in alone)


@pytest.mark.parametrize("family", Family)
def test_deciding_metrics_are_named_in_the_query_of_their_family(family):
    query = {
        Family.CONVERSATION: "rollups/count_conversations",
        Family.REQUEST: "rollups/count_requests",
        Family.CALL: "rollups/count_calls",
        Family.EVALUATION: "migrations/010_rollups",
    }[family]
    named = set(re.findall(r"'([a-z_0-9]+_(?:rate|share)|csat)'", load(query)))
    assert {entry.name for entry in METRICS.values() if entry.family is family and entry.decides} == named


def test_policies_name_only_metrics_that_decide():
    texts = [
        path.read_text(encoding="utf-8")
        for path in (sql_root().parent / "controlplane" / "policies").glob("*.toml")
        if not path.stem.endswith("_criteria")  # acceptance criteria name the measures of offline evaluation
    ]
    named = {name for text in texts for name in re.findall(r'^metric = "(\w+)"', text, re.MULTILINE)}
    assert named, "there is no policy to check"
    assert {name for name in named if not metric(name).decides} == set()


@given(n=st.integers(1, 10**9), x=st.integers(0, 10**9), total=st.floats(-1e12, 1e12))
def test_values(n, x, total):
    assert metric("escalation_rate").value(n, x, total) == x / n
    assert metric("unpriced_share").value(n, x, total) == x / n
    assert metric("csat").value(n, x, total) == total / n
    assert metric("cost_per_1k_tokens").value(n, x, total) == 1000 * total / n
    assert metric("traffic_volume").value(n, x, total) == n


def test_no_data_is_none_but_no_traffic_is_zero():
    assert metric("csat").value(0, 0, 0.0) is None
    assert metric("escalation_rate").value(0, 0, 0.0) is None
    assert metric("cost_per_resolved").value(0, 0, 3.5) is None
    assert metric("safety_incidents").value(0, 0, 0.0) == 0


@pytest.mark.parametrize("name", ["latency_p95", "model_usage"])
def test_what_sums_cannot_tell_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is a .*views/"):
        metric(name).value(10, 1, 1.0)
