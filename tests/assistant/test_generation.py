"""Answers from passages: what the default repeats, what the careless model invents, and whether the score tells them apart."""

from __future__ import annotations

import pytest

from controlplane.assistant.generation import CarelessGenerator, ExtractiveGenerator, count_tokens
from controlplane.assistant.groundedness import GROUNDED, UNGROUNDED, calibration, score
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.protocols import GenerationRequest
from controlplane.assistant.text import sentences

KNOWLEDGE = load_knowledge()
LOST = KNOWLEDGE.get("card-lost")
DELIVERY = KNOWLEDGE.get("card-delivery")
QUESTION = "what does express delivery of a replacement card cost"


def request(key: str = "c1:1", question: str = QUESTION) -> GenerationRequest:
    return GenerationRequest(key, "Be brief.", question, (LOST, DELIVERY))


def test_extraction_repeats_sentences_and_cites_their_pages() -> None:
    answer = ExtractiveGenerator().generate(request())
    assert "£12" in answer.text
    said = sentences(answer.text.split(" [")[0])
    assert 1 <= len(said) <= 3
    assert all(sentence in (*LOST.sentences, *DELIVERY.sentences) for sentence in said)
    assert answer.sources
    assert all(f"[{source}]" in answer.text for source in answer.sources)


def test_extraction_without_passages_says_nothing() -> None:
    assert ExtractiveGenerator().generate(GenerationRequest("k", "", "why", ())).text == ""


def test_tokens_are_counted_from_the_real_prompt() -> None:
    answer = ExtractiveGenerator().generate(request())
    assert answer.tokens_cached == count_tokens("Be brief.") == 3
    assert answer.tokens_in > answer.tokens_cached + count_tokens(LOST.body)
    assert answer.tokens_out == count_tokens(answer.text)


def test_extraction_is_always_grounded_in_what_it_read() -> None:
    for page in KNOWLEDGE.passages:
        answer = ExtractiveGenerator().generate(GenerationRequest("k", "", page.title, (page,)))
        assert score(answer.text, (page,)).label == GROUNDED, page.id


def test_the_careless_model_is_seeded_and_flagged() -> None:
    careless = CarelessGenerator(KNOWLEDGE, seed=1, carelessness=1.0)
    texts = [careless.generate(request(f"c{i}:1")).text for i in range(60)]
    assert texts == [CarelessGenerator(KNOWLEDGE, 1, 1.0).generate(request(f"c{i}:1")).text for i in range(60)]
    assert len(set(texts)) > 50
    flagged = [score(text, (LOST, DELIVERY)).label == UNGROUNDED for text in texts]
    assert sum(flagged) / len(flagged) >= 0.95


def test_carelessness_is_a_share() -> None:
    careless = CarelessGenerator(KNOWLEDGE, carelessness=0.3)
    grounded = [score(careless.generate(request(f"c{i}:1")).text, (LOST, DELIVERY)).label for i in range(300)]
    assert 0.2 <= grounded.count(UNGROUNDED) / 300 <= 0.4


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("The replacement is free and takes 5 working days.", GROUNDED),
        ("Express delivery costs £12 and needs two working days. [card-lost]", GROUNDED),
        ("Sure! The replacement card is free.", GROUNDED),
        ("Hello, glad to help.", GROUNDED),
        ("Express delivery costs £15 and takes 2 working days.", UNGROUNDED),
        ("The replacement card arrives within 5 weeks.", UNGROUNDED),
        ("Your mortgage adviser in Madrid waives all investment charges.", UNGROUNDED),
        ("The replacement card is free. Our partner Visa also gives you a bonus holiday.", UNGROUNDED),
    ],
)
def test_single_answers(answer: str, label: str) -> None:
    assert score(answer, (LOST,)).label == label


def test_nothing_supports_an_answer_without_passages() -> None:
    judged = score("The replacement card is free.", ())
    assert judged.score == 0.0
    assert judged.unsupported == ("The replacement card is free.",)


def test_one_invented_sentence_lowers_a_true_answer() -> None:
    true = "The replacement card is free and arrives within 5 working days."
    judged = score(f"{true} A blocked card cannot be used again. Pluto pays 700 pounds.", (LOST,))
    assert judged.score < calibration().threshold
    assert judged.unsupported == ("Pluto pays 700 pounds.",)
