"""`controlplane review accept`: settled items become rows of the evaluation or of the training set, as new versions.

Rules
- An item on which two people differ is never a row; one without a stated intent says nothing that a row could ask for, and is counted as such.
- A conversation goes to one side for good, by a hash of its id; a question that the other side already has, word for word, goes to neither.
- The question is masked again when its row is made; the row's id and origin name the item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from controlplane.core.masking import mask
from controlplane.core.review_queue import OUT_OF_SCOPE, Item, Opinion, fraction
from controlplane.evaluation.cases import Case, CaseError, case_of
from controlplane.store.queries import load
from controlplane.store.state_append import LostRace
from jobs import datasets
from jobs.dataset_command import need_name
from jobs.deps import Deps
from jobs.refused import Refused
from jobs.review_work import Queue

EVALUATION, TRAINING = "evaluation", "training"


def accept(
    deps: Deps, now: datetime, evaluation: str, training: str, actor: str, evaluation_share: float = 0.3
) -> dict[str, Any]:
    """Append every settled item that is not in its set yet. Raises Refused for one name twice, or where nothing is settled."""
    if evaluation == training:
        raise Refused(f"{evaluation!r} cannot be both sets: what is trained on says nothing in an evaluation")
    if not 0.0 < evaluation_share < 1.0:
        raise Refused(f"--evaluation-share {evaluation_share}: a share between 0 and 1")
    need_name(evaluation)
    need_name(training)
    queue = Queue.of(deps.state)
    settled = {key: found for key in queue.items if (found := queue.standing(key).opinion) is not None}
    if not settled:
        raise Refused("no item is settled yet: `controlplane review take` and `review submit` first")
    counts: Counter[str] = Counter(open=len(queue.items) - len(settled))
    rows: dict[str, list[Case]] = {EVALUATION: [], TRAINING: []}
    named = {EVALUATION: evaluation, TRAINING: training}
    known = {side: _cases(deps, name) for side, name in named.items()}
    words = {side: {_words(case.turns) for case in cases} for side, cases in known.items()}
    spoken = {side: {c for case in cases if (c := _conversation(queue, case))} for side, cases in known.items()}
    questions = _questions(deps, [queue.items[key].interaction_id for key in settled])
    for key, opinion in settled.items():
        item = queue.items[key]
        asked = questions.get(item.interaction_id)
        if opinion.intent is None or asked is None:
            counts["without an intent" if asked is not None else "without a question"] += 1
            continue
        side = side_of(item.conversation_id, evaluation_share)
        other = TRAINING if side == EVALUATION else EVALUATION
        try:
            case = row_of(item, opinion, asked)
        except CaseError:  # an empty or overlong question
            counts["no usable question"] += 1
            continue
        if _words(case.turns) in words[other] or item.conversation_id in spoken[other]:
            counts["in the other set"] += 1
            continue
        words[side].add(_words(case.turns))
        rows[side].append(case)
    return {
        "evaluation_share": evaluation_share,
        "left_out": dict(counts),
        **{side: _append(deps, name, rows[side], known[side], actor, now) for side, name in named.items()},
    }


def side_of(conversation_id: str, evaluation_share: float) -> str:
    """The set that a conversation belongs to, for good."""
    return EVALUATION if fraction("split", conversation_id) < evaluation_share else TRAINING


def row_of(item: Item, opinion: Opinion, asked: Mapping[str, Any]) -> Case:
    """The row of a settled item: its question, the intent people named."""
    beyond = opinion.intent == OUT_OF_SCOPE
    slices = {name: str(asked[name]) for name in ("channel", "segment", "region") if asked[name]}
    value: dict[str, Any] = {
        "id": f"review-{item.item_id}",
        "text": mask(str(asked["question"])),
        "slices": slices | ({} if beyond else {"topic": str(opinion.intent)}),
        "origin": f"review:{item.item_id}",
        "note": f"{opinion.label}, as labelled by {opinion.reviewer}",
    }
    value |= {"out_of_scope": True} if beyond else {"expected_intent": opinion.intent}
    return case_of(value, f"item {item.item_id}")


def accept_text(value: Mapping[str, Any]) -> str:
    """What was accepted, for people."""
    lines = []
    for side in (EVALUATION, TRAINING):
        found = value[side]
        at = "no version yet" if found["version"] is None else f"{found['rows']} rows at {found['version'][:12]}"
        lines.append(f"{side:10} {found['name']}: {found['added']} rows added, {at}")
    left = ", ".join(f"{n} {why}" for why, n in value["left_out"].items() if n)
    return "\n".join([*lines, f"left out: {left or 'none'}"])


def _append(
    deps: Deps, name: str, cases: list[Case], known: Iterable[Case], actor: str, now: datetime
) -> dict[str, Any]:
    before = {case.id for case in known}
    new = [case for case in cases if case.id not in before]
    versions = deps.state.dataset_versions(name)
    if not new:
        last = versions[-1] if versions else None
        return {"name": name, "version": last and last.version, "rows": last.rows if last else 0, "added": 0}
    origin = "review: " + ", ".join(sorted(case.id.removeprefix("review-") for case in new))
    folder = deps.settings.workspace.datasets
    try:
        if versions:
            row, _ = datasets.append(deps.state, folder, name, new, origin, actor, now)
        else:
            row, _ = datasets.add(deps.state, folder, name, new, origin, actor, now)
    except LostRace as error:
        raise Refused(str(error)) from None
    return {"name": name, "version": row.version, "rows": row.rows, "added": len(new)}


def _cases(deps: Deps, name: str) -> tuple[Case, ...]:
    if not deps.state.dataset_versions(name):
        return ()
    return datasets.load(deps.state, deps.settings.workspace.datasets, name).rows.cases


def _conversation(queue: Queue, case: Case) -> str | None:
    """The conversation of a row that an item gave, whatever share split the sets then."""
    item = queue.items.get(case.id.removeprefix("review-"))
    return None if item is None else item.conversation_id


def _words(turns: tuple[str, ...]) -> str:
    return " ".join(" ".join(turns).casefold().split())


def _questions(deps: Deps, ids: list[str]) -> dict[str, dict[str, Any]]:
    names = ("interaction_id", "conversation_id", "question", "channel", "segment", "region")
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(load("reviews/accepted"), {"ids": ids}).fetchall()
    return {str(row[0]): dict(zip(names, row, strict=True)) for row in rows}
