"""The labelled phrasings that ship with the assistant.

Rules
- `training/intents.jsonl` holds templates: `{a|b|}` stands for one of the alternatives. A template is one *group*:
  its expansions are near copies, so a split for calibration never separates them.
- `training/heldout.jsonl` was phrased apart and is never trained on; `passage` names the page that answers it.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

_CHOICE = re.compile(r"\{([^{}]*)\}")
_GREETINGS = ("hi, ", "hello, ", "please help, ", "good morning, ", "hey ")
VARIANTS_PER_TEMPLATE = 3
GREETED_SHARE = 0.12
MISTYPED_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its true label; examples of one `group` are variants of one phrasing."""

    text: str
    label: str
    group: int


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A text never trained on, its true intent, and the page that answers it (None: nothing does)."""

    text: str
    intent: str
    passage: str | None


@cache
def load_examples(seed: int, variants: int = VARIANTS_PER_TEMPLATE) -> tuple[Example, ...]:
    """The training set: every template expanded into up to `variants` distinct texts, some greeted or mistyped."""
    return tuple(
        Example(text, row["intent"], group)
        for group, row in enumerate(_rows("intents.jsonl"))
        for text in _expand(row["text"], variants, random.Random(f"{seed}:{row['text']}"))
    )


def load_heldout() -> tuple[HeldOut, ...]:
    """The held-out questions."""
    return tuple(HeldOut(row["text"], row["intent"], row["passage"]) for row in _rows("heldout.jsonl"))


def rows_sha256(examples: Sequence[Example]) -> str:
    """Version of a training set: sha256 of its rows in order."""
    rows = [(example.text, example.label, example.group) for example in examples]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def shifted_labels(examples: Sequence[Example], seed: int) -> tuple[Example, ...]:
    """The same texts with labels as a broken export leaves them.

    Labels are stored as positions in the sorted list of intents. Someone inserts an intent, the positions behind it
    move by one, and the old file is read with the new list: every label from the insertion point on becomes its
    successor's (the last one takes the place of the first moved). `seed` picks the point in the first third.
    """
    labels = sorted({example.label for example in examples})
    if len(labels) < 3:
        raise ValueError(f"shifted_labels needs at least 3 different labels, got {len(labels)}: add intents")
    start = random.Random(seed).randrange(len(labels) // 3)
    moved = labels[start:]
    successor = dict(zip(moved, moved[1:] + moved[:1], strict=True))
    return tuple(replace(example, label=successor.get(example.label, example.label)) for example in examples)


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = files("controlplane.assistant").joinpath("training").joinpath(name).read_text(encoding="utf-8")
    return (json.loads(line) for line in text.splitlines() if line.strip())


def _expand(template: str, variants: int, rng: random.Random) -> list[str]:
    texts: dict[str, None] = {}
    for _ in range(variants * 3):
        if len(texts) == variants:
            break
        text = _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), template)
        texts[" ".join(text.split()).strip(" ,")] = None
    return [_roughen(text, rng) for text in texts]


def _roughen(text: str, rng: random.Random) -> str:
    """Greets or mistypes a share of the texts, as customers do."""
    draw = rng.random()
    if draw < GREETED_SHARE:
        return rng.choice(_GREETINGS) + text
    if draw < GREETED_SHARE + MISTYPED_SHARE and len(text) > 12:
        spot = rng.randrange(1, len(text) - 2)
        return text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :]
    return text
