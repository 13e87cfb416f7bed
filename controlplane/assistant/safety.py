"""Who must be served by a person, and which messages and pages carry an injection. Runs before any model call.

Rules
- Fraud, legal matters, harassment (also threats and danger to a person) and sensitive financial disputes always go to a
  person: a written rule matches, OR the calibrated probabilities of the sensitive intents sum to `sensitive_mass` or more
  (the rules alone find about nine in ten of real fraud phrasings).
- Rules only add routes. No rule, score or later step takes one away.
- A customer who asks for an agent, a human or a representative gets one, whatever else is said; a travel agent or a human
  error is not such a wish.
- The verdict says what was seen; the action (routing) is the pipeline's and is logged apart from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from controlplane.assistant import injection
from controlplane.assistant.model import IntentPrediction, Passage, SafetyRoute
from controlplane.assistant.safety_rules import ROUTE_RULES
from controlplane.assistant.safety_rules_agent import (
    AGENT_RULES,
    IDENTITY_QUESTION,
    SERVICE_QUESTION,
    SERVICE_RULES,
)
from controlplane.assistant.safety_text import compile_rules, rule_text

SENSITIVE_MASS = 0.05
AGENT_CONFIDENCE = 0.5

SENSITIVE_INTENTS: Mapping[str, SafetyRoute] = MappingProxyType(
    {
        "fraud": SafetyRoute.FRAUD,
        "legal_complaint": SafetyRoute.LEGAL,
        "harassment": SafetyRoute.HARASSMENT,
        "dispute_charge": SafetyRoute.FINANCIAL_DISPUTE,
    }
)
AGENT_INTENT = "human_agent"


@dataclass(frozen=True, slots=True)
class SafetyVerdict:
    """What the screen saw: all routes that apply in order of precedence, the sensitive sum, and why.

    `injection`: the text tries to instruct the assistant (prompt injection, jailbreak). It adds no route: whoever must
    have a person gets one, and otherwise the pipeline declines without a model call.
    """

    routes: tuple[SafetyRoute, ...]
    sensitive_mass: float
    reason: str
    injection: bool = False

    @property
    def route(self) -> SafetyRoute | None:
        """The route that names the hand-over, None if the assistant may answer."""
        return self.routes[0] if self.routes else None

    @property
    def asks_for_agent(self) -> bool:
        """Whether the customer asked for a person."""
        return SafetyRoute.AGENT_REQUEST in self.routes


@lru_cache(maxsize=64)
def rule_routes(text: str) -> tuple[SafetyRoute, ...]:
    """Routes that written rules add, in order of precedence; the whole text counts, however long."""
    plain = rule_text(text)
    found = [route for route, rules in ROUTE_RULES.items() if compile_rules(rules).search(plain)]
    return (*found, SafetyRoute.AGENT_REQUEST) if _wants_person(plain) else tuple(found)


def screen(
    text: str, prediction: IntentPrediction, sensitive_mass: float = SENSITIVE_MASS, rules_only: bool = False
) -> SafetyVerdict:
    """Judges one message. `rules_only` is for answers to our own question and mere courtesies, where a probability says nothing."""
    by_rule = rule_routes(text)
    masses = {intent: prediction.probabilities.get(intent, 0.0) for intent in SENSITIVE_INTENTS}
    mass = sum(masses.values())
    added: list[SafetyRoute] = []
    if not rules_only and mass >= sensitive_mass:
        added.append(SENSITIVE_INTENTS[max(masses, key=lambda intent: masses[intent])])
    if not rules_only and prediction.probabilities.get(AGENT_INTENT, 0.0) >= AGENT_CONFIDENCE:
        added.append(SafetyRoute.AGENT_REQUEST)
    routes = tuple(
        route for route in SafetyRoute if route in by_rule or (route in added and not _named(by_rule, route))
    )
    seen = injection.inspect(text)
    reasons = [_reason(by_rule, added, mass), *(f"injection:{family}" for family in seen.families if seen.found)]
    return SafetyVerdict(routes, mass, ", ".join(reason for reason in reasons if reason), seen.found)


def screen_passages(passages: Iterable[Passage]) -> tuple[tuple[Passage, ...], tuple[tuple[Passage, str], ...]]:
    """The passages that may reach a generator, in order, and those dropped, each with the reason."""
    kept: list[Passage] = []
    dropped: list[tuple[Passage, str]] = []
    for passage in passages:
        seen = injection.inspect_passage(f"{passage.title}\n{passage.body}")
        if seen.found:
            dropped.append((passage, ", ".join(f"injection:{family}" for family in seen.families)))
        else:
            kept.append(passage)
    return tuple(kept), tuple(dropped)


def _wants_person(plain: str) -> bool:
    if compile_rules(AGENT_RULES).search(compile_rules(IDENTITY_QUESTION).sub("", plain)):
        return True
    return bool(compile_rules(SERVICE_RULES).search(plain)) and not compile_rules(SERVICE_QUESTION).search(plain)


def _named(by_rule: tuple[SafetyRoute, ...], route: SafetyRoute) -> bool:
    """Whether a rule already named the subject: then a mere probability does not rename it, it only confirms a person."""
    return route is not SafetyRoute.AGENT_REQUEST and any(r is not SafetyRoute.AGENT_REQUEST for r in by_rule)


def _reason(by_rule: tuple[SafetyRoute, ...], added: list[SafetyRoute], mass: float) -> str:
    parts = [f"rule:{route.value}" for route in by_rule]
    parts += [f"probability:{route.value}={mass:.2f}" for route in added if route is not SafetyRoute.AGENT_REQUEST]
    parts += ["intent:agent_request"] if SafetyRoute.AGENT_REQUEST in added else []
    return ", ".join(parts)
