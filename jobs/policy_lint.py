"""`controlplane policy lint`: every problem of a policy file, and what it will disappoint with."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from controlplane.core.policy import Policy, PolicyError, Problem, check, parse
from controlplane.core.policy_lint import LabelDelay
from controlplane.settings import SettingsError
from controlplane.store.queries import load
from jobs.policy_files import policy_text
from jobs.sql_command import run_sql

FEWEST_LABELS = 100
"""Fewer labels of a metric say nothing about the slowest twentieth of them."""


def lint_file(file: Path, history: str | None, *, strict: bool) -> tuple[dict[str, Any], str]:
    """The verdict as plain values and as text. `history`: workspace whose labels tell how long they take; None: do not look."""
    text = policy_text(file)
    delays = {} if history is None else label_delays(history)
    try:
        policy = parse(text, str(file))
    except PolicyError as error:
        return _value(False, error.problems, ()), str(error)
    found = check(policy, delays)
    errors = tuple(item for item in found if item.severity == "error" or strict)
    milder = tuple(item for item in found if item not in errors)
    lines = [item.text(str(file)) for item in found]
    value = (
        _value(not errors, errors, milder) | _figures(policy) | {"history": {k: asdict(v) for k, v in delays.items()}}
    )
    if not errors:
        head = f"{file}: ok, {len(policy.triggers)} triggers, {len(policy.stages)} stages, sha256 {policy.hash[:12]}"
        lines.append(head + (f"; {len(milder)} warnings" if milder else ""))
    elif all(item.severity != "error" for item in errors):
        lines.append(f"{file}: refused, for --strict takes warnings as errors; without it the policy can be run")
    return value, "\n".join(lines)


def label_delays(home: str) -> dict[str, LabelDelay]:
    """How late labels came in a workspace, by metric; SettingsError when it holds too few to say anything."""
    _, rows = run_sql(home, load("policy/label_delays"))
    known = {
        metric: LabelDelay(round(float(minutes), 1), int(labels))
        for metric, minutes, labels in rows
        if labels >= FEWEST_LABELS
    }
    if not known:
        seen = ", ".join(f"{metric} {labels}" for metric, _, labels in rows) or "none"
        raise SettingsError(
            f"the facts of {home} hold too few labels to tell how late they come ({seen}; {FEWEST_LABELS} of a metric are needed): "
            "ingest more history, or lint without --history"
        )
    return known


def _figures(policy: Policy) -> dict[str, Any]:
    stages, triggers = len(policy.stages), len(policy.triggers)
    return {"name": policy.name, "hash": policy.hash, "triggers": triggers, "stages": stages}


def _value(ok: bool, errors: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> dict[str, Any]:
    return {"ok": ok, "problems": [asdict(item) for item in errors], "warnings": [asdict(item) for item in warnings]}
