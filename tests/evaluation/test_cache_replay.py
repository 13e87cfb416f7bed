"""The replay counts hits and wrong ones by the true intents, and thresholds are chosen on other questions."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from controlplane.assistant.cache import CacheConfig
from controlplane.assistant.cache_encoder import TfidfEncoder
from controlplane.assistant.intent import Recipe, train
from controlplane.assistant.model import IntentPrediction
from controlplane.assistant.training_data import Example
from controlplane.evaluation.cache_replay import Asked, choose, replay

CLINC = Path(__file__).parents[3] / "shared/data/clinc150/clinc150_dev.json.gz"


def asked(angle: float, truth: str | None, label: str = "a", confidence: float = 0.975, text: str = "words") -> Asked:
    vector = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)
    return Asked(text, truth, IntentPrediction(label, confidence, {}), vector)


def test_the_second_of_two_equal_questions_is_a_hit() -> None:
    found = replay([asked(0, "a"), asked(0, "a")], CacheConfig())
    assert (found.requests, found.hits, found.wrong, found.hit_rate, found.wrong_serve) == (2, 1, 0, 0.5, 0.0)
    assert found.saved_share == 0.5


def test_an_answer_to_another_true_intent_is_wrong_although_the_prediction_agrees() -> None:
    found = replay([asked(0, "a"), asked(0, "b")], CacheConfig())
    assert (found.hits, found.wrong, found.wrong_serve) == (1, 1, 1.0)
    assert found.wrong_interval is not None
    assert found.wrong_interval.high == 1.0


def test_a_question_about_nothing_known_is_always_served_wrongly() -> None:
    assert replay([asked(0, None), asked(0, None)], CacheConfig()).wrong == 1


def test_another_predicted_intent_and_a_far_question_are_no_hits() -> None:
    assert replay([asked(0, "a"), asked(0, "a", "b")], CacheConfig()).hits == 0
    assert replay([asked(0, "a"), asked(1, "a")], CacheConfig(min_cosine=0.9)).hits == 0


def test_what_the_guards_turn_away_counts_as_a_request_without_a_hit() -> None:
    stream = [asked(0, "a"), asked(0, "a", confidence=0.6), asked(0, "a", text="card 4111"), asked(0, "a")]
    found = replay(stream, CacheConfig())
    assert (found.requests, found.bypassed, found.hits) == (4, 2, 1)


def test_a_warm_cache_serves_the_first_question_and_its_own_look_ups_do_not_count() -> None:
    warm = [asked(0, "a"), asked(0, "a")]
    found = replay([asked(0, "a")], CacheConfig(), warm=warm)
    assert (found.requests, found.hits) == (1, 1)


def test_no_request_is_no_hit_and_no_interval() -> None:
    found = replay([], CacheConfig())
    assert (found.hit_rate, found.wrong_serve, found.wrong_interval) == (0.0, None, None)


def test_the_order_is_the_seeds_alone() -> None:
    rng = random.Random(3)
    stream = [asked(rng.random(), rng.choice("ab")) for _ in range(60)]
    config = CacheConfig(min_cosine=0.99)
    assert replay(stream, config, 5) == replay(stream, config, 5)
    assert len({replay(stream, config, seed).hits for seed in range(12)}) > 1


def crowd(n: int, seed: int) -> list[Asked]:
    """Two subjects that the classifier takes for one: the nearer two questions are, the likelier they are about the same."""
    rng = random.Random(seed)
    found = []
    for truth in rng.choices("ab", k=n):
        confidence = 0.99 if truth == "a" else rng.uniform(0.7, 1)
        found.append(asked(rng.gauss(0.0 if truth == "a" else 0.9, 0.15), truth, confidence=confidence))
    return found


def test_the_chosen_thresholds_keep_the_wrong_serve_rate_and_serve_the_most() -> None:
    chosen = choose(crowd(400, 1), CacheConfig(), 0.01)
    fresh, careless = (replay(crowd(400, 2), config) for config in (chosen, CacheConfig(min_cosine=0.5)))
    assert careless.wrong_serve is not None
    assert careless.wrong_serve > 0.01
    assert fresh.wrong_serve is not None
    assert fresh.wrong_serve < careless.wrong_serve
    assert fresh.hit_rate > 0.5
    for other in (CacheConfig(min_cosine=0.5, min_confidence=0.7), CacheConfig(min_cosine=0.9, min_confidence=0.98)):
        runs = [replay(crowd(400, 1), other, seed) for seed in (0, 1)]
        within = sum(run.wrong for run in runs) <= 0.01 * sum(run.hits for run in runs)
        assert not within or sum(run.hits for run in runs) <= sum(
            replay(crowd(400, 1), chosen, seed).hits for seed in (0, 1)
        )


def test_where_nothing_is_good_enough_the_strictest_is_chosen() -> None:
    hopeless = [asked(0, truth) for truth in random.Random(1).choices("ab", k=50)]
    chosen = choose(hopeless, CacheConfig(), 0.0)
    assert (chosen.min_cosine, chosen.min_confidence, chosen.keep_confidence) == (0.9, 0.98, 0.97)


@pytest.mark.skipif(not CLINC.is_file(), reason="no CLINC150 beside the project: real data is not part of it")
def test_on_real_questions_the_guards_are_what_keeps_the_cache_honest() -> None:
    rows = json.loads(gzip.decompress(CLINC.read_bytes()))["train"]
    labels = sorted({label for _, label in rows})[:12]
    rows = [(text, label) for text, label in rows if label in labels]
    random.Random(1).shuffle(rows)
    half = len(rows) // 2
    examples = [Example(text, label, group) for group, (text, label) in enumerate(rows[:half])]
    model = train(examples, 1, Recipe(folds=3, beta=False, scope=False))
    encode = TfidfEncoder([text for text, _ in rows[:half]])
    stream = [Asked(text, label, model.predict(text), encode(text)) for text, label in rows[half:]]
    guarded = replay(stream, CacheConfig(min_cosine=0.3))
    blind = replay(
        [Asked(a.text, a.truth, IntentPrediction("any", 1.0, {}), a.vector) for a in stream],
        CacheConfig(min_cosine=0.3),
    )
    assert guarded.wrong_serve is not None
    assert blind.wrong_serve is not None
    assert guarded.hit_rate > 0.3
    assert guarded.wrong_serve < blind.wrong_serve
    assert guarded.wrong_serve <= 0.05
