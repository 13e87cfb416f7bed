"""Arrivals: a Poisson stream with a mild day shape, some customers known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controlplane.simulation.needs import all_needs
from controlplane.simulation.traffic import Arrival, Traffic, TrafficConfig
from tests.simulation.measure import START


def stream(seed: int, config: TrafficConfig, hours: float) -> list[tuple[float, Arrival]]:
    """Minutes after the start and arrivals."""
    traffic, moment, found = Traffic(seed, config, all_needs()), START, []
    while True:
        moment = traffic.next_time(moment)
        if moment > START + timedelta(hours=hours):
            return found
        found.append(((moment - START) / timedelta(minutes=1), traffic.next_arrival()))


def test_the_rate_is_the_configured_one_over_a_day() -> None:
    count = len(stream(1, TrafficConfig(conversations_per_minute=5.0), 24))
    assert count == pytest.approx(5 * 1440, rel=0.05)


def test_arrivals_are_poisson_within_an_hour() -> None:
    minutes = [int(minute) for minute, _ in stream(2, TrafficConfig(conversations_per_minute=20.0, day_swing=0.0), 10)]
    counts = [minutes.count(minute) for minute in range(600)]
    mean = sum(counts) / 600
    variance = sum((count - mean) ** 2 for count in counts) / 599
    assert mean == pytest.approx(20, rel=0.05)
    assert variance == pytest.approx(mean, rel=0.25)


def test_afternoons_are_busier_than_nights() -> None:
    traffic = Traffic(1, TrafficConfig(day_swing=0.3), all_needs())
    assert traffic.day_factor(START.replace(hour=14)) == pytest.approx(1.3)
    assert traffic.day_factor(START.replace(hour=2)) == pytest.approx(0.7)


def test_a_tenth_comes_again_and_needs_follow_their_weights() -> None:
    arrivals = [arrival for _, arrival in stream(3, TrafficConfig(conversations_per_minute=50.0), 1)]
    customers = [arrival.customer.customer_id for arrival in arrivals]
    assert 1 - len(set(customers)) / len(customers) == pytest.approx(0.1, abs=0.03)
    heaviest = max(all_needs(), key=lambda need: need.weight)
    expected = heaviest.weight / sum(need.weight for need in all_needs())
    assert sum(arrival.need is heaviest for arrival in arrivals) / len(arrivals) == pytest.approx(expected, abs=0.02)
    assert [arrival.number for arrival in arrivals] == list(range(1, len(arrivals) + 1))


def test_a_seed_gives_one_stream() -> None:
    config = TrafficConfig(conversations_per_minute=10.0)
    assert stream(4, config, 0.2) == stream(4, config, 0.2)
    assert stream(4, config, 0.2) != stream(5, config, 0.2)


def test_no_traffic_is_an_error() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Traffic(1, TrafficConfig(conversations_per_minute=0.0), all_needs())
