"""Which intent an embedding belongs to: ridge regression with a Gaussian kernel, one output per intent.

Rules
- Targets are 1 for the true intent and 0 else, out-of-scope rows 0 everywhere; far from all training texts every output
  goes to 0, so the largest output also says how much at home a text is.
- At most 6,000 training texts are centres (Nyström: Williams and Seeger 2001); up to that many it is the exact solution.
  With K = L L' over the centres and features L^-1 k(x), the normal equations stay well conditioned in single precision.
- Out-of-fold outputs cost one more factorisation a fold, because the Gram matrices of the folds add up to the whole's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CENTRES = 6_000
MAX_CELLS = 200_000_000
GAMMA = 1.0
PENALTY = 0.05
JITTER = 1e-3

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class KernelRidge:
    """Centres (m, d), unit vectors, and their weights (m, labels)."""

    centres: Singles
    weights: Singles

    def outputs(self, embeddings: Singles) -> NDArray[np.float64]:
        """The regression's output per label, (n, labels) for unit vectors (n, d)."""
        return np.asarray(gaussian(embeddings, self.centres) @ self.weights, dtype=np.float64)


def gaussian(left: Singles, right: Singles) -> Singles:
    """exp(-GAMMA |a - b|^2) of all pairs of unit vectors: (n, d), (m, d) -> (n, m)."""
    kernel = left @ right.T
    kernel -= 1
    kernel *= 2 * GAMMA
    np.exp(kernel, out=kernel)
    return np.asarray(kernel, dtype=np.float32)


def fit(
    embeddings: Singles, targets: Singles, folds: NDArray[np.int64], seed: int, tick: Callable[[int], object]
) -> tuple[KernelRidge, NDArray[np.float64]]:
    """The regression of targets (n, labels) on embeddings (n, d), and each row's output when its fold was left out.

    `tick` hears 1 after each of the (number of folds + 2) parts of the work.
    """
    from scipy.linalg import cholesky, solve_triangular

    rows = len(embeddings)
    count = min(rows, MAX_CENTRES, max(2_000, MAX_CELLS // rows))
    centres = embeddings[np.sort(np.random.default_rng(seed).permutation(rows)[:count])]
    kernel = gaussian(centres, centres)
    kernel[np.diag_indices(count)] += JITTER
    lower = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
    features = solve_triangular(lower, gaussian(centres, embeddings), lower=True, check_finite=False).T
    tick(1)
    parts = [(np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
    grams = [features[part].T @ features[part] for part in parts]
    gram = np.sum(grams, axis=0)
    right = features.T @ targets
    held_out = np.zeros(targets.shape, np.float64)
    for part, own in zip(parts, grams, strict=True):
        held_out[part] = features[part] @ _solve(gram - own, right - features[part].T @ targets[part])
        tick(1)
    weights = solve_triangular(lower, _solve(gram, right), lower=True, trans="T", check_finite=False)
    tick(1)
    return KernelRidge(centres, np.asarray(weights, dtype=np.float32)), held_out


def _solve(gram: Any, right: Any) -> Any:
    """Ridge coefficients; overwrites `gram`, which nobody needs afterwards."""
    from scipy.linalg import cho_factor, cho_solve

    gram[np.diag_indices(len(gram))] += PENALTY
    return cho_solve(cho_factor(gram, overwrite_a=True, check_finite=False), right, check_finite=False)
