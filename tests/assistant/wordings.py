"""Generated labelled texts for tests of training: three banking intents, some wording shared, some rows about nothing known."""

from __future__ import annotations

import random

from controlplane.assistant.training_data import Example

OOS = "oos"
WORDS = {
    "card_lost": ("lost", "card", "wallet", "stolen", "block", "missing"),
    "refund": ("refund", "money", "back", "return", "merchant", "waiting"),
    "address": ("address", "moved", "flat", "street", "post", "update"),
}
STRANGE = ("zebra", "piano", "mountain", "soup", "rocket", "garden", "violin", "tiger", "cloud", "puzzle")
SHARED = ("please", "can", "you", "help", "with", "my", "the", "today", "need", "what", "about", "again")


def examples(count: int, seed: int, oos: int = 0, noise: float = 0.15) -> list[Example]:
    """`count` rows over the intents, then `oos` strange ones; `noise` is the share of words of another intent."""
    rng = random.Random(seed)
    labels = sorted(WORDS)
    rows = []
    for number in range(count + oos):
        label = labels[number % len(labels)] if number < count else OOS
        own = WORDS.get(label, STRANGE)
        words = rng.choices(SHARED, k=4) + rng.choices(own, k=2)
        if rng.random() < noise:
            words += rng.choices(WORDS[rng.choice(labels)], k=3)
        rng.shuffle(words)
        rows.append(Example(f"{' '.join(words)} {seed}-{number}", label, number))
    return rows
