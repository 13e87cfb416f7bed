"""How long a certificate that is on its way still takes: the same mean path as `controlplane.core.forecast`, from where the evidence stands. Pure."""

from __future__ import annotations

from math import log

from controlplane.core.forecast import Expected, alike
from controlplane.core.policy_model import Certificate, Policy, Stage


def certificate_left(
    policy: Policy, expected: Expected, certificate: Certificate, stage: Stage, log_e: float
) -> tuple[float, float] | None:
    """(minutes of traffic, treated units) that a certificate still needs whose log evidence stands at `log_e`, if the arms are alike from now on.

    None where it cannot be had within the horizon. Labels that are to mature come on top where no block has closed yet.
    """
    reach, per_block, n_t = alike(policy, expected, certificate, stage)
    whole, done = reach(-log(policy.budget.certificate)), reach(log_e) if log_e > 0 else 0
    if whole is None or done is None:
        return None
    blocks = max(whole - done, 0)
    return blocks * per_block, blocks * n_t
