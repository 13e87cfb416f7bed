"""The trade-off in words, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.analysis.tradeoff import dollars


def text(found: Mapping[str, Any]) -> str:
    """The answer, the three measurements, the savings, the two questions, and what was assumed."""
    asked = found["question"]
    head = f"{asked['release'] or 'all releases'}, {asked['since'][:16]} to {asked['until'][:16]} UTC"
    said = found["reason"] if found["data"] else "no data in this window"
    lines = [f"{found['verdict'].upper()}: {said}", head, ""]
    for name in ("satisfaction", "latency", "cost"):
        item = found[name]
        lines.append(f"{name:13} {item['verdict']:20} {_measured(name, item)}")
        lines.append(f"{'':34} {item['reason']}")
    lines += ["", "what if (95 % intervals of sampling; they do not add up)"]
    for item in found["savings"]:
        lines.append(
            f"  {item['title']:50} serves {_share(item['served'])}, saves {_share(item['saved'])} of the model cost"
        )
        lines.append(f"    assumes: {item['assumption']}")
    for title, key in (("fine-tune", "fine_tune"), ("API or own GPU", "hardware")):
        lines += ["", f"{title}: {found[key]['text']}", *(f"  {reason}" for reason in found[key]["reasons"])]
    if found.get("left_at_default"):
        lines += ["", "left at figures without a source, set your own: " + "; ".join(found["left_at_default"])]
    return "\n".join(lines)


def _measured(name: str, item: Mapping[str, Any]) -> str:
    found = item["interval"]
    match name:
        case "satisfaction":
            n = f"{item['treated']} and {item['control']} ratings"
            return (
                n
                if found is None
                else f"{found['estimate']:+.2f} points [{found['low']:+.2f}, {found['high']:+.2f}], {n}"
            )
        case "latency":
            n = f"{item['requests']} first requests"
            return n if found is None else f"{_share(found)} slower than {item['slo_ms']} ms, {n}"
        case _:
            n = f"{item['resolved']} resolved of {item['conversations']} conversations"
            if found is None:
                return n
            low, high = dollars(found["low"]), dollars(found["high"])
            return f"{dollars(found['estimate'])} [{low}, {high}], {n}"


def _share(found: Mapping[str, Any] | None) -> str:
    return "–" if found is None else f"{found['estimate']:.1%} [{found['low']:.1%}, {found['high']:.1%}]"
