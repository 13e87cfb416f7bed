"""Releases: what identifies them, and that a bad one really serves its customers worse."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.assistant import Assistant, AssistantPolicy, ReleaseConfig, bad, build_assistant, good
from tests.assistant.talk import converse, faultless, helped


def build(config: ReleaseConfig, models: Path) -> Assistant:
    return build_assistant(config, models, service=faultless(3))


def test_each_fault_changes_its_own_hash_only(models: Path) -> None:
    base = build(good("1"), models).artefacts
    changed = {"knowledge": "knowledge", "generator": "model", "classifier": "classifier", "slow": "model"}
    for fault, artefact in changed.items():
        other = build(bad("1", fault), models).artefacts  # type: ignore[arg-type]
        fields = ("model", "prompt", "knowledge", "classifier", "policy")
        assert [f for f in fields if getattr(other, f) != getattr(base, f)] == [artefact]
        assert other.digest != base.digest


def test_a_label_is_no_artefact_and_a_policy_is(models: Path) -> None:
    base = build(good("1"), models).artefacts
    assert build(good("2"), models).artefacts.digest == base.digest
    assert build(good("2"), models).artefacts.version == "2"
    strict = ReleaseConfig("1", policy=AssistantPolicy(sensitive_mass=0.04))
    assert build(strict, models).artefacts.policy != base.policy


def test_faults_combine(models: Path) -> None:
    both = bad("3", "knowledge", "slow")
    assert (both.knowledge, both.slow_factor, both.generator) == ("corrupt", 3.0, "extractive")
    question = "how long does a refund take"
    fast, slow = converse(build(good(), models), question)[0], converse(build(both, models), question)[0]
    assert slow.model_calls[0].latency_ms == pytest.approx(3 * fast.model_calls[0].latency_ms, abs=0.3)


@pytest.mark.parametrize("fault", ["knowledge", "generator", "classifier"])
def test_a_bad_release_helps_fewer_customers(fault: str, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = helped(build(good(), models)), helped(build(bad("2", fault), models))  # type: ignore[arg-type]
    with capsys.disabled():
        print(f"\nheld-out questions met by the first reply: good {before:.3f}, bad {fault} {after:.3f}")
    assert before >= 0.6
    assert after <= before - 0.2


def test_the_rates_of_a_release_reach_its_service(models: Path) -> None:
    assistant = build(ReleaseConfig("x", error_rate=1.0), models)
    assert converse(assistant, "how long does a refund take")[0].error_type == "model_service_error"
    hanging = build(ReleaseConfig("x", timeout_rate=1.0), models)
    assert converse(hanging, "how long does a refund take")[0].timed_out
