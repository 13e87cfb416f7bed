"""`controlplane review rates`: misclassification, hallucination, wrong and unsafe answers among all answers, estimated from the labelled ones.

Every drawn answer enters with its probability (`core.weighted_rate`); one that is open enters as drawn and not labelled. Two people who differ, but
not in what the rate asks, have answered it; where they differ in that, the answer is a class of its own without a label: hard answers are not like
those that people agree on, so the interval takes them both ways until somebody has decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.core.review_queue import DISAGREED, NO_REASON, Item, Opinion, Standing, reasons_of
from controlplane.core.weighted_rate import Seen, weighted_rate
from controlplane.store.state import StateReader
from jobs.review_work import Queue

IN_DISPUTE = "in dispute"
RATES = ("misclassification", "hallucination", "incorrect", "unsafe")


def rates(
    state: StateReader,
    since: datetime | None = None,
    until: datetime | None = None,
    release: str = "",
    level: float = 0.95,
) -> dict[str, Any]:
    """Weighted and naive rates of the answers given in [since, until), of one release or of all."""
    queue = Queue.of(state)
    items = [item for item in queue.items.values() if _asked(item, since, until, release)]
    found = {item.item_id: queue.standing(item.item_id) for item in items}
    values = {}
    for name in RATES:
        seen = [_seen(name, item, found[item.item_id], queue.opinions.get(item.item_id, {})) for item in items]
        values[name] = weighted_rate(seen, level).to_dict()
    return {
        "since": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
        "release": release or None,
        "items": len(items),
        "settled": sum(one.settled for one in found.values()),
        "disputed": sum(one.status == DISAGREED for one in found.values()),
        "random": sum(item.random for item in items),
        "design": "Hajek estimate with weights 1/probability; exact binomial interval at the effective number of labels",
        "rates": values,
    }


def hit(name: str, item: Item, opinion: Opinion | None) -> bool | None:
    """Whether an opinion says that the answer is a case of the rate; None where it does not say."""
    if opinion is None:
        return None
    match name:
        case "misclassification":
            return None if opinion.intent is None or item.intent_pred is None else opinion.intent != item.intent_pred
        case "hallucination":
            return None if opinion.grounded is None else not opinion.grounded
        case "incorrect":
            return opinion.label != "correct"
        case "unsafe":
            return opinion.label == "unsafe"
    raise KeyError(f"no rate {name!r}: there are {', '.join(RATES)}")


def rates_text(value: Mapping[str, Any]) -> str:
    """Rates for people."""
    lines = [
        f"{value['settled']} of {value['items']} drawn answers are settled, {value['disputed']} in dispute",
        "                     among all answers                 labels  effective   naive share of the queue",
    ]
    for name, found in value["rates"].items():
        if found["rate"] is None:
            lines.append(f"  {name:18} unknown: nobody has said")
            continue
        lines.append(
            f"  {name:18} {found['rate']:6.1%}, between {found['low']:6.1%} and {found['high']:6.1%}   "
            f"{found['n']:6}  {found['effective_n']:9.1f}   {found['naive']:6.1%}"
        )
    return "\n".join(lines)


def _asked(item: Item, since: datetime | None, until: datetime | None, release: str) -> bool:
    early, late = since is not None and item.answered_at < since, until is not None and item.answered_at >= until
    return not early and not late and (not release or item.release == release)


def _seen(name: str, item: Item, found: Standing, said: Mapping[int, Opinion]) -> Seen:
    group = next(iter(reasons_of(item.stratum)), NO_REASON)
    known = hit(name, item, found.opinion)
    if found.status == DISAGREED:
        answers = {hit(name, item, opinion) for opinion in said.values()} - {None}
        known = answers.pop() if len(answers) == 1 else None
        group = IN_DISPUTE if answers else group
    return Seen(known, item.probability, item.conversation_id, group)
