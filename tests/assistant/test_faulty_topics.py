"""A release that is wrong about some topics is right about the others, and has hashes of its own."""

from __future__ import annotations

from controlplane.assistant.generation import CarelessGenerator, ExtractiveGenerator
from controlplane.assistant.knowledge_base import corrupt, load_knowledge
from controlplane.assistant.protocols import GenerationRequest

TOPICS = ("Cards", "Fees")


def test_an_import_that_touches_some_topics_leaves_the_others_as_they_are() -> None:
    good = load_knowledge()
    bad, all_bad = corrupt(good, 1, TOPICS), corrupt(good, 1)
    before = {passage.id: passage for passage in good.passages}
    worst = {passage.id: passage for passage in all_bad.passages}
    for passage in bad.passages:
        assert passage == (worst if passage.topic in TOPICS else before)[passage.id]
    assert any(passage != before[passage.id] for passage in bad.passages)
    assert len({good.version, bad.version, all_bad.version}) == 3


def test_a_model_that_is_careless_about_some_topics_extracts_about_the_others() -> None:
    knowledge = load_knowledge()
    careless = CarelessGenerator(knowledge, 1, carelessness=1.0, topics=TOPICS)
    for passage in knowledge.passages:
        request = GenerationRequest(f"c-{passage.id}:1", "system", passage.title, (passage,))
        same = careless.generate(request).text == ExtractiveGenerator().generate(request).text
        assert same is (passage.topic not in TOPICS), passage.id
