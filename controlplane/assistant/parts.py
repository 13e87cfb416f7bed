"""What an assistant is made of, and the thresholds it decides by. Values only; `pipeline` acts on them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controlplane.assistant import safety
from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import ReleaseArtefacts, SafetyRoute
from controlplane.assistant.pricing import Price
from controlplane.assistant.protocols import Bank, Classifier, Generator, Limiter, Retriever
from controlplane.assistant.retry import RetryPolicy
from controlplane.assistant.routing import Routing
from controlplane.assistant.service import ServiceProfile
from controlplane.assistant.tracing import Telemetry

if TYPE_CHECKING:
    from controlplane.assistant.cache import SemanticCache


@dataclass(frozen=True, slots=True)
class AssistantPolicy:
    """Thresholds of the pipeline. Probabilities in [0, 1], scores of retrieval >= 0."""

    answer_confidence: float = 0.45
    workflow_confidence: float = 0.6
    sensitive_mass: float = safety.SENSITIVE_MASS
    max_clarifications: int = 1
    min_retrieval_score: float = 1.0
    passages: int = 3
    block_ungrounded: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class AssistantParts:
    """What an assistant is made of.

    `small` is the cheaper model that `routing` sends plain questions to and that steps in for `generator`; both or none of
    the two are useful. `service` None = real time decides; prices None = unpriced; `retriever` None = BM25 over
    `knowledge`; `cache`, `limiter`, `telemetry` None = off. `scope_threshold`: below it a text is about no known intent.
    `clock` in seconds, `sleep` waits that long.
    """

    artefacts: ReleaseArtefacts
    classifier: Classifier
    knowledge: Knowledge
    generator: Generator
    bank: Bank
    prompt: str
    policy: AssistantPolicy = field(default_factory=AssistantPolicy)
    service: ServiceProfile | None = None
    price: Price | None = None
    execution_enabled: Callable[[], bool] = lambda: True
    clock: Callable[[], float] = time.perf_counter
    small: Generator | None = None
    small_price: Price | None = None
    routing: Routing = field(default_factory=Routing)
    retriever: Retriever | None = None
    cache: "SemanticCache | None" = None
    limiter: Limiter | None = None
    telemetry: Telemetry | None = None
    scope_threshold: float = 0.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Screening:
    """What a first message is about, and whether it needs a person: the basis of eligibility, the same in both arms."""

    intent: str
    confidence: float
    route: SafetyRoute | None
