"""A policy for people who don't read TOML: the difference between two versions, and their history. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from html import escape

from controlplane.core.policy import Policy
from controlplane.core.policy_diff import Change, Summary, diff, summary
from controlplane.core.policy_effects import Effect, Evidence
from controlplane.settings import shipped_policy
from dashboards.rollout.ladder import minutes
from dashboards.rollout.values import Registered
from dashboards.ui import chip
from dashboards.words import clock, trigger_title
from dashboards.words import percent as share_text

_SNAKE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
TONES = {Effect.WEAKENS: "bad", Effect.TIGHTENS: "good", Effect.NEUTRAL: "quiet"}
ORDER = (Effect.WEAKENS, Effect.TIGHTENS, Effect.NEUTRAL)
SHIPPED = "shipped"
LISTS = {"phases": "Phase", "triggers": "", "certificates": "Certificate"}
NAMES = {
    "min_minutes": "least time",
    "min_treated": "customers treated",
    "min_labelled": "answers labelled",
    "min_reviewed": "part of the queue reviewed",
    "min_correct": "part that must be correct",
    "false_rollback": "chance of a false rollback",
    "icc": "correlation within a block",
    "slo_ms": "objective",
    "cap_usd": "most that an answer may cost",
}
UNITS = {"minutes": "min", "seconds": "s", "hours": "h", "weeks": "weeks", "days": "days", "usd": "USD", "ms": "ms"}


def label(one: Registered) -> str:
    """`bank-support, 5 Jan 09:00`: a policy in a list."""
    return f"{one.name}, registered {one.registered_at.day} {one.registered_at:%b %Y %H:%M} UTC"


def key_words(key: str) -> str:
    """The place of a change for people: `triggers.csat_drop.limit` -> `CSAT drop: limit`."""
    parts = key.split(".")
    if parts[0] in LISTS and len(parts) > 1:
        named = f"{LISTS[parts[0]]} {parts[1]}".strip() if LISTS[parts[0]] else trigger_title(parts[1])
        return f"{named}: {_plain(parts[2])}" if len(parts) > 2 else named
    return ": ".join(_plain(part) for part in parts).capitalize()


def _plain(name: str) -> str:
    """`maturity_minutes` -> `maturity`: the unit stands with the value."""
    if name in NAMES:
        return NAMES[name]
    words = name.split("_")
    return " ".join(words[:-1] if len(words) > 1 and words[-1] in UNITS else words)


def sentence(text: str, policy: Policy) -> str:
    """A sentence of `policy explain` as HTML: names without underscores, the first one in bold, what follows the first sentence in small print."""
    titles = {one.name: trigger_title(one.name) for one in policy.triggers}

    def title(found: re.Match[str]) -> str:
        return titles.get(found[0], found[0].replace("_", " "))

    head, colon, rest = text.partition(": ")
    if not colon or head not in {*titles, *(phase.name for phase in policy.phases)}:
        return escape(_SNAKE.sub(title, text))
    named = titles.get(head, head.capitalize())
    said, dot, more = rest.partition(". ")
    small = f'. <span class="cp-small">{escape(_SNAKE.sub(title, more))}</span>' if dot else ""
    return f"<b>{escape(named)}</b>: {escape(_SNAKE.sub(title, said))}{small}"


def value_words(key: str, value: object) -> str:
    """A value of a policy with its unit."""
    if value is None:
        return "(none)"
    if isinstance(value, dict):
        return ", ".join(
            f"{_plain(name)} {value_words(name, item)}" for name, item in value.items() if name != "name" and item
        )
    if isinstance(value, list):
        return ", ".join(value_words(key, item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if key.endswith("shares"):
            return share_text(float(value))
        unit = UNITS.get(key.rsplit("_", 1)[-1], "")
        if unit == "min":
            return minutes(float(value))
        return f"{value:,.6g} {unit}".strip()
    return str(value).replace("_", " ") or "(none)"


def change_rows(old: Policy, new: Policy) -> list[tuple[str, ...]]:
    """Effect, place, before, after, what it means: what weakens comes first. Cells are HTML."""
    changes = sorted(diff(old, new), key=lambda change: ORDER.index(change.effect))
    return [_row(change) for change in changes]


def _row(change: Change) -> tuple[str, ...]:
    touched = (
        "" if change.evidence is Evidence.KEEPS else f" <span class='cp-small'>{escape(change.evidence.words)}</span>"
    )
    before, after = value_words(change.key, change.old), value_words(change.key, change.new)
    means = f"{escape(change.consequence[:1].upper() + change.consequence[1:])}.{touched}"
    word = chip(str(change.effect).capitalize(), TONES[change.effect])
    return word, escape(key_words(change.key)), escape(before), escape(after), means


def verdict(found: Summary) -> tuple[str, str]:
    """All changes in one sentence, and its tone."""
    whole = found.weakens + found.tightens + found.neutral
    if not whole:
        return "Both say the same; at most comments, order or layout differ.", "quiet"
    counts = ((found.weakens, "weakens"), (found.tightens, "tightens"), (found.neutral, "neither weakens nor tightens"))
    said = ", ".join(f"{count} {word}" for count, word in counts if count)
    return (
        f"{whole} change{'' if whole == 1 else 's'}: {said} what the policy guarantees.",
        "bad" if found.weakens else "good",
    )


def consequences(found: Summary) -> list[str]:
    """What the changes would do to a rollout that runs."""
    lines = []
    for words, names in (
        ("Evidence begins again from nothing", found.restarted),
        ("New triggers, which know nothing of the past", found.begun),
        ("Triggers that are given up, with what they have found", found.ended),
    ):
        if names:
            lines.append(f"{words}: {', '.join(map(trigger_title, names))}.")
    lines.append("Every certificate begins again.")
    lines.append(f"A sound release is stopped by a trigger with a probability of at most {found.promise:.2%}.")
    if found.running < found.promise:
        lines.append(f"A rollout that runs already keeps the smaller promise of {found.running:.2%}.")
    return lines


def history_rows(found: Sequence[Registered], now: datetime) -> list[tuple[str, ...]]:
    """Every registered policy, newest first: when, name, releases, changes against the one before, hash. Cells are HTML."""
    rows: list[tuple[str, ...]] = []
    for place, one in enumerate(found):
        before = next((older for older in found[place + 1 :] if older.policy is not None), None)
        said = "the first one"
        if one.policy is None:
            said = "cannot be read by this version"
        elif before is not None and before.policy is not None:
            said = verdict(summary(before.policy, one.policy))[0]
        state = chip("In force", "good") if one.in_force else ""
        releases = ", ".join(one.releases) or "none"
        when = clock(one.registered_at, now)
        rows.append(
            (
                escape(when),
                f"{escape(one.name)} {state}",
                escape(releases),
                escape(said),
                f"<code>{one.policy_hash[:12]}</code>",
            )
        )
    return rows


def shipped() -> str:
    """Text of the policy that ships with the product: something to compare with where only one was registered."""
    return shipped_policy("default")
