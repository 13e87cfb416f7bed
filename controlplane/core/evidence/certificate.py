"""Promotion certificate: evidence that the treated arm is *not worse than the margin*, which the absence of an alarm never is.

Form 5 tests H0: pT - pC >= margin (or that many rating points lost). The evidence is the plain product of its e-values with weight 1 at the start:

    E(t) = mean_k prod_t e_k(t)        certified when E(t) >= 1/beta, false with probability at most beta

Rules: it belongs to one release; `restart` at each stage start, deploy and policy change, since what was certified is no longer what runs
(knowledge about the *control* is kept, it is still from earlier blocks); the caller ignores it while a trigger holds. A negative margin certifies
an improvement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controlplane.core.evidence.counts import Counts, stack_counts
from controlplane.core.evidence.forms import CERTIFICATES, Form


@dataclass(frozen=True, slots=True)
class CertificateSpec:
    """`kind`: two_sample or rating. `margin`: points on the rate (0.02) or on the rating (0.2). `beta`: chance of a wrong certificate."""

    kind: str
    margin: float
    beta: float

    def __post_init__(self) -> None:
        if self.kind not in CERTIFICATES:
            raise ValueError(f"kind is {self.kind!r}; certificates exist for {', '.join(CERTIFICATES)}")
        if error := self.form.limit_error(self.margin):
            raise ValueError(f"certificate {self.kind}: margin is {self.margin}; {error}")
        if not 0.0 < self.beta < 1.0:
            raise ValueError(f"certificate {self.kind}: beta is {self.beta}; it must lie strictly between 0 and 1")

    @property
    def form(self) -> Form:
        return CERTIFICATES[self.kind]

    @property
    def log_threshold(self) -> float:
        """log(1/beta)"""
        return -float(np.log(self.beta))


@dataclass(frozen=True, slots=True)
class CertificateState:
    """Log product per bet since the last restart, what is known of the control, blocks that counted since then, last block read."""

    kind: str
    margin: float
    log_product: tuple[float, ...]
    control: tuple[float, float, float] = (0.0, 0.0, 0.0)
    blocks: int = 0
    last_block: int | None = None

    @classmethod
    def fresh(cls, spec: CertificateSpec) -> "CertificateState":
        return cls(spec.kind, spec.margin, (0.0,) * len(spec.form.bets(spec.margin)))

    def to_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "log_product": list(self.log_product), "control": list(self.control)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "CertificateState":
        return cls(**{**plain, "log_product": tuple(plain["log_product"]), "control": tuple(plain["control"])})


@dataclass(frozen=True, slots=True)
class CertificateReading:
    """What one block added: `log_e` per bet, `log_E` since the last restart, and whether that certifies."""

    block: int
    counts: Counts
    empty: bool
    log_e: tuple[float, ...]
    log_E: float
    log_threshold: float
    certified: bool

    def to_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "counts": self.counts.to_dict(), "log_e": list(self.log_e)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "CertificateReading":
        return cls(**{**plain, "counts": Counts.from_dict(plain["counts"]), "log_e": tuple(plain["log_e"])})


def restart(state: CertificateState) -> CertificateState:
    """E = 1 again; order of blocks and knowledge of the control stay."""
    return replace(state, log_product=(0.0,) * len(state.log_product), blocks=0)


def step(
    spec: CertificateSpec, state: CertificateState, block_index: int, counts: Counts
) -> tuple[CertificateState, CertificateReading]:
    """Read one block; ValueError for a repeated or older block, a foreign state or impossible counts."""
    if (state.kind, state.margin) != (spec.kind, spec.margin):
        raise ValueError(
            f"the state belongs to {state.kind} at {state.margin}, not to {spec.kind} at {spec.margin}; start afresh"
        )
    if state.last_block is not None and block_index <= state.last_block:
        raise ValueError(
            f"block {block_index} is not after block {state.last_block}, the last one read; blocks close once and in order"
        )
    columns = stack_counts(spec.form, [counts])
    control = np.array([state.control])
    log_e = spec.form.log_e(columns, control, spec.margin)[0]
    log_product = np.array(state.log_product) + log_e
    empty = bool(spec.form.is_empty(columns)[0])
    n, total, squares = (control + spec.form.learn(columns))[0].tolist()
    log_mean = float(np.logaddexp.reduce(log_product) - np.log(len(log_product)))
    after = replace(
        state,
        log_product=tuple(log_product.tolist()),
        control=(n, total, squares),
        blocks=state.blocks + (not empty),
        last_block=block_index,
    )
    certified = log_mean >= spec.log_threshold
    return after, CertificateReading(
        block_index, counts, empty, tuple(log_e.tolist()), log_mean, spec.log_threshold, certified
    )
