"""Many hypotheses at once: which ones to believe so that at most a share `level` of what is believed is expected to be false.

- `benjamini_hochberg`: p-values, independent or positively dependent (JRSS B 57, 1995).
- `benjamini_yekutieli`: p-values under any dependence, at the price of a factor log(m) (Annals of Statistics 29, 2001).
- `e_bh`: e-values under any dependence, at no price (Wang and Ramdas, JRSS B 84, 2022): the k largest count when the k-th is at least m/(level k).
- `adjusted`: p-values corrected by a named method, to be compared with the level; Holm's bounds the chance of *any* false one (Scandinavian Journal
  of Statistics 6, 1979), Benjamini-Hochberg's the share.

Arrays `(m,)`; NaN means "not tested": it is never believed and does not count among the m.
"""

import numpy as np
import numpy.typing as npt

from controlplane.core.evidence.forms import BoolArray, FloatArray


def benjamini_hochberg(p_values: npt.ArrayLike, level: float) -> BoolArray:
    """Which hypotheses are rejected, `(m,)`."""
    return _step_up(_checked(p_values, level), level)


def benjamini_yekutieli(p_values: npt.ArrayLike, level: float) -> BoolArray:
    """The same for p-values that may depend on each other in any way."""
    p = _checked(p_values, level)
    tested = int(np.sum(~np.isnan(p)))
    return _step_up(p, level / max(float(np.sum(1.0 / np.arange(1, tested + 1))), 1.0))


def e_bh(log_e: npt.ArrayLike, level: float) -> BoolArray:
    """Which hypotheses are rejected, from the *logs* of their e-values `(m,)`."""
    values = np.asarray(log_e, dtype=np.float64)
    _check_level(level)
    # an e-value e is worth the p-value min(1, 1/e), and the step-up on those is e-BH
    return _step_up(np.exp(-np.maximum(values, 0.0)), level)


METHODS = {
    "holm": "Holm: at most this chance of any false find",
    "bh": "Benjamini-Hochberg: at most this share of false finds",
    "none": "not corrected: each p-value stands alone",
}
"""The methods of `adjusted`, in words."""


def adjusted(p_values: npt.ArrayLike, method: str) -> FloatArray:
    """Corrected p-values `(m,)`: rejected at `level` exactly when at most `level`. `method` is one of METHODS; ValueError else."""
    p = _checked(p_values, 0.5)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    tested = np.flatnonzero(~np.isnan(p))
    if method == "none" or not len(tested):
        return p
    order = tested[np.argsort(p[tested], kind="stable")]
    m, rank = len(order), np.arange(len(order))
    corrected = np.full(p.shape, np.nan)
    if method == "holm":
        corrected[order] = np.minimum(np.maximum.accumulate(p[order] * (m - rank)), 1.0)
    else:
        falling = np.minimum.accumulate((p[order] * m / (rank + 1))[::-1])[::-1]
        corrected[order] = np.minimum(falling, 1.0)
    return corrected


def _checked(p_values: npt.ArrayLike, level: float) -> FloatArray:
    _check_level(level)
    p = np.asarray(p_values, dtype=np.float64)
    if np.any((p < 0.0) | (p > 1.0)):
        raise ValueError("a p-value lies between 0 and 1; give NaN for what was not tested")
    return p


def _step_up(p: FloatArray, level: float) -> BoolArray:
    """The largest k whose k-th smallest p is at most level k/m decides; everything up to that p is rejected."""
    ordered = np.sort(p[~np.isnan(p)])
    passed = np.flatnonzero(ordered <= level * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    if not len(passed):
        return np.zeros(p.shape, dtype=np.bool_)
    return np.asarray(p <= ordered[passed[-1]])


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie strictly between 0 and 1")
