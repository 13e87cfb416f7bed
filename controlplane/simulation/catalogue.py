"""Scenarios as data: what is injected, and what the control plane is expected to find.

A fault is either a property of the release (its knowledge base, classifier or generator: the bad change is deployed like any other
release) or of the service around it (the same release, whose model slows down or fails). Nothing of it touches a record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from controlplane.assistant.pipeline import Assistant
from controlplane.assistant.protocols import Bank
from controlplane.assistant.release import ReleaseConfig, bad, build_assistant, good
from controlplane.assistant.service import ServiceProfile

HEALTHY_VERSION, CHANGED_VERSION = "2.0.0", "2.1.0"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One named situation.

    `slow_factor` multiplies the model's latency, `error_rate` and `timeout_rate` in [0, 1] replace its failures where given.
    `worse` names the catalogue metrics that must get clearly worse in the assistant's arm; none for a healthy release.
    """

    name: str
    injected: str
    expected: str
    release: ReleaseConfig
    worse: tuple[str, ...] = ()
    slow_factor: float = 1.0
    error_rate: float | None = None
    timeout_rate: float | None = None

    def service(self, normal: ServiceProfile) -> ServiceProfile:
        """The service this scenario runs on."""
        error_rate = normal.model.error_rate if self.error_rate is None else self.error_rate
        timeout_rate = normal.model.timeout_rate if self.timeout_rate is None else self.timeout_rate
        return normal.slowed(self.slow_factor).failing(error_rate, timeout_rate)

    def build(
        self,
        folder: Path,
        bank: Bank,
        normal: ServiceProfile,
        version: str | None = None,
        execution_enabled: Callable[[], bool] = lambda: True,
    ) -> Assistant:
        """The assistant of this scenario, ready for `World.deploy`; classifiers are kept in `folder`."""
        config = self.release if version is None else replace(self.release, version=version)
        return build_assistant(config, folder, bank, self.service(normal), execution_enabled=execution_enabled)


_ALL = (
    Scenario(
        name="healthy",
        injected="nothing",
        expected="fewer customers ask for a person than with the menu; every certificate passes, no trigger fires",
        release=good(HEALTHY_VERSION),
    ),
    Scenario(
        name="bad_knowledge",
        injected="a knowledge base after a bad import: most pages carry another page's text, the rest outdated numbers",
        expected="answers miss the point: escalations up, ratings down, answers not supported by the reviewed pages",
        release=bad(CHANGED_VERSION, "knowledge"),
        worse=("escalation_rate", "csat", "hallucination_rate", "contact_rate"),
    ),
    Scenario(
        name="shifted_labels",
        injected="a classifier trained on labels that slipped by one",
        expected="requests are taken for other subjects: misclassification and escalations up",
        release=bad(CHANGED_VERSION, "classifier"),
        worse=("misclassification_rate", "escalation_rate", "csat"),
    ),
    Scenario(
        name="slow_model",
        injected="a model that takes five times as long",
        expected="the latency objective is missed by more than one request in three; some customers lose patience",
        release=good(HEALTHY_VERSION),
        worse=("slow_share",),
        slow_factor=5.0,
    ),
    Scenario(
        name="careless_generator",
        injected="a fluent model that mixes unrelated pages and changes their numbers",
        expected="ungrounded answers in most of its replies; escalations up, ratings down",
        release=bad(CHANGED_VERSION, "generator"),
        worse=("hallucination_rate", "escalation_rate", "csat"),
    ),
    Scenario(
        name="api_outage",
        injected="the model's API fails in every second call and hangs in every tenth",
        expected="API errors and time-outs; the fallback keeps most customers served, so ratings hardly move",
        release=good(HEALTHY_VERSION),
        worse=("api_error_rate", "timeout_rate"),
        error_rate=0.5,
        timeout_rate=0.1,
    ),
)

SCENARIOS = MappingProxyType({scenario.name: scenario for scenario in _ALL})


def scenario(name: str) -> Scenario:
    """The scenario of that name; KeyError lists the names."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise KeyError(f"no scenario '{name}' in the catalogue; it has {', '.join(SCENARIOS)}") from None
