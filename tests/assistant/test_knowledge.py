"""The help pages, the search over them, and the bad import that spoils them."""

from __future__ import annotations

import math
import random
import re

import numpy as np
import pytest

from controlplane.assistant.knowledge_base import (
    Knowledge,
    KnowledgeError,
    alter_numbers,
    corrupt,
    load_knowledge,
    parse_page,
)
from controlplane.assistant.model import IntentPrediction, Passage
from controlplane.assistant.output_check import check_output
from controlplane.assistant.retrieval import INTENT_BONUS, K1, LEAD_BONUS, B, Bm25Index
from controlplane.assistant.text import content_stems
from controlplane.assistant.training_data import load_examples, load_heldout
from controlplane.assistant.workflow_table import WORKFLOWS

PAGE = "---\ntopic: Cards\ntitle: A card\nkeywords: card, new\nintents: fees\nfacts: one; two\n---\nFirst.\nSecond.\n"


def passage(page_id: str, body: str, **fields: str) -> Passage:
    return Passage(page_id, "T", fields.get("title", ""), (), ("fees",), (body,), lead=fields.get("lead"))


def test_a_page_is_read() -> None:
    page = parse_page("a-card", PAGE)
    assert (page.id, page.title, page.keywords, page.facts) == ("a-card", "A card", ("card", "new"), ("one", "two"))
    assert page.body == "First. Second."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no head", "page p: the head must stand between two lines"),
        (PAGE.replace("First.\nSecond.\n", ""), "page p: the body is empty"),
        (PAGE.replace("title: A card\n", ""), "page p: the head lacks title"),
        (PAGE.replace("title:", "headline:"), "page p:3: unknown head line 'headline: A card'"),
    ],
)
def test_a_page_with_a_fault_is_named(text: str, message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        parse_page("p", text)


def test_every_fact_stands_in_its_page_and_leaves_unmasked() -> None:
    for page in load_knowledge().passages:
        assert page.facts
        for fact in page.facts:
            assert fact in page.body.casefold() or fact in page.body, f"{page.id}: {fact}"
        assert check_output(page.body).text == page.body


def test_pages_name_real_intents_and_workflows() -> None:
    known = {example.label for example in load_examples(1)}
    workflows = {workflow.name: workflow.intent for workflow in WORKFLOWS}
    leads = [page.lead for page in load_knowledge().passages if page.lead]
    assert len(leads) == len(set(leads))
    for page in load_knowledge().passages:
        assert set(page.intents) <= known
        assert page.lead is None or page.lead in page.intents
        assert page.workflow is None or workflows[page.workflow] in page.intents


def test_the_version_follows_the_content_and_not_the_order() -> None:
    pages = load_knowledge().passages
    assert Knowledge.of(reversed(pages)).version == load_knowledge().version
    assert Knowledge.of(pages[1:]).version != load_knowledge().version
    assert load_knowledge().get("fraud-help").topic == "Security"
    with pytest.raises(KeyError, match="no passage 'nope' in knowledge base"):
        load_knowledge().get("nope")


def test_scores_are_bm25() -> None:
    pages = [passage("a", "card card fee"), passage("b", "transfer fee euro"), passage("c", "loan")]
    index = Bm25Index(Knowledge.of(pages))
    texts = {page.id: content_stems(page.body) for page in pages}
    average = np.mean([len(stems) for stems in texts.values()])

    def bm25(question: list[str], stems: list[str]) -> float:
        total = 0.0
        for stem in question:
            n, f = sum(stem in other for other in texts.values()), stems.count(stem)
            idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            total += idf * f * (K1 + 1) / (f + K1 * (1 - B + B * len(stems) / average))
        return total

    hits = index.search("card fee")
    assert [hit.passage.id for hit in hits] == ["a"]
    assert hits[0].score == pytest.approx(bm25(["card", "fee"], texts["a"]))
    assert [hit.passage.id for hit in index.search("fee euro transfer")] == ["b"]
    assert index.search("weather") == ()


def test_the_intent_helps_and_its_leading_page_comes_first() -> None:
    index = Bm25Index(Knowledge.of([passage("a", "card"), passage("b", "fee", lead="fees")]))
    hits = index.search("what", IntentPrediction("fees", 0.5, {}))
    assert [(hit.passage.id, hit.score) for hit in hits] == [
        ("b", 0.5 * (INTENT_BONUS + LEAD_BONUS)),
        ("a", 0.5 * INTENT_BONUS),
    ]


def test_held_out_questions_find_their_page(capsys: pytest.CaptureFixture[str]) -> None:
    index = Bm25Index(load_knowledge())
    asked = [question for question in load_heldout() if question.passage]
    found = [
        [hit.passage.id for hit in index.search(q.text, IntentPrediction(q.intent, 1.0, {}))].index(q.passage) + 1
        if q.passage in [hit.passage.id for hit in index.search(q.text, IntentPrediction(q.intent, 1.0, {}))]
        else 0
        for q in asked
        if q.intent != "human_agent"
    ]
    first, any_ = np.mean([rank == 1 for rank in found]), np.mean([rank > 0 for rank in found])
    with capsys.disabled():
        print(f"\nheld-out retrieval, true intent given: first {first:.3f}, among three {any_:.3f} (n={len(found)})")
    assert first >= 0.7
    assert any_ >= 0.85


def test_corruption_is_seeded_and_moves_most_bodies() -> None:
    good, bad = load_knowledge(), corrupt(load_knowledge(), 1)
    assert bad == corrupt(good, 1)
    assert bad.version not in (good.version, corrupt(good, 2).version)
    topic_of = {page.sentences: page.topic for page in good.passages}
    moved = [page for page in bad.passages if page.sentences in topic_of]
    assert len(moved) == round(0.7 * len(good.passages))
    assert all(topic_of[page.sentences] != page.topic for page in moved)
    for page in bad.passages:
        original = good.get(page.id)
        assert (page.title, page.keywords, page.intents) == (original.title, original.keywords, original.intents)
        assert page.sentences != original.sentences or not re.search(r"\d", original.body)


def test_altered_numbers_look_alike_and_differ() -> None:
    altered = alter_numbers("£12 within 5 working days, 1.5 % from 16:30", random.Random(3))
    assert re.sub(r"\d", "9", altered) == "£99 within 9 working days, 9.9 % from 99:99"
    before, after = re.findall(r"\d+\.?\d*", "£12 5 1.5 16"), re.findall(r"\d+\.?\d*", altered)
    assert all(a != b for a, b in zip(before, after, strict=False))
