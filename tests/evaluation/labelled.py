"""Labelled answers made from the help pages: quotes and rewordings that are grounded, inventions and altered numbers that are not."""

from __future__ import annotations

import random
from collections.abc import Sequence

from controlplane.assistant.knowledge_base import alter_numbers, load_knowledge
from controlplane.evaluation.labelled_answers import LabelledAnswers

OPENINGS = ("", "Yes, ", "As far as I know, ", "Please note that ")
INVENTIONS = (
    "Your branch manager has approved a bonus.",
    "I love that idea, it sounds amazing!",
    "Our partners in Madrid will call tomorrow.",
    "Everything else happens automatically without any exception.",
)


def labelled_answers(count: int, seed: int = 0, mislabelled: float = 0.05, bad: float = 0.5) -> LabelledAnswers:
    """`count` rows, a share `bad` of them ungrounded, a share `mislabelled` of all with the wrong label."""
    rng = random.Random(seed)
    pages = load_knowledge().passages
    rows = []
    for _ in range(count):
        page, grounded = rng.choice(pages), rng.random() >= bad
        kept = rng.sample(page.sentences, min(rng.randint(1, 2), len(page.sentences)))
        said = [rng.choice(OPENINGS) + sentence for sentence in kept]
        if not grounded:
            said = _spoil(said, rng)
        rows.append((page.body, " ".join(said), grounded != (rng.random() < mislabelled)))
    return as_columns(rows)


def as_columns(rows: Sequence[tuple[str, str, bool | None]]) -> LabelledAnswers:
    return LabelledAnswers(tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(r[2] for r in rows))


def _spoil(said: list[str], rng: random.Random) -> list[str]:
    altered = [alter_numbers(sentence, rng) for sentence in said]
    if altered != said and rng.random() < 0.5:
        return altered
    return [*said, rng.choice(INVENTIONS)]
