"""How customers type: placeholders filled in, greetings, impatience, lower case and slips of the finger.

Nothing here knows what a need is about. All chance comes from the generator that is handed in, so the same customer types
the same words whoever reads them.
"""

from __future__ import annotations

import random
import re

GREETINGS = (
    "hi ",
    "hello, ",
    "hey ",
    "Good morning. ",
    "hi there, ",
    "Hello team, ",
    "quick question: ",
    "hiya ",
    "Sorry to bother you. ",
)
IMPATIENCE = (
    " please hurry",
    " this is really urgent",
    " I need this today",
    " thanks",
    " pls",
    "?? please answer",
    " I've been waiting ages",
    " ASAP please",
    " cheers",
    " thanks in advance",
)
STALE_PREFIXES = (
    "no, ",
    "that's not what I asked. ",
    "I mean: ",
    "let me try again: ",
    "still not clear. ",
    "sorry but ",
    "you didn't answer me. ",
    "",
)
PERSON_REQUESTS = (
    "agent please",
    "let me talk to a human",
    "can I speak to a real person",
    "I want to speak with someone from your team",
    "put me through to an agent",
    "human please, this isn't working",
    "customer service rep please",
    "just connect me to a person",
)
FILLERS: dict[str, tuple[str, ...]] = {
    "amount": ("£20", "£45.50", "£120", "£300", "£75", "£1,250", "£9.99", "£640"),
    "merchant": ("Tesco", "a petrol station", "Amazon", "the coffee shop", "a hotel", "my gym", "a garage", "Ryanair"),
    "country": ("Spain", "Portugal", "Thailand", "the US", "Turkey", "Poland", "Japan", "Morocco"),
    "days": ("two days", "a week", "four days", "five working days", "ten days", "nearly two weeks"),
    "when": ("yesterday", "this morning", "on Monday", "last week", "an hour ago", "on Friday night"),
    "person": ("my sister", "my landlord", "a friend", "my dad", "the plumber", "my partner"),
    "place": ("on the bus", "at the gym", "in a taxi", "at the airport", "somewhere in town", "at work"),
    "month": ("January", "March", "May", "July", "September", "October"),
}

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_MIN_LETTERS_FOR_SLIP = 4


def fill(template: str, rng: random.Random) -> str:
    """Replaces `{name}` by one of the fillers of that name; an unknown name is a KeyError that names it."""
    return _PLACEHOLDER.sub(lambda match: rng.choice(FILLERS[match.group(1)]), template)


def slip(text: str, rng: random.Random) -> str:
    """One slip of the finger in a longer word: two letters swapped, one missing or one doubled."""
    words = text.split(" ")
    long_words = [i for i, word in enumerate(words) if len(word) > _MIN_LETTERS_FOR_SLIP and word.isalpha()]
    if not long_words:
        return text
    index = rng.choice(long_words)
    word = words[index]
    spot = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        word = word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :]
    elif kind == 1:
        word = word[:spot] + word[spot + 1 :]
    else:
        word = word[:spot] + word[spot] + word[spot:]
    words[index] = word
    return " ".join(words)


def type_out(template: str, sloppiness: float, rng: random.Random) -> str:
    """A message as this customer would really send it; `sloppiness` in [0, 1] is the chance of each small carelessness."""
    text = fill(template, rng)
    if rng.random() < 0.25:
        text = rng.choice(GREETINGS) + text[0].lower() + text[1:]
    if rng.random() < 0.2:
        text = text.rstrip(".?!") + rng.choice(IMPATIENCE)
    if rng.random() < sloppiness:
        text = text.lower().replace("'", "").rstrip(".?!")
    if rng.random() < sloppiness:
        text = slip(text, rng)
    return text


def say_again(template: str, sloppiness: float, rng: random.Random) -> str:
    """The same wish in other words after an answer that did not help."""
    return rng.choice(STALE_PREFIXES) + type_out(template, sloppiness, rng)
