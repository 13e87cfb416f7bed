"""The bank's help pages: loading, versions, and the realistic ways in which they go bad.

Rules
- A page is a Markdown file with a head (`topic`, `title`, `keywords`, `intents`; optional `lead`, `facts`, `workflow`)
  and a body of one fact per line. Its id is the file name. `lead` names the intent whose first page it is when the
  customer's words decide for none.
- The version of a knowledge base is the hash of what an answer can be made from (id, title, keywords, intents, lead,
  sentences); two knowledge bases that answer alike have the same version.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from controlplane.assistant.model import Passage

_REQUIRED = frozenset({"topic", "title", "keywords", "intents"})
_KNOWN = _REQUIRED | {"facts", "lead", "workflow"}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
MISPLACED_SHARE = 0.7


class KnowledgeError(ValueError):
    """A page is not written as the rules say."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Passages in the order of their ids, and the version (sha256) of their content."""

    passages: tuple[Passage, ...]
    version: str

    @classmethod
    def of(cls, passages: Iterable[Passage]) -> "Knowledge":
        """A knowledge base of these passages."""
        ordered = tuple(sorted(passages, key=lambda passage: passage.id))
        content = [[p.id, p.title, p.keywords, p.intents, p.lead, p.sentences] for p in ordered]
        return cls(ordered, hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest())

    def get(self, passage_id: str) -> Passage:
        """The passage with this id; KeyError names an unknown one."""
        for passage in self.passages:
            if passage.id == passage_id:
                return passage
        raise KeyError(f"no passage {passage_id!r} in knowledge base {self.version[:12]}")


@cache
def load_knowledge() -> Knowledge:
    """The knowledge base of Alder Bank that ships with the assistant."""
    folder = files("controlplane.assistant").joinpath("knowledge")
    pages = [page for page in folder.iterdir() if page.name.endswith(".md")]
    return Knowledge.of(parse_page(page.name.removesuffix(".md"), page.read_text(encoding="utf-8")) for page in pages)


def parse_page(page_id: str, text: str) -> Passage:
    """One page; raises `KnowledgeError` naming the page, the line and what is wrong with it."""
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise KnowledgeError(f"page {page_id}: the head must stand between two lines '---' at the start")
    head_lines = parts[1].splitlines()
    head = read_head(head_lines, f"page {page_id}", first_line=parts[0].count("\n") + 2)
    missing = sorted(_REQUIRED - head.keys())
    if missing:
        raise KnowledgeError(f"page {page_id}: the head lacks {', '.join(missing)}")
    sentences = tuple(line.strip() for line in parts[2].splitlines() if line.strip())
    if not sentences:
        raise KnowledgeError(f"page {page_id}: the body is empty, write one fact per line")
    return passage_of(page_id, head, sentences)


def read_head(lines: Sequence[str], place: str, first_line: int) -> dict[str, str]:
    """The `key: value` lines of a page's head. Raises `KnowledgeError` that says `place`:line for an unknown or repeated key."""
    head: dict[str, str] = {}
    for number, line in enumerate(lines, first_line):
        key, separator, value = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not separator or key not in _KNOWN:
            raise KnowledgeError(
                f"{place}:{number}: unknown head line {line!r}, expected one of {', '.join(sorted(_KNOWN))}"
            )
        if key in head:
            raise KnowledgeError(f"{place}:{number}: {key} is given twice, keep one")
        head[key] = value
    return head


def passage_of(page_id: str, head: Mapping[str, str], sentences: tuple[str, ...]) -> Passage:
    """The page with this head (`topic` and `title` at least) and these sentences."""
    return Passage(
        id=page_id,
        topic=head["topic"],
        title=head["title"],
        keywords=_split(head.get("keywords", ""), ","),
        intents=_split(head.get("intents", ""), ","),
        sentences=sentences,
        facts=_split(head.get("facts", ""), ";"),
        lead=head.get("lead"),
        workflow=head.get("workflow"),
    )


def corrupt(knowledge: Knowledge, seed: int, topics: Sequence[str] = ()) -> Knowledge:
    """The knowledge base after a bad import: 70 % of the pages carry another page's body, the rest outdated numbers.

    Titles, keywords and intents stay in place, so a page is still found by its subject and then says something else.
    A body never lands on a page of its own topic. With `topics` the import touched those alone.
    """
    if topics:
        broken = {passage.id: passage for passage in corrupt(knowledge, seed).passages if passage.topic in topics}
        return Knowledge.of(broken.get(passage.id, passage) for passage in knowledge.passages)
    rng = random.Random(seed)
    order = sorted(knowledge.passages, key=lambda passage: (passage.topic, rng.random()))
    misplaced = sorted(rng.sample(range(len(order)), round(MISPLACED_SHARE * len(order))))
    step = max(_largest_topic([order[i] for i in misplaced]), 1)
    bodies = {order[i].id: order[misplaced[(n + step) % len(misplaced)]].sentences for n, i in enumerate(misplaced)}
    return Knowledge.of(
        replace(passage, sentences=bodies[passage.id] if passage.id in bodies else _outdate(passage.sentences, rng))
        for passage in order
    )


def alter_numbers(text: str, rng: random.Random) -> str:
    """The text with every number replaced by a plausible other one of the same form."""
    return _NUMBER.sub(lambda match: _other_number(match.group(), rng), text)


def _other_number(number: str, rng: random.Random) -> str:
    digits = list(number)
    places = [i for i, character in enumerate(digits) if character.isdigit()]
    first = places[0]
    digits[first] = rng.choice([digit for digit in "123456789" if digit != digits[first]])
    return "".join(digits)


def _outdate(sentences: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    return tuple(alter_numbers(sentence, rng) for sentence in sentences)


def _largest_topic(passages: list[Passage]) -> int:
    topics = [passage.topic for passage in passages]
    return max((topics.count(topic) for topic in set(topics)), default=0)


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())
