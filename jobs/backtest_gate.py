"""The gate of the backtest: a policy that broke its own promise on history guards no release, unless a person says so on record.

Rules
- What counts is every recorded backtest of exactly this policy text (by hash). Another text needs another backtest. One that failed is not
  undone by a later one that passed: with another seed, or on another history, it would be tried until it does.
- Refused: more false rollbacks than promised (the lower 95 % bound is above the promise), or a stress that the guarantee covers and that broke it.
- With `decisions.backtest_required` a policy without a recorded backtest is refused, too; so is one whose backtests had too few replays to tell.
- A record that the audit log does not know, or knows differently, opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.policy import Policy
from controlplane.store.state import StateReader

KIND = "backtest"
FINISHED_EVENT = "backtest_finished"
ENOUGH = 2_000  # replays
OVERRIDE = "or start with `--override-backtest REASON`, which is recorded"


def missing_backtest(state: StateReader, policy: Policy) -> str | None:
    """Why the policy may not guard a release as far as backtests go, with the remedy; None when nothing stands against it."""
    found = [row for row in state.artefacts(KIND) if row.summary.get("policy_hash") == policy.hash]
    if not found:
        return _none(policy)
    for row in found:
        if vouched(row.summary) not in state.vouched(FINISHED_EVENT, row.artefact_id):
            return (
                f"backtest {row.artefact_id} does not agree with the audit log: "
                f"restore the state database from a backup, {OVERRIDE}"
            )
    failed = [row for row in found if row.summary.get("failing")]
    if not failed:
        return None if any(_shows_enough(row.summary) for row in found) else _none(policy)
    reasons = "; ".join(failed[-1].summary["failing"])
    passed = f" ({len(found) - len(failed)} others passed, which does not undo it)" if len(failed) < len(found) else ""
    return (
        f"backtest {failed[-1].artefact_id} of policy '{policy.name}' failed: {reasons}{passed}. "
        f"Change the policy and run it again, {OVERRIDE}"
    )


def _shows_enough(summary: Mapping[str, Any]) -> bool:
    """Whether a backtest without a failing says anything: a handful of replays never breaks a promise."""
    return summary.get("verdict") == "kept" or int(summary["false_rollback"]["replays"]) >= ENOUGH


def _none(policy: Policy) -> str | None:
    if not policy.decisions.backtest_required:
        return None
    return (
        f"policy '{policy.name}' ({policy.hash[:12]}) asks for a backtest and none is recorded (verdict kept, or at least {ENOUGH:,} replays): "
        f"`controlplane policy backtest POLICY` in this workspace, {OVERRIDE}"
    )


def vouched(summary: Mapping[str, Any]) -> dict[str, str]:
    """What the audit log says about a recorded backtest."""
    return {"policy_hash": str(summary["policy_hash"]), "summary_hash": sha256_text(canonical(dict(summary)))}


def failing(result: Mapping[str, Any]) -> list[str]:
    """What a backtest holds against its policy, in words; empty when it kept its promise (or the replays were too few to tell)."""
    rollbacks, reasons = result["false_rollback"], []
    if rollbacks["lower95"] > rollbacks["promised"]:
        reasons.append(
            f"{rollbacks['count']} of {rollbacks['replays']} harmless replays were rolled back (at least {rollbacks['lower95']:.2%}), "
            f"promised are {rollbacks['promised']:.2%}"
        )
    reasons += [
        f"stress {row['name']}: {row['count']} of {row['replays']} harmless replays were rolled back, promised are {rollbacks['promised']:.2%}"
        for row in result["detail"]["stress"]
        if row["verdict"] == "broken"
    ]
    return reasons
