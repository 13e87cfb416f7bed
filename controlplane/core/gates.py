"""The gate out of a stage: what must be shown before more customers are exposed.

Growing needs time in the stage, enough treated customers, every certificate that the phase names, approvals by people who are
not the release's author, fresh data from facts as old as the state, data for every trigger that acts, a valid comparison, a
cooldown that has passed, and that no trigger has fired. Each requirement gives its own verdict with what there is and what is
needed, so a person sees what is missing; the worst verdict speaks for the gate. A missing measurement never passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from controlplane.core.model import Rollout, RolloutState, Verdict
from controlplane.core.policy import Phase
from controlplane.core.triggers import CertificateStanding


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of a gate: what is asked, what there is, and the verdict."""

    name: str
    verdict: Verdict
    have: str
    need: str


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What is known when a gate is judged."""

    now: datetime
    treated: int
    standings: Mapping[str, CertificateStanding]
    approvers: tuple[str, ...]
    author: str
    fired: bool
    fresh: bool
    reviewed: tuple[Requirement, ...] = ()  # what reviewed outputs add, where the policy asks for it
    invalid: tuple[str, ...] = ()  # what speaks against the comparison itself
    unheard: tuple[str, ...] = ()  # triggers that act and have heard nothing in this stage
    silent: tuple[str, ...] = ()  # metrics that have stopped
    facts_behind: str = ""  # why the facts are older than the state, "" when they are not
    cooldown_until: datetime | None = None  # when growing is allowed again after the last automatic action


@dataclass(frozen=True, slots=True)
class GateResult:
    """All requirements of a gate; `verdict` is the worst of them. `approvers`: whose approval counts."""

    requirements: tuple[Requirement, ...]
    approvers: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """PASS only when every requirement passes."""
        return max((requirement.verdict for requirement in self.requirements), default=Verdict.NO_DATA)

    @property
    def missing(self) -> tuple[Requirement, ...]:
        """What keeps the gate shut."""
        return tuple(item for item in self.requirements if item.verdict is not Verdict.PASS)

    def without(self, name: str) -> GateResult:
        """The gate as if one requirement were met."""
        return GateResult(tuple(item for item in self.requirements if item.name != name), self.approvers)


def judge_gate(rollout: Rollout, phase: Phase, facts: GateFacts) -> GateResult:
    """Every requirement of leaving the rollout's current stage."""
    lines = [
        _line("state", rollout.state is RolloutState.RUNNING, str(rollout.state), "RUNNING", Verdict.FAIL),
        _line("no trigger fired", not facts.fired, "fired" if facts.fired else "none", "none", Verdict.FAIL),
        _line("fresh data", facts.fresh, "fresh" if facts.fresh else "stale", "fresh", Verdict.NO_DATA),
        _line(
            "facts as old as the state",
            not facts.facts_behind,
            facts.facts_behind or "complete",
            "complete",
            Verdict.ERROR,
        ),
        _line("valid comparison", not facts.invalid, ", ".join(facts.invalid) or "valid", "valid", Verdict.FAIL),
        _heard(facts),
        _cooldown(facts),
        _age(rollout, phase, facts.now),
        _line("treated customers", facts.treated >= phase.min_treated, str(facts.treated), str(phase.min_treated)),
    ]
    lines += [_certificate(name, facts.standings.get(name)) for name in phase.certificates]
    lines += facts.reviewed
    lines.append(_approvals(phase, facts))
    return GateResult(tuple(lines), valid_approvers(facts))


def valid_approvers(facts: GateFacts) -> tuple[str, ...]:
    """Whose approval counts: not the author's, however the name is written, and nobody's twice."""
    found = {_plain(name): name for name in sorted(facts.approvers, reverse=True)}
    return tuple(sorted(name for plain, name in found.items() if plain and plain != _plain(facts.author)))


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _line(name: str, holds: bool, have: str, need: str, otherwise: Verdict = Verdict.INCONCLUSIVE) -> Requirement:
    return Requirement(name, Verdict.PASS if holds else otherwise, have, need)


def _heard(facts: GateFacts) -> Requirement:
    missing = [
        *(f"nothing heard by {name}" for name in facts.unheard),
        *(f"{name} has stopped" for name in facts.silent),
    ]
    return _line("triggers have data", not missing, ", ".join(missing) or "all", "all that act", Verdict.NO_DATA)


def _age(rollout: Rollout, phase: Phase, now: datetime) -> Requirement:
    age = now - rollout.stage_started_at
    need = timedelta(minutes=phase.min_minutes)
    return _line("time in stage", age >= need, f"{age.total_seconds() / 60:.0f} min", f"{phase.min_minutes:g} min")


def _cooldown(facts: GateFacts) -> Requirement:
    until = facts.cooldown_until
    left = 0 if until is None else ceil((until - facts.now).total_seconds() / 60)
    return _line("cooldown", left <= 0, f"{left} min left" if left > 0 else "passed", "passed")


def _certificate(name: str, standing: CertificateStanding | None) -> Requirement:
    if standing is None or standing.blocks == 0:
        return Requirement(f"certificate {name}", Verdict.NO_DATA, "no data", "evidence at its threshold")
    have, need = f"log evidence {standing.log_e:.2f}", f"{standing.log_threshold:.2f}"
    return _line(f"certificate {name}", standing.certified, have, need)


def _approvals(phase: Phase, facts: GateFacts) -> Requirement:
    if phase.approvals and not facts.author:
        return Requirement(
            "approvals", Verdict.NO_DATA, "the release's author is not known", f"{phase.approvals} (not the author)"
        )
    valid = valid_approvers(facts)
    have = ", ".join(valid) or ("only the author" if facts.approvers else "none")
    return _line("approvals", len(valid) >= phase.approvals, have, f"{phase.approvals} (not the author)")
