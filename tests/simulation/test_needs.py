"""The needs that ship can be met, are told apart, and were not copied from the assistant's training."""

from __future__ import annotations

import random
import re

import pytest

from controlplane.assistant.knowledge_base import corrupt, load_knowledge
from controlplane.assistant.training_data import load_examples, load_heldout
from controlplane.assistant.workflow_table import WORKFLOWS
from controlplane.simulation.needs import Need, NeedError, all_needs, parse
from controlplane.simulation.wording import fill

NEEDS = all_needs()
INTENTS = {example.label for example in load_examples(1)}
MINIMAL = 'intent = "balance"\nsubject = ["a"]\nchoices = ["a"]\nopenings = ["a"]\nplainer = ["a"]\n'


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z']+", text.casefold()))


def test_there_are_enough_needs_and_every_intent_has_one() -> None:
    assert len(NEEDS) >= 14
    assert len({need.name for need in NEEDS}) == len(NEEDS)
    assert {need.intent for need in NEEDS} == INTENTS


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.name)
def test_every_need_can_be_met(need: Need) -> None:
    """By a person, by a workflow that exists, or by the words of a page of the knowledge base."""
    pages = [page.body for page in load_knowledge().passages]
    for fact in need.facts:
        assert any(fact in page.casefold() for page in pages), fact
    if need.workflow is not None:
        assert need.workflow in {workflow.name for workflow in WORKFLOWS}
    assert need.person or need.workflow or any(need.answered_by(page) for page in pages)
    assert (need.route is None) or need.person


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.name)
def test_every_need_is_put_in_many_ways(need: Need) -> None:
    assert len(need.openings) >= 5
    assert len(set(need.phrases)) == len(need.phrases)
    for phrase in need.phrases:
        assert "{" not in fill(phrase, random.Random(1))


def near_copies(phrases: list[str], known: set[frozenset[str]]) -> list[str]:
    """Phrases of at least six different words that share 80 % of their words with a known text."""

    def close(phrase: str) -> bool:
        mine = frozenset(words(re.sub(r"\{\w+\}", "", phrase)))
        return len(mine) >= 6 and any(len(mine & other) >= 0.8 * len(mine | other) for other in known)

    return [phrase for phrase in phrases if close(phrase)]


def test_the_wording_is_not_the_assistants_own() -> None:
    """The simulation measures the assistant on words that it was not trained on; phrases that wander over would flatter it."""
    known = {frozenset(words(text)) for text in [e.text for e in load_examples(1)] + [r.text for r in load_heldout()]}
    direct = [phrase for need in NEEDS for phrase in need.openings]
    indirect = [phrase for need in NEEDS for phrase in need.indirect]
    assert len(near_copies(direct, known)) <= 0.04 * len(direct), near_copies(direct, known)
    assert near_copies(indirect, known) == []


def test_near_copies_are_recognised() -> None:
    known = {frozenset(words("third attempt to pay my friend and the app says no"))}
    copied, own = (
        "Third attempt to pay {person} and the app says no",
        "Typed everything off the invoice and still get told no",
    )
    assert near_copies([copied, own], known) == [copied]


def test_a_broken_knowledge_base_meets_far_fewer_needs() -> None:
    good, bad = load_knowledge(), corrupt(load_knowledge(), 1)
    by_words = [need for need in NEEDS if need.facts]

    def met(knowledge: object) -> int:
        return sum(
            any(need.answered_by(p.body) for p in knowledge.passages if need.intent in p.intents) for need in by_words
        )

    assert met(good) == len(by_words)
    assert met(bad) <= len(by_words) / 2


@pytest.mark.parametrize(
    ("text", "answered"),
    [
        ("An international transfer abroad costs £4.", True),
        ("Cash abroad: £45 a time", False),
        ("The transfer costs £4", True),
        ("Card payments in a foreign currency cost 1.5 % with the Everyday account.", True),
        ("It costs £4.", False),
        ("", False),
    ],
)
def test_an_answer_must_be_on_the_subject_and_carry_the_whole_fact(text: str, answered: bool) -> None:
    need = next(need for need in NEEDS if need.name == "fees_abroad")
    assert need.answered_by(text) is answered


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (MINIMAL, r"bad.toml \[x\]: this need can never be met"),
        (MINIMAL + 'facts = ["a"]\ncolour = "red"', "unknown key colour"),
        (MINIMAL.replace('openings = ["a"]', "openings = []") + 'facts = ["a"]', "openings must be given"),
        (MINIMAL + 'facts = "a"', "facts must be a list"),
    ],
)
def test_a_badly_written_need_is_named(body: str, complaint: str) -> None:
    with pytest.raises(NeedError, match=complaint):
        parse(f"[x]\n{body}", "bad.toml")


def test_a_minimal_need_is_read() -> None:
    (need,) = parse(f'[x]\n{MINIMAL}facts = ["First Screen"]', "good.toml")
    assert (need.facts, need.weight, need.indirect, need.route) == (("first screen",), 1.0, (), None)
