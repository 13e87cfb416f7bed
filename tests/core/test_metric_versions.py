"""Definitions of metrics: every field and every counting query is in the hash, nothing else is, and a change names what differs."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.metric_versions import (
    catalogue,
    catalogue_hash,
    changes,
    counting_text,
    definition,
    definition_hash,
    definition_hash_of,
    last_full_month,
    metric_of,
    queries_of,
)
from controlplane.core.metrics import METRICS, Direction, Family, Metric
from controlplane.core.model import MetricKind
from controlplane.store.queries import load, sql_root

OTHER = {
    "name": "other", "title": "Other", "unit": "other", "kind": MetricKind.RATING, "family": Family.CALL, "comparable": False, "numerator": "other",
    "denominator": "other", "direction": Direction.NEITHER, "maturity": timedelta(hours=1), "exact": False, "scale": 2.0, "sql": "views/model_usage",
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in fields(Metric)])
def test_every_field_is_in_the_hash(field):
    entry = METRICS["escalation_rate"]
    assert definition_hash(replace(entry, **{field: OTHER[field]}), load) != definition_hash(entry, load)


@pytest.mark.parametrize("entry", METRICS.values(), ids=lambda entry: entry.name)
def test_every_query_that_counts_is_in_the_hash_and_comes_back(entry):
    before = definition(entry, load)
    assert before["hash"] == definition_hash_of(before)
    assert metric_of(before) == entry
    for name in queries_of(entry):
        changed = definition(entry, lambda one, name=name: load(one) + ("\nLIMIT 1" if one == name else ""))
        assert changed["hash"] != before["hash"]
        (change,) = changes({entry.name: before}, {entry.name: changed})
        assert (change.kind, set(change.fields)) == ("changed", {f"query {name}"})


def test_the_view_of_judgements_is_the_newest_one():
    """Whoever writes the view anew in a migration names it in `metric_versions`."""
    texts = {path.stem: path.read_text() for path in sorted((sql_root() / "migrations").glob("*.sql"))}
    newest = [name for name, text in texts.items() if "VIEW judgements" in text][-1]
    assert f"migrations/{newest}" in queries_of(METRICS["hallucination_rate"])


def test_words_of_a_query_do_not_count_and_the_order_of_fields_neither():
    entry = METRICS["csat"]
    assert definition_hash(entry, lambda name: f"-- other words\n{load(name)}  \n\n") == definition_hash(entry, load)
    plain = definition(entry, load)
    assert definition_hash_of(dict(reversed(plain.items()))) == plain["hash"]
    assert counting_text("-- a\nSELECT 1  \n\n  -- b\n") == "SELECT 1"


def test_a_field_that_came_later_has_its_default():
    plain = definition(METRICS["csat"], load)
    del plain["scale"]
    assert metric_of(plain) == METRICS["csat"]


@given(
    names=st.lists(st.sampled_from(sorted(METRICS)), unique=True),
    more=st.lists(st.sampled_from(sorted(METRICS)), unique=True),
)
def test_changes_are_what_one_has_and_the_other_has_not(names, more):
    before, after = (catalogue([METRICS[name] for name in chosen], load) for chosen in (names, more))
    found = {change.name: change.kind for change in changes(before, after)}
    assert found == dict.fromkeys(set(names) - set(more), "removed") | dict.fromkeys(set(more) - set(names), "added")
    assert (catalogue_hash(before) == catalogue_hash(after)) == (set(names) == set(more))


@given(st.integers(978307200, 4070908800))
def test_the_last_full_month(seconds):
    now = datetime.fromtimestamp(seconds, UTC)
    since, until = last_full_month(now)
    assert since.day == until.day == 1
    assert until <= now < until + timedelta(days=31)
    assert timedelta(days=28) <= until - since <= timedelta(days=31)
