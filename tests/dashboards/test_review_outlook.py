"""How much is missing and when: never more than the data supports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import invgauss

from controlplane.core.metrics import METRICS
from controlplane.core.policy import Policy, parse
from controlplane.core.triggers import CertificateStanding
from controlplane.settings import shipped_policy
from controlplane.store.snapshot import SnapshotReader
from dashboards import answers, data, measures
from dashboards.review import data as data_review
from dashboards.review import outlook
from dashboards.review.outlook import Left, Pace, Traffic

NOW = datetime(2026, 1, 6, 10, 0, tzinfo=UTC)  # a Tuesday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
POLICY = parse(shipped_policy("demo"))
CERTIFICATE = next(one for one in POLICY.certificates if one.name == "escalation")
STAGE = POLICY.stages[2]
TRAFFIC = Traffic(60.0, 0.55, {"escalation_rate": 0.15})


def standing(log_e: float, blocks: int, item: object = CERTIFICATE) -> CertificateStanding:
    return CertificateStanding("escalation", "escalation_rate", 0.06, log_e, 3.0, log_e >= 3.0, blocks)


@pytest.mark.parametrize(
    ("soonest", "latest", "said"),
    [
        (10 * MINUTE, 12 * MINUTE, "likely today about 10:11 UTC"),
        (20 * MINUTE, 70 * MINUTE, "likely today between 10:20 and 11:10 UTC"),
        (2 * DAY, 2 * DAY + HOUR, "likely Thursday"),
        (2 * DAY, 3 * DAY, "likely Thursday to Friday"),
        (10 * HOUR, 16 * HOUR, "likely today to Wednesday"),
        (7 * DAY, 9 * DAY, "likely 13 Jan to 15 Jan"),
        (20 * DAY, 36 * DAY, "likely in 3 to 5 weeks"),
    ],
)
def test_a_date_is_as_rough_as_it_is_far(soonest: timedelta, latest: timedelta, said: str) -> None:
    assert outlook.likely(NOW, Left(1.0, soonest, latest)) == said


def test_what_is_not_known_has_no_date() -> None:
    assert outlook.likely(NOW, Left(5.0, why="too few")) == ""
    assert not Left(5.0).known


@pytest.mark.parametrize(
    ("count", "said"), [(0.2, "1"), (7, "7"), (38, "about 38"), (1_873, "about 1,900"), (92_678, "about 93,000")]
)
def test_counts_are_rounded_to_two_digits(count: float, said: str) -> None:
    assert outlook.about(count) == said


@given(st.integers(20, 5000))
def test_customers_come_within_the_interval_of_the_rate(treated: int) -> None:
    left = outlook.customers(Pace(100.0, treated, 5 * treated), treated + 50)
    assert left.more == 50
    assert left.soonest is not None
    assert left.latest is not None
    assert left.soonest < timedelta(minutes=50 / (treated / 100.0)) < left.latest


def test_the_interval_of_a_count_is_the_chi_squares() -> None:
    """80 % limits of a Poisson mean for 10 events: 6.22 and 15.41 (exact)."""
    low, high = outlook.poisson_interval(10)
    assert low == pytest.approx(6.22, abs=0.03)
    assert high == pytest.approx(15.41, abs=0.03)


def test_too_few_customers_name_no_date() -> None:
    assert not outlook.customers(Pace(5.0, 4, 80), 60).known
    found = outlook.certificate(POLICY, STAGE, CERTIFICATE, None, Pace(5.0, 4, 80), TRAFFIC)
    assert (found.known, found.why) == (False, "too few customers yet to say when")


def test_without_evidence_the_plan_speaks_and_says_what_it_assumes() -> None:
    found = outlook.certificate(POLICY, STAGE, CERTIFICATE, None, Pace(6.0, 72, 288), TRAFFIC)
    assert found.alike
    assert found.known
    assert found.more is not None
    assert 100 < found.more < 1000  # the policy says some 300 treated customers a gate


@pytest.mark.parametrize("gap", [0.5, 3.0, 8.0])
def test_what_chance_adds_is_the_inverse_gaussians(gap: float) -> None:
    """Against scipy; two paths of three. 60 runs of the real engine at 23 customers in 6 minutes: median 85 minutes, quartiles 47 and 131."""
    told = invgauss(2 / gap, scale=gap / 2)
    low, high = outlook.passage(gap)
    assert low == pytest.approx(told.ppf(1 / 6) / told.median(), rel=1e-4)
    assert high == pytest.approx(told.ppf(5 / 6) / told.median(), rel=1e-4)


def test_customers_of_this_stage_are_on_their_way() -> None:
    few, many = (outlook.certificate(POLICY, STAGE, CERTIFICATE, None, Pace(6.0, n, 4 * n), TRAFFIC) for n in (72, 144))
    assert few.more is not None
    assert many.more is not None
    assert few.more - many.more == pytest.approx(72, rel=0.2)  # blocks are counted whole
    assert few.soonest is not None
    assert few.latest is not None
    assert few.latest > 1.5 * few.soonest


def test_evidence_shortens_the_way_and_its_pace_widens_the_range() -> None:
    pace = Pace(60.0, 720, 2880)
    near, far = (outlook.certificate(POLICY, STAGE, CERTIFICATE, standing(e, 50), pace, TRAFFIC) for e in (2.5, 1.0))
    assert near.soonest is not None
    assert far.soonest is not None
    assert near.soonest < far.soonest
    assert not near.alike
    slow = outlook.certificate(POLICY, STAGE, CERTIFICATE, standing(0.01, 50), pace, TRAFFIC)
    assert (slow.known, slow.why) == (False, "the evidence grows too unevenly to name a date")


def test_evidence_that_does_not_grow_names_no_date() -> None:
    found = outlook.certificate(POLICY, STAGE, CERTIFICATE, standing(-0.5, 50), Pace(60.0, 720, 2880), TRAFFIC)
    assert (found.known, found.why) == (False, "the evidence is not growing")


def state_of(home: Path) -> tuple[answers.State, Traffic | None, Policy]:
    ref = SnapshotReader(home / "snapshots").current()
    at = (str(ref.path), ref.key)
    state = data.state(*at)
    assert state.rollout is not None
    assert state.policy is not None
    times = measures.maturities(state, METRICS)
    return state, data_review.traffic(*at, state.rollout.stage_started_at, state.meta.now, times), state.policy


def test_the_answer_says_how_many_and_when(healthy_home: Path) -> None:
    state, traffic, _ = state_of(healthy_home)
    assert traffic is not None
    assert 5 < traffic.per_minute < 40
    assert traffic.rates["escalation_rate"] == pytest.approx(0.34, abs=0.02)
    sentence = answers.answer(state, traffic).sentence
    assert sentence.startswith("CSAT is not certified: it needs about ")
    assert "more customers, likely " in sentence
    assert sentence.endswith("Also missing: the approval of one person who did not write the release.")


def test_what_speaks_against_growing_comes_first(healthy_home: Path) -> None:
    state, traffic, _ = state_of(healthy_home)
    stale = replace(state, meta=replace(state.meta, watermark=state.meta.now - DAY))
    assert "the data is stale" in answers.answer(stale, traffic).sentence
    young = replace(state, units={})
    assert answers.answer(young, traffic).sentence.count("more customers") == 1
