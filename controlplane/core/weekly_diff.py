"""What a correction changed: the numbers and answers of two versions of a week's review, side by side in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.core.weekly_format import known, value_text
from controlplane.core.weekly_success import difference_unit

Plain = Mapping[str, Any]
NAMED = {
    "assistant": "assistant",
    "menu": "menu",
    "baseline": "menu",
    "difference": "difference",
    "last_week": "last week",
    "change": "change",
}
PARTS = ("value", "low", "high", "n", "maturity")
SECTIONS = (
    "rollout",
    "csat",
    "funnel",
    "topics",
    "incidents",
    "drills",
    "drift",
    "tradeoff",
    "cost",
    "decisions",
    "owners",
    "exposure",
    "notes",
)


def differences(before: Plain, after: Plain) -> list[dict[str, Any]]:
    """[{"what", "before", "after"}, ...] in the order of the page; before and after are printed values. Empty when nothing that is shown changed.

    Measures and figures are told number by number, the other sections by name; pin, ids and words change with every version and are not told.
    """
    found = [*_answers(before, after)]
    for key, name in (("success", "measure"), ("figures", "name")):
        found += _items(key, name, before, after)
    for section in SECTIONS:
        if before.get(section) != after.get(section):
            found.append({"what": f"section {section}", "before": "as pinned before", "after": "changed"})
    return found


def difference_line(item: Plain) -> str:
    """One difference as a sentence."""
    return f"{item['what']}: {item['after']} instead of {item['before']}."


def _answers(before: Plain, after: Plain) -> Iterator[dict[str, Any]]:
    for key, what in (("policy", "policy"), ("program_version", "program"), ("until", "end of the week as known")):
        was, now = before.get(key), after.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            was, now = was.get("hash"), now.get("hash")
        if was != now:
            yield {"what": what, "before": str(was), "after": str(now)}
    answers = [str((side.get("may_grow") or {}).get("answer") or "unknown") for side in (before, after)]
    if before.get("may_grow") != after.get("may_grow"):
        same = answers[0] == answers[1]
        yield {
            "what": "the gate's lines" if same else "may we grow",
            "before": "as pinned before" if same else answers[0],
            "after": "changed" if same else answers[1],
        }


def _items(key: str, name: str, before: Plain, after: Plain) -> Iterator[dict[str, Any]]:
    sides = [{item[name]: item for item in side.get(key) or ()} for side in (before, after)]
    for one in dict.fromkeys([*sides[0], *sides[1]]):
        was, now = sides[0].get(one), sides[1].get(one)
        if was is None or now is None:
            told = ("not told", "told") if was is None else ("told", "not told")
            yield {"what": str((now or was or {}).get("title") or one), "before": told[0], "after": told[1]}
            continue
        if was.get("movement") != now.get("movement") and key == "success":
            yield {"what": f"{now['title']}, verdict", "before": str(was["movement"]), "after": str(now["movement"])}
        yield from _numbers(was, now)


def _numbers(was: Plain, now: Plain) -> Iterator[dict[str, Any]]:
    for estimate, words in NAMED.items():
        if estimate not in was and estimate not in now:
            continue
        unit = difference_unit(now) if estimate == "difference" and "measure" in now else str(now["unit"])
        sides = [side.get(estimate) or {} for side in (was, now)]
        for part in PARTS:
            values = [side.get(part) for side in sides]
            if values[0] != values[1]:
                shown = [_shown(value, part, unit) for value in values]
                kind = "" if part == "value" else f" ({part})"
                if shown[0] == shown[1]:
                    shown = [repr(value) for value in values]
                yield {"what": f"{now['title']}, {words}{kind}", "before": shown[0], "after": shown[1]}


def _shown(value: Any, part: str, unit: str) -> str:
    if not known(value):
        return "unknown"
    return value_text(value, {"n": "", "maturity": "share"}.get(part, unit)) if part != "n" else f"{value:,}"
