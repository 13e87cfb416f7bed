"""`controlplane policy diff`: what changes from one policy to another, and what it does to a rollout that runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from controlplane.core.policy import Policy
from controlplane.core.policy_diff import Summary, diff, summary


def compare(old: Policy, new: Policy) -> tuple[dict[str, Any], str]:
    """Plain values and text; the exit code is the caller's matter."""
    changes, together = diff(old, new), summary(old, new)
    value = {
        "same": not changes,
        "old": {"name": old.name, "hash": old.hash},
        "new": {"name": new.name, "hash": new.hash},
        "changes": [asdict(change) for change in changes],
        "summary": asdict(together),
    }
    if not changes:
        return value, "no change of meaning" + (
            "" if old.hash == new.hash else ": only comments, order or layout differ"
        )
    return value, "\n".join([*(change.text() for change in changes), "", *_said(together)])


def _said(together: Summary) -> list[str]:
    """The changes together, for people."""
    lines = [f"{together.weakens} weaken, {together.tightens} tighten, {together.neutral} do neither"]
    for words, names in (
        ("evidence begins again from nothing", together.restarted),
        ("new", together.begun),
        ("given up", together.ended),
    ):
        if names:
            lines.append(f"{words}: {', '.join(names)}")
    lines.append("every certificate begins again, and every stream may draw the weight of a policy change")
    lines.append(
        f"a release within its limits is stopped by a trigger with a probability of at most {together.promise:.2%}"
    )
    if together.running < together.promise:
        lines.append(f"a rollout that runs already keeps the smaller promise of {together.running:.2%}")
    return lines
