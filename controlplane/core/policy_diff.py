"""What changes between two policies, and what each change does to protection, to the error budget and to running evidence.

Compared are the values, by name and not by position, so a comment or another order of triggers is no change. Every change says whether it
weakens what the policy guarantees, in words that a person who approves it can judge:

- *weakens*: harm is found later or tolerated, more customers are exposed sooner, less is shown before growing, or the promise is broader;
- *tightens*: the opposite;
- *neutral*: something else is measured, or nothing that guards anybody.

A policy in force that changes is itself an event: it is known before the next block opens, so each stream may draw the weight of a policy change,
and each certificate begins again. What a change does beyond that is its `Evidence`; how it is carried out, and why the promise survives it, stands in
`controlplane.core.policy_switch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, Protocol

from controlplane.core.policy_effects import ACTIONS, AUDIENCES, RULES, Effect, Evidence, Rule
from controlplane.core.policy_model import Certificate, Phase, Policy, Trigger

LISTS = ("phases", "triggers", "certificates")
HEADS = ("name", "owner", "baseline", "release")
TABLES = (
    *("budget", "assignment", "watch", "evaluation", "review", "serving", "validity"),
    *("judge", "decisions", "overrides", "traffic", "drift", "programme", "incidents"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `key`: as in the file, lists by name (`triggers.csat_drop.limit`); `old`, `new`: plain values, None where there is none."""

    key: str
    old: object
    new: object
    effect: Effect
    consequence: str
    evidence: Evidence

    @property
    def about(self) -> str | None:
        """The trigger or certificate whose evidence this touches; None for a key of a table."""
        parts = self.key.split(".")
        return parts[1] if parts[0] in ("triggers", "certificates") and len(parts) > 1 else None

    def text(self) -> str:
        """Two lines for people."""
        values = f"{_shown(self.old)} -> {_shown(self.new)}"
        return f"{self.effect:9} {self.key}: {values}\n          {self.consequence} [{self.evidence.words}]"


@dataclass(frozen=True, slots=True)
class Summary:
    """What all changes together mean for a rollout that runs under the old policy.

    `restarted`: triggers whose streams begin again from no evidence. `begun`, `ended`: triggers that are new or gone. `promise`: the bound on any
    false alarm under the new policy; `running`: of a rollout that runs through the change, which keeps the smaller of both promises.
    """

    weakens: int
    tightens: int
    neutral: int
    restarted: tuple[str, ...]
    begun: tuple[str, ...]
    ended: tuple[str, ...]
    promise: float
    running: float


FLAG_RATE = ("judge.sensitivity", "judge.specificity")
"""What turns a limit on the true rate into one on the rate of flags."""


class Named(Protocol):
    """An entry of one of the policy's lists."""

    @property
    def name(self) -> str: ...


def diff(old: Policy, new: Policy) -> tuple[Change, ...]:
    """Every change of value from `old` to `new`, in the order of the file; empty when the two say the same."""
    changes: list[Change] = []
    for head in HEADS:
        changes += _field("", head, getattr(old, head), getattr(new, head))
    for table in TABLES:
        changes += _fields(table, table, getattr(old, table), getattr(new, table))
    for name in LISTS:
        changes += _list(name, getattr(old, name), getattr(new, name))
    return tuple(changes)


def summary(old: Policy, new: Policy) -> Summary:
    """The changes together."""
    changes = diff(old, new)
    names = [{item.name for item in policy.triggers} for policy in (old, new)]
    kept = names[0] & names[1]
    restarted = {change.about for change in changes if change.evidence is Evidence.RESTARTS} & kept
    if any(change.key in FLAG_RATE for change in changes):
        restarted |= {item.name for item in new.triggers if item.judged} & kept
    effects = [change.effect for change in changes]
    return Summary(
        weakens=effects.count(Effect.WEAKENS),
        tightens=effects.count(Effect.TIGHTENS),
        neutral=effects.count(Effect.NEUTRAL),
        restarted=tuple(item.name for item in new.triggers if item.name in restarted),
        begun=tuple(item.name for item in new.triggers if item.name not in kept),
        ended=tuple(item.name for item in old.triggers if item.name not in kept),
        promise=new.budget.false_rollback,
        running=min(old.budget.false_rollback, new.budget.false_rollback),
    )


def _fields(table: str, key: str, old: Any, new: Any) -> Iterator[Change]:
    for field in fields(old):
        if field.name != "name" or table not in LISTS:
            yield from _field(table, field.name, getattr(old, field.name), getattr(new, field.name), key)


def _field(table: str, name: str, old: object, new: object, key: str = "") -> Iterator[Change]:
    if old == new:
        return
    rule = RULES[f"{table}.{name}" if table else name]
    yield Change(f"{key}.{name}" if key else name, _plain(old), _plain(new), *_judge(rule, old, new), rule.evidence)


def _judge(rule: Rule, old: Any, new: Any) -> tuple[Effect, str]:
    """The effect and its words, from the direction of the change."""
    rises = _rises(rule, old, new)
    if rises is None:
        return rule.mixed, rule.words(None)
    return (rule.more if rises else rule.more.opposite), rule.words(rises)


def _rises(rule: Rule, old: Any, new: Any) -> bool | None:
    """Whether there is more of it; None when neither is more."""
    if rule.unlimited is not None and rule.unlimited in (old, new):
        return bool(new == rule.unlimited)
    if rule.order:
        known = [rule.order.index(str(value)) if str(value) in rule.order else None for value in (old, new)]
        return None if known[0] is None or known[1] is None or known[0] == known[1] else known[1] > known[0]
    if isinstance(old, tuple) and isinstance(new, tuple):
        if rule.exposure:
            return _exposes_more(old, new)
        added, gone = set(new) - set(old), set(old) - set(new)
        return None if bool(added) == bool(gone) else bool(added)
    if isinstance(old, bool | int | float) and isinstance(new, bool | int | float):
        return new > old
    return None


def _exposes_more(old: tuple[float, ...], new: tuple[float, ...]) -> bool:
    """Whether a ladder of shares exposes more anywhere: its first step, its largest step, its end. A mixed change counts as more."""
    ladders = [
        (steps[0], max(b - a for a, b in zip((0.0, *steps), steps, strict=False)), steps[-1]) for steps in (old, new)
    ]
    return any(after > before for before, after in zip(*ladders, strict=True)) or len(new) < len(old)


def _list(name: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    before: Mapping[str, Any] = {item.name: item for item in old}
    after: Mapping[str, Any] = {item.name: item for item in new}
    for item in (*new, *(item for item in old if item.name not in after)):
        key = f"{name}.{item.name}"
        if item.name in before and item.name in after:
            yield from _fields(name, key, before[item.name], after[item.name])
        elif item.name in after:
            yield Change(
                key, None, _plain(item), *_added(item, old), Evidence.BEGINS if name != "phases" else Evidence.KEEPS
            )
        else:
            yield Change(
                key, _plain(item), None, *_removed(item), Evidence.ENDS if name != "phases" else Evidence.KEEPS
            )
    kept = [[item.name for item in items if item.name in before and item.name in after] for items in (old, new)]
    if name == "phases" and kept[0] != kept[1]:
        yield Change(
            name,
            kept[0],
            kept[1],
            Effect.WEAKENS,
            "the phases come in another order: a gate may be passed over",
            Evidence.KEEPS,
        )


def _added(item: Named, old: Sequence[Any]) -> tuple[Effect, str]:
    if isinstance(item, Phase):
        widest = max((max(phase.shares) for phase in old if phase.audience == item.audience), default=0.0)
        if max(item.shares) > widest:
            return Effect.WEAKENS, f"up to {max(item.shares):.0%} of the {item.audience} customers may be exposed"
        return Effect.TIGHTENS, "one more phase with its gate"
    if isinstance(item, Trigger):
        return Effect.TIGHTENS, f"{item.metric} is watched, with action {item.action}; it knows nothing of the past"
    return Effect.NEUTRAL, "can be asked for by a gate"


def _removed(item: Named) -> tuple[Effect, str]:
    if isinstance(item, Phase):
        return Effect.WEAKENS, "its gates are not asked any more"
    if isinstance(item, Certificate):
        return Effect.NEUTRAL, "no gate may ask for it any more"
    return Effect.WEAKENS, "this harm is not acted on any more; what its streams have found is given up"


def _plain(value: Any) -> Any:
    """The value as JSON would have it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value.value if isinstance(value, StrEnum) else value


def _shown(value: object) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items() if key != "name")
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else repr(value) if value == "" else str(value)


__all__ = ["ACTIONS", "AUDIENCES", "Change", "Effect", "Evidence", "Summary", "diff", "summary"]
