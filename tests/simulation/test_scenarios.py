"""Harm emerges: simulated customers are worse off where, and only where, something bad was injected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.core.metrics import METRICS
from controlplane.simulation.catalogue import SCENARIOS, scenario
from controlplane.simulation.incident_catalogue import INCIDENTS
from controlplane.simulation.incidents import Change, Incident
from tests.simulation.conftest import MINUTES
from tests.simulation.measure import Figures, Record, figures

FIELD_OF = {
    "escalation_rate": "escalation",
    "csat": "csat",
    "contact_rate": "contact",
    "hallucination_rate": "ungrounded",
    "misclassification_rate": "misclassified",
    "slow_share": "slow",
    "api_error_rate": "api_errors",
    "timeout_rate": "timeouts",
}
CLEARLY = {  # how much worse than healthy a metric that a scenario names must be
    "escalation_rate": 0.15,
    "csat": 0.3,
    "contact_rate": 0.02,
    "hallucination_rate": 0.2,
    "misclassification_rate": 0.3,
    "slow_share": 0.35,
    "api_error_rate": 0.3,
    "timeout_rate": 0.015,
}

FIGURE_OF = {  # what a drill injects as a rate, and what the world measures
    "escalates": "escalation",
    "misclassified": "misclassified",
    "ungrounded": "ungrounded",
    "slow": "slow",
    "api_error": "api_errors",
    "timed_out": "timeouts",
}

Measure = Callable[[str, str], Figures]


@pytest.fixture(scope="session")
def measure(run_scenario: Callable[[str, int], list[Record]]) -> Measure:
    return lambda name, arm: figures(run_scenario(name, MINUTES), arm)


def test_a_healthy_assistant_is_no_worse_than_the_menu(measure: Measure) -> None:
    treated, control = measure("healthy", "assistant"), measure("healthy", "baseline")
    assert min(treated.conversations, control.conversations) > 500
    assert treated.escalation <= control.escalation - 0.02
    assert treated.csat >= control.csat
    assert treated.contact <= control.contact + 0.02
    assert treated.misrouted < 0.05


def test_a_healthy_assistant_stays_inside_every_limit(measure: Measure) -> None:
    treated = measure("healthy", "assistant")
    assert treated.ungrounded < 0.05
    assert treated.slow < 0.02
    assert treated.p95 < 4_000
    assert treated.api_errors < 0.02
    assert treated.timeouts < 0.01


def test_real_people_are_not_always_understood(measure: Measure) -> None:
    """A world in which nothing ever goes wrong could not show harm either."""
    treated, control = measure("healthy", "assistant"), measure("healthy", "baseline")
    assert 0.03 < treated.escalation < 0.15
    assert 0.08 < control.escalation < 0.3
    assert 0.02 < treated.misclassified < 0.2


@pytest.mark.parametrize(
    ("name", "metric"), [(item.name, metric) for item in SCENARIOS.values() for metric in item.worse]
)
def test_what_a_scenario_names_gets_clearly_worse(measure: Measure, name: str, metric: str) -> None:
    healthy, hurt = measure("healthy", "assistant"), measure(name, "assistant")
    change = getattr(hurt, FIELD_OF[metric]) - getattr(healthy, FIELD_OF[metric])
    assert (-change if metric == "csat" else change) > CLEARLY[metric]


def test_a_bad_knowledge_base_escalates_far_more_than_the_menu(measure: Measure) -> None:
    treated, control = measure("bad_knowledge", "assistant"), measure("bad_knowledge", "baseline")
    assert treated.escalation > control.escalation + 0.15
    assert treated.csat < control.csat - 0.4


def test_a_slow_model_breaks_the_latency_objective(measure: Measure) -> None:
    assert measure("slow_model", "assistant").p95 > 4_000


@pytest.mark.parametrize("name", ["bad_knowledge", "slow_model", "careless_generator", "api_outage"])
def test_faults_of_the_assistant_leave_the_menu_alone(measure: Measure, name: str) -> None:
    """The control arm serves the same customers whatever the other arm does, so it must not move at all."""
    assert measure(name, "baseline") == measure("healthy", "baseline")


def test_scenarios_name_metrics_of_the_catalogue() -> None:
    for item in SCENARIOS.values():
        assert set(item.worse) <= set(METRICS)
        assert item.injected
        assert item.expected
    assert SCENARIOS["healthy"].worse == ()


def test_an_unknown_scenario_is_an_error_that_lists_them() -> None:
    with pytest.raises(KeyError, match="bad_knowledge"):
        scenario("earthquake")


def harm(item: Incident) -> dict[str, object]:
    """What a drill changes in the assistant's arm."""
    return {name: value for act in item.acts if isinstance(act, Change) for name, value in act.to.items()}


@pytest.mark.parametrize(
    "name", [name for name, item in INCIDENTS.items() if item.fault and SCENARIOS[item.fault].worse]
)
def test_a_drill_injects_no_more_harm_than_its_release_fault_really_does(measure: Measure, name: str) -> None:
    """One catalogue: the drills' rates are bounded by what the fault does to simulated customers of the real assistant."""
    figures_ = measure(INCIDENTS[name].fault, "assistant")
    rates = harm(INCIDENTS[name])
    ratings = rates.pop("ratings", None)
    assert rates
    for field, value in rates.items():
        assert value <= getattr(figures_, FIGURE_OF[field]), field
    if ratings is not None:
        assert sum(level * part for level, part in enumerate(ratings, 1)) >= figures_.csat
