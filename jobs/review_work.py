"""Who looks at which drawn answer, what they say, and who decides between two people.

Rules
- An item is wanted from one person or from two. Neither sees the other's label, the reasons of the draw or any machine's judgement before their
  own label is given; both look at the question and the answer alone.
- Items are handed out in the order of a hash, so what is left at the end of a day is a random part of the queue and the estimates stand.
- Who made the release labels none of its answers and decides nothing about them.
- A label may be given again until its item is settled or two people differ; then a third person decides, and that stands. The policy's owner may
  decide as one of the two only while nobody else reviews: no answer was ever given to a third person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.core.agreement import agreement
from controlplane.core.masking import mask
from controlplane.core.review import LABELS
from controlplane.core.review_queue import DISAGREED, Item, Opinion, Standing, fraction, problems_of, standing
from controlplane.store.queries import load
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_reviews import Assignment
from jobs.deps import Deps
from jobs.refused import Refused

TRIES = 5  # of giving out items while others are given some
READ = ("interaction_id", "conversation_id", "turn", "ts", "question", "answer", "workflow", "escalated", "sources")


@dataclass(frozen=True)
class Queue:
    """Everything that is known of the drawn answers."""

    items: dict[str, Item]
    assigned: dict[str, dict[int, str]]  # reviewer by item and round
    opinions: dict[str, dict[int, Opinion]]
    adjudicated: dict[str, Opinion]

    @classmethod
    def of(cls, state: StateReader) -> Queue:
        """Read it."""
        assigned: dict[str, dict[int, str]] = {}
        for row in state.review_assignments():
            assigned.setdefault(row.item_id, {})[row.round] = row.reviewer
        items = {item.item_id: item for item in state.review_items()}
        return cls(items, assigned, state.review_opinions(), state.review_adjudications())

    def standing(self, item_id: str) -> Standing:
        """Where an item stands."""
        said = self.opinions.get(item_id, {})
        return standing(self.items[item_id].wanted, said, self.adjudicated.get(item_id))

    def find(self, item_id: str) -> Item:
        """The item of that id. Raises Refused."""
        if item_id not in self.items:
            raise Refused(f"no item {item_id!r} was drawn: `controlplane review open` shows them")
        return self.items[item_id]


def assign(state: StateWriter, reviewer: str, count: int, by: str, now: datetime) -> list[str]:
    """Give up to `count` more items to a person; their ids. Raises Refused when nothing is left for them."""
    for attempt in range(TRIES):
        found = _free(state, reviewer, by, now)[:count]
        try:
            state.add_review_assignments(found)
        except LostRace as error:  # somebody took one of them at the same moment: what is left is looked at again
            if attempt + 1 == TRIES:
                raise Refused(str(error)) from None
            continue
        break
    return [one.item_id for one in found]


def _free(state: StateReader, reviewer: str, by: str, now: datetime) -> list[Assignment]:
    """What a person may be given, in the order of the hash. Raises Refused when it is nothing."""
    queue = Queue.of(state)
    authored: dict[tuple[str | None, str | None], bool] = {}
    free = []
    for item in sorted(queue.items.values(), key=lambda item: fraction("order", item.item_id)):
        taken = queue.assigned.get(item.item_id, {})
        key = (item.release, item.rollout_id)
        if key not in authored:
            authored[key] = reviewer in state.authors_of(*key)
        if len(taken) < item.wanted and reviewer not in taken.values() and not authored[key]:
            free.append(Assignment(item.item_id, len(taken) + 1, reviewer, by, now))
    if not free:
        made = " (who made a release labels none of its answers)" if any(authored.values()) else ""
        raise Refused(f"nothing is left for {reviewer}{made}: `controlplane review queue` draws more")
    return free


def waiting(queue: Queue, reviewer: str) -> list[Item]:
    """What a person has and has not labelled, in the order of the hash."""
    found = []
    for item_id, taken in queue.assigned.items():
        mine = next((number for number, name in taken.items() if name == reviewer), None)
        if mine is not None and mine not in queue.opinions.get(item_id, {}) and not queue.standing(item_id).settled:
            found.append(queue.items[item_id])
    return sorted(found, key=lambda item: fraction("order", item.item_id))


def take(
    deps: Deps, now: datetime, reviewer: str, count: int, by: str | None = None, show: bool = True
) -> dict[str, Any]:
    """What a person has to look at, up to `count`; more is assigned to them where they have less. Blind: texts and nothing else."""
    queue = Queue.of(deps.state)
    mine = waiting(queue, reviewer)
    if len(mine) < count:
        try:
            assign(deps.state, reviewer, count - len(mine), by or reviewer, now)
        except Refused:
            if not mine:
                raise
        mine = waiting(Queue.of(deps.state), reviewer)
    texts = _texts(deps, [item.interaction_id for item in mine[:count]]) if show else {}
    shown = [{"item_id": item.item_id, **texts.get(item.interaction_id, {})} for item in mine[:count]]
    return {"reviewer": reviewer, "waiting": len(mine), "items": shown}


def disputes(deps: Deps, now: datetime, limit: int) -> dict[str, Any]:
    """Items on which two people differ, with what both said: for whoever decides."""
    queue = Queue.of(deps.state)
    open_ones = [item for key, item in queue.items.items() if queue.standing(key).status == DISAGREED]
    texts = _texts(deps, [item.interaction_id for item in open_ones[:limit]])
    shown = [
        {
            "item_id": item.item_id,
            **texts.get(item.interaction_id, {}),
            "opinions": [opinion_json(queue.opinions[item.item_id][n]) for n in sorted(queue.opinions[item.item_id])],
        }
        for item in open_ones[:limit]
    ]
    return {"open": len(open_ones), "items": shown}


def submit(state: StateWriter, item_id: str, opinion: Opinion) -> Standing:
    """Record a person's label of an item that was given to them. Raises Refused."""
    queue = Queue.of(state)
    item = _checked(state, queue, item_id, opinion)
    number = next((n for n, name in queue.assigned.get(item_id, {}).items() if name == opinion.reviewer), None)
    if number is None:
        raise Refused(f"{item_id} was not given to {opinion.reviewer}: `controlplane review take --reviewer NAME`")
    before = queue.standing(item_id)
    if before.settled or before.status == DISAGREED:
        what = "settled" if before.settled else "in dispute: `controlplane review adjudicate` decides"
        raise Refused(f"{item_id} is {what}; labels are not changed any more")
    said = queue.opinions.get(item_id, {})
    _say(lambda: state.add_review_opinion(item_id, number, opinion, said))
    return standing(item.wanted, {**said, number: opinion}, None)


def adjudicate(state: StateWriter, item_id: str, opinion: Opinion, owner: str) -> Standing:
    """Record who decides between two people, and how. Raises Refused where they do not differ, or for one of the two while there is a third."""
    queue = Queue.of(state)
    _checked(state, queue, item_id, opinion)
    found = queue.standing(item_id)
    if found.status != DISAGREED:
        raise Refused(f"{item_id} is {found.status}: only what two people differ on is decided")
    labelled = {one.reviewer for one in queue.opinions[item_id].values()}
    is_owner = opinion.reviewer == owner
    others = {name for taken in queue.assigned.values() for name in taken.values()} - labelled
    if opinion.reviewer in labelled and (others or not is_owner):
        who = (
            f"one of {', '.join(sorted(others)[:5])}, or anybody else" if others else f"or the policy's owner ({owner})"
        )
        raise Refused(f"{opinion.reviewer} labelled {item_id}: a third person decides, {who}")
    _say(lambda: state.add_review_adjudication(item_id, "owner" if is_owner else "third", opinion))
    return Standing("adjudicated", opinion)


def overview(state: StateReader, level: float = 0.95) -> dict[str, Any]:
    """Counts of the queue, who has what, and how far two people agree."""
    queue = Queue.of(state)
    statuses = {key: queue.standing(key).status for key in queue.items}
    pairs = [said for key, said in queue.opinions.items() if len(said) == 2]
    reasons = Counter(reason for item in queue.items.values() for reason in item.reasons)
    people = Counter(name for taken in queue.assigned.values() for name in taken.values())
    labelled = Counter(one.reviewer for said in queue.opinions.values() for one in said.values())
    return {
        "items": len(queue.items),
        "status": dict(sorted(Counter(statuses.values()).items())),
        "reasons": dict(sorted(reasons.items())),
        "reviewers": {name: {"assigned": n, "labelled": labelled[name]} for name, n in sorted(people.items())},
        "agreement": {
            "label": agreement([(p[1].label, p[2].label) for p in pairs], level, LABELS).to_dict(),
            "intent": agreement(_both(pairs, "intent"), level).to_dict(),
            "grounded": agreement(_both(pairs, "grounded"), level, ("True", "False")).to_dict(),
        },
        "disagreed": sorted(key for key, status in statuses.items() if status == DISAGREED),
    }


def opinion_json(found: Opinion) -> dict[str, Any]:
    """An opinion as plain values."""
    names = ("reviewer", "label", "intent", "grounded", "severity", "note")
    return {name: getattr(found, name) for name in names} | {"at": found.at.isoformat()}


def opinion_of(reviewer: str, label: str, now: datetime, **more: Any) -> Opinion:
    """An opinion as a person states it, its note masked. Raises Refused."""
    if not reviewer.strip():
        raise Refused("name the reviewer")
    note = mask(str(more.pop("note", "") or ""))
    return Opinion(reviewer.strip(), label, now, note=note, **more)


def _both(pairs: Iterable[Mapping[int, Opinion]], name: str) -> list[tuple[str, str]]:
    found = [(getattr(pair[1], name), getattr(pair[2], name)) for pair in pairs]
    return [(str(a), str(b)) for a, b in found if a is not None and b is not None]


def _checked(state: StateReader, queue: Queue, item_id: str, opinion: Opinion) -> Item:
    item = queue.find(item_id)
    if (problem := problems_of(opinion.label, opinion.severity)) != "":
        raise Refused(problem)
    if opinion.reviewer in state.authors_of(item.release, item.rollout_id):
        raise Refused(f"{opinion.reviewer} made release {item.release}: somebody else reviews its answers")
    return item


def _say(write: Any) -> None:
    try:
        write()
    except LostRace as error:
        raise Refused(str(error)) from None


def _texts(deps: Deps, ids: list[str]) -> dict[str, dict[str, Any]]:
    if not ids:
        return {}
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(load("reviews/texts"), {"ids": ids}).fetchall()
    return {str(row[0]): dict(zip(READ, row, strict=True)) for row in rows}
