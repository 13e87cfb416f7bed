"""Which model answers: a small one for plain, low-risk questions, a large one for complex or risky ones.

Rules
- Complexity in [0, 1] is a weighted mean of four parts: how risky the subject is, how unsure the classifier, how badly the
  passages fit, how long the question. The weights and the risky subjects are the release's, so they are part of its hash.
- Large from `threshold` on. The threshold is calibrated on a sample of real questions so that a target share of them, and not
  more, goes to the large model; sample size and share are kept beside it.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Size = Literal["small", "large"]
RETRIEVAL_HALF = 4.0  # retrieval score at which passages count as fitting half
LENGTH_FULL = 60  # words from which a question counts as fully long


class RoutingFileError(Exception):
    """A stored routing cannot be read."""


@dataclass(frozen=True, slots=True)
class RoutingWeights:
    """Weights of the four parts, >= 0, not all zero; only their ratio counts."""

    risk: float = 0.35
    doubt: float = 0.30
    misfit: float = 0.20
    length: float = 0.15

    def __post_init__(self) -> None:
        parts = (self.risk, self.doubt, self.misfit, self.length)
        if min(parts) < 0 or not all(math.isfinite(part) for part in parts) or sum(parts) <= 0:
            raise ValueError(f"routing weights must be finite, >= 0 and not all zero, got {parts}")


@dataclass(frozen=True, slots=True)
class Routing:
    """How requests are divided. `intent_risk` in [0, 1] by intent; a subject that is not named has `default_risk`."""

    threshold: float = 0.5
    weights: RoutingWeights = field(default_factory=RoutingWeights)
    intent_risk: tuple[tuple[str, float], ...] = ()
    default_risk: float = 0.5
    target_share: float | None = None
    calibrated_on: int = 0

    def risk_of(self, intent: str) -> float:
        """How risky this subject is."""
        return dict(self.intent_risk).get(intent, self.default_risk)

    def score(self, intent: str, confidence: float, retrieval_score: float, question: str) -> float:
        """Complexity of a request in [0, 1]; rises with risk, doubt, misfit and length."""
        return complexity(self.risk_of(intent), confidence, retrieval_score, len(question.split()), self.weights)

    def choose(self, score: float) -> Size:
        """The model that a request of this complexity gets."""
        return "large" if score >= self.threshold else "small"


def complexity(
    risk: float, confidence: float, retrieval_score: float, words: int, weights: RoutingWeights | None = None
) -> float:
    """The weighted mean of the four parts; inputs outside their range are cut to it."""
    weighed = weights or RoutingWeights()
    parts = (
        (weighed.risk, _unit(risk)),
        (weighed.doubt, 1 - _unit(confidence)),
        (weighed.misfit, RETRIEVAL_HALF / (RETRIEVAL_HALF + max(retrieval_score, 0.0))),
        (weighed.length, min(max(words, 0) / LENGTH_FULL, 1.0)),
    )
    return _unit(sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts))


def calibrate(scores: Sequence[float], target_share: float) -> float:
    """The smallest threshold at which at most `target_share` of these scores goes to the large model.

    Equal scores go together. 0 <= target_share <= 1; an empty sample proves nothing and is refused.
    """
    if not scores:
        raise ValueError("routing cannot be calibrated on an empty sample: give at least one score")
    if not 0 <= target_share <= 1:
        raise ValueError(f"target_share must lie in [0, 1], got {target_share}")
    allowed = math.floor(target_share * len(scores) + 1e-9)
    ranked = sorted(scores)
    if allowed >= len(ranked):
        return ranked[0]
    # The largest score that must stay small: everything above it may be large.
    last_small = ranked[len(ranked) - allowed - 1]
    return math.nextafter(last_small, math.inf)


def large_share(scores: Sequence[float], threshold: float) -> float:
    """The share of these scores that goes to the large model."""
    return sum(score >= threshold for score in scores) / len(scores) if scores else 0.0


def save_routing(routing: Routing, path: Path) -> None:
    """Writes a routing as JSON."""
    path.write_text(json.dumps(asdict(routing), indent=1), encoding="utf-8")


def load_routing(path: Path) -> Routing:
    """Reads a stored routing; `RoutingFileError` names the file and what is wrong."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["weights"] = RoutingWeights(**content["weights"])
        content["intent_risk"] = tuple((str(name), float(risk)) for name, risk in content["intent_risk"])
        return Routing(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RoutingFileError(f"routing {path} cannot be read: {error}: calibrate and save it again") from error


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
