"""Topics: a planted new one is found and named, stable traffic has none, ids stay, and the same questions give the same topics."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from controlplane.analysis import topics
from controlplane.analysis.topics import Question, Served, cosine, find_topics

T0 = datetime(2026, 1, 5, tzinfo=UTC)
SUBJECTS = {
    "fees": ("what is the fee for a wire abroad", "monthly fee of my account", "why was a fee charged for the wire"),
    "card": ("my card has not arrived by post", "the new card is not in the post", "card still missing in the post"),
    "limit": ("raise the daily limit for payments", "daily limit is too low", "what is the payments limit a day"),
}
CRYPTO = ("can i buy crypto coins with my account", "crypto wallet transfer", "do you support crypto coins wallet")
CLINC = Path(__file__).parents[3] / "shared" / "data" / "clinc150"


def asked(texts: Iterable[str], current: bool, first: int = 0) -> list[Question]:
    return [
        Question(f"k{first + i}", text, f"u{first + i}", T0 + timedelta(minutes=i), current, frozenset({"unresolved"}))
        for i, text in enumerate(texts)
    ]


def traffic(seed: int, n: int) -> list[str]:
    rng = random.Random(seed)
    return [
        f"{rng.choice(SUBJECTS[rng.choice(sorted(SUBJECTS))])} {rng.choice(('please', 'today', 'thanks'))}"
        for _ in range(n)
    ]


def both(extra: int, n: int = 150) -> list[Question]:
    new = [CRYPTO[i % 3] for i in range(extra)]
    return [*asked(traffic(1, n), False), *asked([*traffic(2, n), *new], True, n)]


SERVED = Served(2000, 2000)


def test_a_planted_topic_is_found_new_and_named() -> None:
    found = find_topics(both(25), SERVED, {})
    new = [topic for topic in found.topics if topic.change == "new"]
    assert sum(topic.n for topic in new) >= 23
    assert all("crypto" in topic.centroid for topic in new)
    said = new[0].to_dict()
    assert (said["before_n"], said["new"], said["unresolved"], said["out_of_scope"]) == (0, True, new[0].n, 0)
    assert said["p_adjusted"] <= 0.05
    assert set(said["examples"]) <= set(CRYPTO)
    assert said["first_at"].endswith("Z")
    assert [topic.customers for topic in found.topics] == sorted((t.customers for t in found.topics), reverse=True)
    assert sum(topic.n for topic in found.topics) + found.unclustered == 175


def test_the_same_questions_give_the_same_topics_in_any_span_labels() -> None:
    assert find_topics(both(25), SERVED, {}) == find_topics(both(25), SERVED, {})


def test_stable_traffic_has_no_new_topic() -> None:
    wrong = 0
    for seed in range(10):
        questions = [*asked(traffic(seed, 120), False), *asked(traffic(seed + 100, 120), True, 120)]
        wrong += any(topic.change != "same" for topic in find_topics(questions, SERVED, {}).topics)
    assert wrong <= 2  # 5 % each


def test_a_topic_keeps_its_id() -> None:
    first = {topic.topic_id: topic.centroid for topic in find_topics(both(25), SERVED, {}).topics}
    later = [*asked(traffic(7, 150), False), *asked([*traffic(8, 150), *CRYPTO * 9], True, 150)]
    again = find_topics(later, SERVED, first)
    crypto = [topic for topic in again.topics if "crypto" in topic.terms]
    assert any(topic.topic_id in first and "crypto" in first[topic.topic_id] for topic in crypto)
    assert len({topic.topic_id for topic in again.topics}) == len(again.topics)


def test_one_customer_who_asks_often_is_one_customer() -> None:
    loud = [Question(f"l{i}", CRYPTO[i % 3], "loud", T0, True, frozenset()) for i in range(25)]
    found = find_topics([*both(0), *loud], SERVED, {})
    assert [topic.change for topic in found.topics if "crypto" in topic.terms] == ["same"] * sum(
        "crypto" in topic.terms for topic in found.topics
    )


def test_without_a_span_before_nothing_is_new() -> None:
    found = find_topics(asked(traffic(1, 150), True), Served(1000, 0), {})
    assert found.topics
    assert {topic.change for topic in found.topics} == {"unknown"}
    assert {topic.p_value for topic in found.topics} == {None}


@pytest.mark.parametrize(
    ("texts", "words"),
    [([], "0 questions"), (["fee"] * 4, "4 questions"), (["", " ", "?", "!", "."], "no word in common")],
)
def test_too_little_says_why(texts: list[str], words: str) -> None:
    found = find_topics(asked(texts, True), SERVED, {})
    assert found.topics == ()
    assert words in found.reason


@pytest.mark.parametrize("texts", [["the same"] * 40, ["日本の口座 手数料"] * 20 + ["küçük ödeme sorunu"] * 20])
def test_odd_questions_do_no_harm(texts: list[str]) -> None:
    found = find_topics(asked(texts, True), SERVED, {})
    assert found.reason or sum(topic.n for topic in found.topics) + found.unclustered == len(texts)


def test_examples_are_masked() -> None:
    questions = asked([f"my fee question, write to a{i}@example.org" for i in range(30)], True)
    found = find_topics(questions, SERVED, {})
    assert found.topics
    assert "@" not in str([topic.to_dict() for topic in found.topics])


def test_cosine() -> None:
    assert cosine({"a": 2.0}, {"a": 5.0}) == pytest.approx(1.0)
    assert cosine({"a": 1.0}, {"b": 1.0}) == 0.0
    assert cosine({}, {"b": 1.0}) == 0.0


def test_embeddings_take_the_place_of_words() -> None:
    """Vectors that know no word: three directions, of which one is new."""
    rng = np.random.default_rng(1)
    questions = both(25)
    place = [3 if question.text in CRYPTO else i % 3 for i, question in enumerate(questions)]
    vectors = np.eye(8)[place] + rng.normal(0, 0.01, (len(questions), 8))
    found = find_topics(questions, SERVED, {}, vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    new = [topic for topic in found.topics if topic.change == "new"]
    assert sum(topic.n for topic in new) == 25


@pytest.mark.skipif(not CLINC.is_dir(), reason="CLINC150 is not here")
def test_a_withheld_domain_of_clinc150_appears() -> None:
    rows = json.loads(gzip.decompress((CLINC / "clinc150_dev.json.gz").read_bytes()))["train"]
    inside = set(json.loads((CLINC / "domains.json").read_text())["credit_cards"])
    random.Random(1).shuffle(rows)
    rest = [text for text, intent in rows if intent not in inside][:1200]
    held = [text for text, intent in rows if intent in inside][:100]
    questions = [*asked(rest[:600], False), *asked([*rest[600:], *held], True, 600)]
    truth = {f"k{1200 + i}" for i in range(len(held))}
    found = find_topics(questions, Served(6_000, 6_000), {})
    flagged = {key for topic in found.topics if topic.change == "new" for key in topic.members}
    assert len(flagged & truth) / len(flagged) >= 0.9  # purity
    assert len(flagged & truth) / len(truth) >= 0.4  # recall, of words alone; .86 by embeddings
    assert topics.MIN_SIZE == 5
