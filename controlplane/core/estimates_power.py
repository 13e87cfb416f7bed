"""Power: what a comparison could have found with the units it has, and what it will need. Display only; before launch see `forecast`.

- `smallest_difference`, `units_needed`: the two-sided z-test at one look, which everybody knows and plans with.
- `smallest_harm_found`: the same question to *our* alarm: the smallest constant harm whose expected evidence would by now be over the threshold. At
  that harm the alarm has gone off with a chance of about one half. "No alarm" says nothing about smaller ones.
"""

from collections.abc import Callable, Mapping
from math import log

import numpy as np
import numpy.typing as npt

from controlplane.core.evidence.counts import checked_columns
from controlplane.core.evidence.forms import FORMS, FloatArray

START_WEIGHT = 0.25
"""Weight of the first stage start: what a harm from the beginning of the stage is judged with."""
STEPS = 2000


def smallest_difference(error: float, alpha: float = 0.05, chance: float = 0.8) -> float:
    """The difference that a two-sided z-test finds with `chance` (minimal detectable effect): `(z_(1-alpha/2) + z_chance) error`."""
    from scipy.special import ndtri

    _check(error, alpha)
    if not alpha < chance < 1.0:
        raise ValueError(f"chance is {chance}; it must lie between alpha ({alpha}) and 1")
    return float(ndtri(1.0 - alpha / 2.0) + ndtri(chance)) * error


def units_needed(error: float, units: float, difference: float, alpha: float = 0.05, chance: float = 0.8) -> float:
    """Units at which `difference` is the smallest one found with `chance`, from the standard `error` at `units`."""
    if not abs(difference) > 0.0:
        raise ValueError("no number of units finds a difference of 0")
    return units * (smallest_difference(error, alpha, chance) / difference) ** 2


def smallest_harm_found(
    kind: str, totals: Mapping[str, npt.ArrayLike], limit: float, alpha: float, weight: float = START_WEIGHT
) -> float | None:
    """The smallest constant harm that the alarm would by now have met, in units of `limit`; None when there is none or nothing was counted.

    `kind` and `totals`: "two_sample" or "rate_ratio" with `nT, nC, xC`, "rating" with `kT, kC` (5 levels), "one_sample" with `nT`: sums since
    the stage began (what the treated did is not asked for: power is about what could have been). The answer is a difference of rates, a ratio,
    rating points lost, or a rate. `alpha`: of the stream; `weight`: what the account put at stake at the beginning. A log e-value is
    linear in its counts, so the totals stand
    for their blocks as long as the share of the traffic was constant.
    """
    if not 0.0 < alpha < 1.0 or not 0.0 < weight <= 1.0:
        raise ValueError(f"alpha {alpha} and weight {weight} must lie between 0 and 1")
    if kind not in _HARMS:
        raise ValueError(f"kind is {kind!r}; choose one of {', '.join(_HARMS)}")
    form, values = FORMS[kind], {name: np.asarray(value, dtype=np.float64) for name, value in totals.items()}
    harms, harmed = _HARMS[kind](values, limit)
    if not len(harms):
        return None
    columns = checked_columns(form, harmed)
    if np.all(form.is_empty(columns)):
        return None
    prior = form.learn(columns)
    log_e = form.log_e(columns, prior, limit)
    expected = np.logaddexp.reduce(log_e, axis=-1) - log(log_e.shape[-1])
    found = expected >= -log(alpha * weight)
    return float(harms[int(np.argmax(found))]) if found.any() else None


Harmed = tuple[FloatArray, dict[str, FloatArray]]


def _rates(values: Mapping[str, FloatArray], limit: float) -> Harmed:
    """Treated rates from the margin over the control's up to 1."""
    n_t, n_c, x_c = (float(values[name]) for name in ("nT", "nC", "xC"))
    base = x_c / n_c if n_c else 0.0
    harms = np.linspace(limit, 1.0 - base, STEPS + 1)[1:] if base + limit < 1.0 else np.empty(0)
    full = np.ones_like(harms)
    return harms, {"nT": n_t * full, "xT": n_t * (base + harms), "nC": n_c * full, "xC": x_c * full}


def _ratios(values: Mapping[str, FloatArray], limit: float) -> Harmed:
    """Treated rates from so many times the control's up to 1."""
    n_t, n_c, x_c = (float(values[name]) for name in ("nT", "nC", "xC"))
    base = x_c / n_c if n_c else 0.0
    harms = np.linspace(limit, 1.0 / base, STEPS + 1)[1:] if 0.0 < base * limit < 1.0 else np.empty(0)
    full = np.ones_like(harms)
    return harms, {"nT": n_t * full, "xT": n_t * base * harms, "nC": n_c * full, "xC": x_c * full}


def _limits(values: Mapping[str, FloatArray], limit: float) -> Harmed:
    """Rates from the limit up to 1."""
    n_t, harms = float(values["nT"]), np.linspace(limit, 1.0, STEPS + 1)[1:]
    return harms, {"nT": np.full(STEPS, n_t), "xT": n_t * harms}


def _ratings(values: Mapping[str, FloatArray], limit: float) -> Harmed:
    """The control's ratings, a part of those above 1 falling to 1, from the drop allowed to the largest there can be."""
    k_c, n_t = values["kC"], float(values["kT"].sum())
    if not k_c.sum():
        return np.empty(0), {}
    shares = k_c / k_c.sum()
    most = float(shares @ np.arange(5.0))
    harms = np.linspace(limit, most, STEPS + 1)[1:] if most > limit else np.empty(0)
    part = (harms / most)[:, None] if most else np.empty((0, 1))
    moved = shares * (1.0 - part) + part * np.eye(5)[0]
    return harms, {"kT": n_t * moved, "kC": np.broadcast_to(k_c, moved.shape)}


_HARMS: Mapping[str, Callable[[Mapping[str, FloatArray], float], Harmed]] = {
    "two_sample": _rates,
    "rate_ratio": _ratios,
    "one_sample": _limits,
    "rating": _ratings,
}


def _check(error: float, alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie strictly between 0 and 1")
    if not error > 0.0:
        raise ValueError(f"error is {error}; a standard error is above 0")
