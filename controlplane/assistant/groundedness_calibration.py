"""The calibration of the groundedness score: a small versioned file with its own hash, its origin and its figures inside.

Rules
- The hash covers everything but itself (canonical JSON), so a changed weight, threshold or figure is found when the file is read.
- A calibration belongs to one way of computing the defects; one made for another is refused rather than applied to numbers it never saw.
- No weight may reward a defect: all are <= 0. Files are written by `controlplane eval calibrate-groundedness`, never by hand.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import exp, isfinite
from pathlib import Path
from typing import Any

from controlplane.assistant.groundedness_features import DEFECTS, EXTRACTOR

FORMAT = 1
DECISIVE_CEILING = 0.98  # of the threshold: the highest probability of an answer with a decisive defect
REMEDY = "make it anew with `controlplane eval calibrate-groundedness`"
_KEYS = {
    "format",
    "version",
    "extractor",
    "fingerprint",
    "threshold",
    "intercept",
    "weights",
    "decisive",
    "source",
    "procedure",
    "metrics",
    "sha256",
}


class CalibrationError(ValueError):
    """A calibration file is damaged, changed by hand or made for other defects."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log-odds of "grounded" = intercept + sum of weights (<= 0, in the order of `DEFECTS`) times defects.

    A defect in `decisive` keeps the probability below the threshold however good the rest is. An answer whose probability is below `threshold`
    is labelled ungrounded. `sha256` is the file's own, `metrics` its figures on held-out data.
    """

    version: str
    fingerprint: str
    threshold: float
    intercept: float
    weights: tuple[float, ...]
    decisive: tuple[bool, ...]
    sha256: str
    metrics: Mapping[str, Any]
    source: Mapping[str, Any]

    @property
    def name(self) -> str:
        """How the records name this detector."""
        return f"{self.version}:{self.sha256[:8]}"

    def probability(self, vector: tuple[float, ...]) -> float:
        """Calibrated probability in (0, 1) that a person would call an answer with these defects grounded."""
        logit = self.intercept + sum(weight * defect for weight, defect in zip(self.weights, vector, strict=True))
        probability = 1 / (1 + exp(-logit)) if logit > -700 else 0.0
        if any(defect and decides for defect, decides in zip(vector, self.decisive, strict=True)):
            return min(probability, DECISIVE_CEILING * self.threshold)
        return probability


def digest(content: Mapping[str, Any]) -> str:
    """sha256 of a calibration's content without its own hash, as canonical JSON."""
    plain = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(
        json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()


def read_calibration(path: Path) -> Calibration:
    """Reads a calibration file; `CalibrationError` says what is wrong with it and what to do."""
    return parse_calibration(path.read_text(encoding="utf-8"), str(path))


def shipped_calibration() -> Calibration:
    """The calibration that comes with the assistant."""
    name = "groundedness_calibration.json"
    return parse_calibration(files("controlplane.assistant").joinpath(name).read_text(encoding="utf-8"), name)


def parse_calibration(text: str, name: str) -> Calibration:
    """Checks and reads the content of a calibration file called `name`."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CalibrationError(f"calibration {name} is no JSON ({error}): {REMEDY}") from error
    if not isinstance(content, dict) or (missing := sorted(_KEYS - content.keys())):
        raise CalibrationError(
            f"calibration {name} lacks {', '.join(missing) if isinstance(content, dict) else 'everything'}: {REMEDY}"
        )
    if content["format"] != FORMAT or content["extractor"] != EXTRACTOR:
        raise CalibrationError(
            f"calibration {name} was made for format {content['format']}, {content['extractor']}; this program computes "
            f"format {FORMAT}, {EXTRACTOR}: {REMEDY}"
        )
    if digest(content) != content["sha256"]:
        raise CalibrationError(
            f"calibration {name} was changed after it was made (sha256 differs): restore the file or {REMEDY}"
        )
    weights = content["weights"]
    if not isinstance(weights, dict) or list(weights) != list(DEFECTS):
        raise CalibrationError(
            f"calibration {name}: the weights must be those of {', '.join(DEFECTS)}, in this order: {REMEDY}"
        )
    if not isinstance(content["decisive"], list) or not set(content["decisive"]) <= set(DEFECTS):
        raise CalibrationError(f"calibration {name}: decisive must list some of {', '.join(DEFECTS)}: {REMEDY}")
    values = (content["intercept"], content["threshold"], *weights.values())
    if (
        not all(isinstance(v, int | float) and isfinite(v) for v in values)
        or max(weights.values()) > 0
        or not 0 < content["threshold"] < 1
    ):
        raise CalibrationError(
            f"calibration {name}: weights must be finite and <= 0, the threshold within (0, 1): {REMEDY}"
        )
    return Calibration(
        version=str(content["version"]),
        fingerprint=str(content["fingerprint"]),
        threshold=float(content["threshold"]),
        intercept=float(content["intercept"]),
        weights=tuple(float(weight) for weight in weights.values()),
        decisive=tuple(defect in content["decisive"] for defect in DEFECTS),
        sha256=content["sha256"],
        metrics=content["metrics"],
        source=content["source"],
    )
