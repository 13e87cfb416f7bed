"""Recorded backtests in words: did the policy keep its promise on the workspace's own history? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from dashboards.rollout.values import BROKEN, KEPT, Backtest
from dashboards.ui import chip
from dashboards.words import clock

TONES = {KEPT: "good", BROKEN: "bad"}
WORDS = {KEPT: "Kept", BROKEN: "Broken"}


def of_policy(found: Sequence[Backtest], policy_hash: str) -> list[Backtest]:
    """Those of exactly this policy text, newest first."""
    return [one for one in found if one.summary.get("policy_hash") == policy_hash]


def verdict(mine: Sequence[Backtest]) -> tuple[str, str, str]:
    """Headline, sentence and tone: the newest speaks, unless an earlier one failed, which a later pass does not undo."""
    if not mine:
        return (
            "Not backtested yet.",
            "Nobody has tried the policy in force on this workspace's history. Run it below; it takes seconds to minutes.",
            "wait",
        )
    failed = next((one for one in mine if one.verdict == BROKEN), None)
    one = failed or mine[0]
    rollbacks = one.summary["false_rollback"]
    counts = (
        f"{rollbacks['count']} of {rollbacks['replays']:,} harmless replays were rolled back; with 95 % confidence at most"
        f" {rollbacks['upper95']:.2%}, promised {rollbacks['promised']:.2%}."
    )
    if one.verdict == BROKEN:
        return (
            "The policy broke its promise on history.",
            f"{counts} {'; '.join(one.summary.get('failing', ()))}",
            "bad",
        )
    if one.verdict == KEPT:
        return "The policy keeps its promise on history.", counts, "good"
    return "No promise was broken, but too few replays to show it.", f"{counts} More replays narrow the bound.", "wait"


def rows(found: Sequence[Backtest], policy_hash: str, now: datetime) -> list[tuple[str, ...]]:
    """When, policy, verdict, false rollbacks, bound, promise, triggers judged, history. Cells are HTML."""
    shown: list[tuple[str, ...]] = []
    for one in found:
        rollbacks, history = one.summary["false_rollback"], one.summary["history"]
        mine = "in force" if one.summary.get("policy_hash") == policy_hash else "another text"
        shown.append(
            (
                escape(clock(one.created_at, now)),
                f"{escape(str(one.summary.get('policy', '')))} <span class='cp-small'>{mine}</span>",
                chip(WORDS.get(one.verdict, "Not shown"), TONES.get(one.verdict, "wait")),
                f"{rollbacks['count']} of {rollbacks['replays']:,}",
                f"{rollbacks['upper95']:.2%}",
                f"{rollbacks['promised']:.2%}",
                f"{rollbacks['judged']} of {rollbacks['triggers']}",
                f"{history['conversations']:,}",
            )
        )
    return shown


def report(one: Backtest, home: Path) -> Path | None:
    """The report's file inside the workspace; None when it is gone or lies elsewhere. A workspace that was moved keeps its reports."""
    written = Path(one.path)
    inside = home / "reports" / "backtest" / written.name
    for path in (inside, home / written):
        found = path.resolve()
        if found.is_relative_to(home.resolve()) and found.is_file():
            return found
    return None
