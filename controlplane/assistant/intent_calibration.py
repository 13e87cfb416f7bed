"""From raw scores to probabilities that can be believed, and to a score for being in scope at all.

Rules
- Raw scores: an SVM margin per label, and with embeddings a kernel regression's output per label. Their weighted sum goes
  through softmax; the weights (one weight alone is 1 / temperature, Guo et al. 2017) minimise the log loss.
- The largest probability p is then corrected by beta calibration (Kull et al. 2017): logit c = a ln p - b ln(1 - p) + k with
  a, b >= 0; the others share what is left in proportion. The order of the labels never changes.
- In scope: a logistic score of what the two scorers say. With labelled out-of-scope rows it is fitted to them; without,
  it is scaled to in-scope texts alone. `scope_threshold` keeps 95 % of the in-scope texts it was fitted on.
- Everything is fitted on outputs for rows that the scorers were not trained on. Values only; nothing here opens a file.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

TEMPERATURES = np.geomspace(0.02, 5.0, 160)
SCOPE_KEPT = 0.95
OUT_OF_SCOPE = -1
LEAST_OOS_ROWS = 20
SMALLEST = 1e-12
ONE_CLASS_WEIGHTS = (1.0, 0.1, 0.5)


class CalibrationError(ValueError):
    """There is too little to calibrate on; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Raw scores of n texts: SVM `margins` (n, labels); `outputs` (n, labels) of the kernel regression or None."""

    margins: Floats
    outputs: Floats | None = None

    def rows(self, chosen: NDArray[np.bool_] | Labels) -> "Scores":
        """The scores of some of the texts."""
        return Scores(self.margins[chosen], None if self.outputs is None else self.outputs[chosen])


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted numbers. `beta` is (a, b, k) or None for none; `scope` (centre, scale, weight) per feature, or empty."""

    margin_weight: float
    output_weight: float = 0.0
    beta: tuple[float, float, float] | None = None
    scope: tuple[tuple[float, float, float], ...] = ()
    scope_bias: float = 0.0
    scope_threshold: float = 0.0
    scope_fitted_to_oos: bool = False
    rows: int = 0
    data_sha256: str = ""
    log_loss: float = 0.0

    @property
    def digest(self) -> str:
        """Version: sha256 of all its numbers."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def logits(self, scores: Scores) -> Floats:
        """The weighted sum before softmax, (n, labels)."""
        total = scores.margins * self.margin_weight
        return total if scores.outputs is None else total + scores.outputs * self.output_weight

    def probabilities(self, scores: Scores) -> Floats:
        """Calibrated probabilities (n, labels); rows sum to 1."""
        plain = softmax(self.logits(scores))
        return plain if self.beta is None else _top_corrected(plain, self.beta)

    def in_scope(self, scores: Scores) -> Floats:
        """Score in [0, 1] per text; 1 where no score was fitted."""
        if not self.scope:
            return np.ones(len(scores.margins))
        centre, scale, weight = np.array(self.scope).T
        return logistic(((scope_features(self, scores) - centre) / scale) @ weight + self.scope_bias)


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float64)


def logistic(values: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), dtype=np.float64)


def log_loss(probabilities: Floats, truth: Labels) -> float:
    """Mean -ln of the true label's probability, for probabilities (n, labels) and label positions (n,)."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], SMALLEST)).mean())


def fit_temperature(margins: Floats, truth: Labels) -> float:
    """The temperature on a fixed grid with the least log loss for margins (n, labels) and true label positions (n,)."""
    return float(min(TEMPERATURES, key=lambda temperature: log_loss(softmax(margins / temperature), truth)))


def fit(scores: Scores, truth: Labels, data_sha256: str = "", beta: bool = True, scope: bool = True) -> Calibration:
    """Calibrates held-out scores; `truth` (n,) holds label positions, -1 for out of scope."""
    inside = truth != OUT_OF_SCOPE
    own, labels = scores.rows(inside), truth[inside]
    if not len(labels):
        raise CalibrationError("calibration needs rows with a known label, got none")
    found = _fit_weights(own, labels)
    if beta:
        found = replace(found, beta=_fit_beta(softmax(found.logits(own)), labels))
    found = replace(found, rows=len(truth), data_sha256=data_sha256)
    found = replace(found, log_loss=log_loss(found.probabilities(own), labels))
    return _fit_scope(found, scores, inside) if scope else found


def scope_features(calibration: Calibration, scores: Scores) -> Floats:
    """What tells a text of no known intent (n, features): how strong and how clear the scorers' best answer is."""
    margins = np.sort(scores.margins, axis=1)[:, -2:]
    logits = calibration.logits(scores)
    plain = softmax(logits)
    entropy = -(plain * np.log(np.maximum(plain, SMALLEST))).sum(axis=1)
    features = [margins[:, -1], margins[:, -1] - margins[:, -2], entropy, plain.max(axis=1), logits.max(axis=1)]
    if scores.outputs is not None:
        outputs = np.sort(scores.outputs, axis=1)[:, -2:]
        features += [outputs[:, -1], outputs[:, -1] - outputs[:, -2], scores.outputs.sum(axis=1)]
    return np.asarray(np.stack(features, axis=1), dtype=np.float64)


def _fit_weights(scores: Scores, truth: Labels) -> Calibration:
    """The weights of the scorers with the least log loss: on a grid for one, by simplex search of the logarithms for two."""
    if scores.outputs is None:
        return Calibration(margin_weight=1 / fit_temperature(scores.margins, truth))
    from scipy.optimize import minimize

    def loss(logs: Floats) -> float:
        margin_weight, output_weight = np.exp(logs).tolist()
        return log_loss(Calibration(margin_weight, output_weight).probabilities(scores), truth)

    found = np.exp(minimize(loss, np.log([3.0, 7.0]), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6}).x)
    return Calibration(float(found[0]), float(found[1]))


def _fit_beta(plain: Floats, truth: Labels) -> tuple[float, float, float] | None:
    """Beta calibration of the largest probability; None where all or none of the answers are right."""
    from sklearn.linear_model import LogisticRegression

    right = plain.argmax(axis=1) == truth
    if right.all() or not right.any():
        return None
    terms = _beta_terms(plain.max(axis=1))
    used = [0, 1]
    while used:
        fitted = LogisticRegression(C=1e3).fit(terms[:, used], right)
        negative = [column for column, weight in zip(used, fitted.coef_[0], strict=True) if weight < 0]
        if not negative:
            weights = dict(zip(used, fitted.coef_[0].tolist(), strict=True))
            return weights.get(0, 0.0), weights.get(1, 0.0), float(fitted.intercept_[0])
        used = [column for column in used if column not in negative]
    return None


def _beta_terms(top: Floats) -> Floats:
    kept = np.clip(top, 1e-9, 1 - 1e-9)
    return np.asarray(np.stack([np.log(kept), -np.log1p(-kept)], axis=1), dtype=np.float64)


def _top_corrected(plain: Floats, beta: tuple[float, float, float]) -> Floats:
    """Puts the corrected largest probability in place and scales the others; it stays the largest."""
    rows, best = np.arange(len(plain)), plain.argmax(axis=1)
    top = plain[rows, best]
    others: Floats = plain.copy()
    others[rows, best] = 0.0
    rest = others.sum(axis=1)
    share = np.divide(others.max(axis=1), rest, out=np.zeros_like(rest), where=rest > 0)
    wanted = logistic(_beta_terms(top) @ np.array(beta[:2]) + beta[2])
    corrected = np.where(rest > 0, np.maximum(wanted, share / (1 + share)), 1.0)
    others *= np.divide(1 - corrected, rest, out=np.zeros_like(rest), where=rest > 0)[:, None]
    others[rows, best] = corrected
    return others


def _fit_scope(calibration: Calibration, scores: Scores, inside: NDArray[np.bool_]) -> Calibration:
    features = scope_features(calibration, scores)
    known_oos = bool((~inside).sum() >= LEAST_OOS_ROWS)
    if known_oos:
        scope, bias = _scope_of_two_classes(features, inside)
    else:
        scope, bias = _scope_of_one_class(features[inside], scores.outputs is not None)
    found = replace(calibration, scope=scope, scope_bias=bias, scope_fitted_to_oos=known_oos)
    threshold = float(np.quantile(found.in_scope(scores.rows(inside)), 1 - SCOPE_KEPT))
    return replace(found, scope_threshold=threshold)


def _scope_of_two_classes(
    features: Floats, inside: NDArray[np.bool_]
) -> tuple[tuple[tuple[float, float, float], ...], float]:
    """Logistic regression, both classes weighing the same."""
    from sklearn.linear_model import LogisticRegression

    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    fitted = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit((features - centre) / scale, inside)
    columns = zip(centre.tolist(), scale.tolist(), fitted.coef_[0].tolist(), strict=True)
    return tuple(columns), float(fitted.intercept_[0])


def _scope_of_one_class(features: Floats, with_outputs: bool) -> tuple[tuple[tuple[float, float, float], ...], float]:
    """Largest output + 0.1 largest margin + 0.5 sum of outputs (or the margin alone): 5 % quantile -> .5, median -> .95."""
    weights = np.zeros(features.shape[1])
    if with_outputs:
        weights[[5, 0, 7]] = ONE_CLASS_WEIGHTS
    else:
        weights[0] = 1.0
    low, middle = np.quantile(features @ weights, [1 - SCOPE_KEPT, 0.5])
    slope = float(np.log(SCOPE_KEPT / (1 - SCOPE_KEPT)) / max(middle - low, 1e-6))
    return tuple((0.0, 1.0, slope * weight) for weight in weights.tolist()), -slope * float(low)
