"""Promotion certificates: rarely wrong, soon enough, void after a restart."""

import json

import numpy as np
import pytest
from scipy.stats import binom

from controlplane.core.evidence import CertificateReading, CertificateSpec, CertificateState, Counts
from controlplane.core.evidence.certificate import restart, step

SPEC = CertificateSpec("two_sample", margin=0.02, beta=0.05)


def blocks_of(rng, n_t, n_c, p_t, p_c, length):
    x_t, x_c = rng.binomial(n_t, p_t, length).tolist(), rng.binomial(n_c, p_c, length).tolist()
    return [Counts(n_t, t, n_c, c) for t, c in zip(x_t, x_c, strict=True)]


def first_certified(spec, blocks):
    state = CertificateState.fresh(spec)
    for block, counts in enumerate(blocks):
        state, reading = step(spec, state, block, counts)
        if reading.certified:
            return block
    return None


def test_a_release_exactly_at_the_margin_is_rarely_certified():
    rng = np.random.default_rng(1)
    runs, beta = 200, 0.2
    spec = CertificateSpec("two_sample", margin=0.03, beta=beta)
    wrong = sum(first_certified(spec, blocks_of(rng, 40, 40, 0.13, 0.1, 60)) is not None for _ in range(runs))
    assert wrong <= binom.isf(1e-4, runs, beta)


def test_ratings_at_the_allowed_drop_are_rarely_certified():
    rng = np.random.default_rng(2)
    runs, beta = 100, 0.2
    spec = CertificateSpec("rating", margin=1.0, beta=beta)
    wrong = 0
    for _ in range(runs):
        treated, control = rng.multinomial(20, [0.25, 0, 0, 0, 0.75], 60), rng.multinomial(20, [0, 0, 0, 0, 1.0], 60)
        wrong += (
            first_certified(spec, [Counts(kT=tuple(t), kC=tuple(c)) for t, c in zip(treated, control, strict=True)])
            is not None
        )
    assert wrong <= binom.isf(1e-4, runs, beta)


@pytest.mark.parametrize("margin", [0.02, 0.06])
def test_a_harmless_release_is_certified_near_the_information_bound(margin):
    rng = np.random.default_rng(3)
    n_t, n_c, base = 25, 475, 0.2
    bound = np.log(20) * 2 * base * (1 - base) * (1 + n_t / n_c) / margin**2  # in treated units
    spec = CertificateSpec("two_sample", margin, beta=0.05)
    needed = [first_certified(spec, blocks_of(rng, n_t, n_c, base, base, 600)) for _ in range(25)]
    assert None not in needed
    assert 0.5 * bound <= n_t * (np.median(needed) + 1) <= 1.5 * bound


def test_a_satisfied_release_is_certified_on_ratings_and_an_improvement_on_a_negative_margin():
    good, usual = Counts(kT=(0, 0, 1, 4, 15), kC=(2, 2, 4, 6, 6)), Counts(kT=(2, 2, 4, 6, 6), kC=(2, 2, 4, 6, 6))
    better = CertificateSpec("rating", margin=-0.2, beta=0.05)
    assert first_certified(CertificateSpec("rating", 0.2, 0.05), [good] * 60) is not None
    assert first_certified(better, [good] * 60) is not None
    assert first_certified(better, [usual] * 60) is None


def test_the_product_is_plain_and_a_restart_forgets_it_but_not_the_control():
    rng = np.random.default_rng(4)
    state, logs = CertificateState.fresh(SPEC), np.zeros(4)
    for block, counts in enumerate([*blocks_of(rng, 30, 70, 0.1, 0.12, 20), Counts(nC=5)]):
        state, reading = step(SPEC, state, block, counts)
        logs += reading.log_e
        assert reading.log_E == pytest.approx(np.log(np.exp(logs).mean()))
    assert state.blocks == 20  # the block without treated units does not count
    assert reading.empty
    again = restart(state)
    assert (again.log_product, again.blocks, again.control) == ((0.0,) * 4, 0, state.control)
    with pytest.raises(ValueError, match="is not after block 20"):
        step(SPEC, again, 20, Counts(1, 0, 1, 0))


def test_states_and_readings_survive_a_dictionary_to_the_last_bit():
    state, reading = step(SPEC, CertificateState.fresh(SPEC), 7, Counts(30, 2, 70, 11))
    assert CertificateState.from_dict(json.loads(json.dumps(state.to_dict(), allow_nan=False))) == state
    assert CertificateReading.from_dict(json.loads(json.dumps(reading.to_dict(), allow_nan=False))) == reading


def test_wrong_use_names_the_remedy():
    state = CertificateState.fresh(SPEC)
    with pytest.raises(ValueError, match="start afresh"):
        step(CertificateSpec("two_sample", 0.03, 0.05), state, 0, Counts())
    with pytest.raises(ValueError, match="certificates exist for"):
        CertificateSpec("one_sample", 0.03, 0.05)
    with pytest.raises(ValueError, match="margin is 2"):
        CertificateSpec("two_sample", 2.0, 0.05)
    with pytest.raises(ValueError, match="beta is 0"):
        CertificateSpec("two_sample", 0.02, 0.0)
