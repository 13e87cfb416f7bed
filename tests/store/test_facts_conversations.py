"""Conversations kept by ingest equal an independent account over all records, however the records arrive."""

import random

import pytest

from controlplane.store.warehouse import Warehouse
from tests.store.conversation_account import expected_conversations
from tests.store.facts_world import exposure, feedback, ingest, interaction, naive, one, rows, write_lines

HOUR = 60


@pytest.fixture
def warehouse(tmp_path):
    with Warehouse.open(tmp_path / "w.duckdb") as opened:
        yield opened


@pytest.fixture
def tell(tmp_path, warehouse):
    """Ingests records as a file of their own, and returns the one conversation (or that of the id)."""
    told = 0

    def _tell(*records, of="c1"):
        nonlocal told
        told += 1
        counts = ingest(warehouse, write_lines(tmp_path / f"{told}.jsonl", records))
        assert counts.stored == len(records)
        return one(warehouse, "SELECT * FROM conversations WHERE conversation_id = ?", of)

    return _tell


def test_a_conversation_from_its_interactions(tell):
    found = tell(
        interaction(1, minutes=0, intent_pred="refund", release="r1", tokens_in=5, tokens_out=7, cost_usd=0.5),
        interaction(2, minutes=2, intent_pred="card", escalated=True, escalation_reason="agent keyword", tokens_in=2),
        interaction(3, minutes=3, escalated=True, escalation_reason="again", resolved=False, csat=2),
    )
    assert (found["turns"], found["arm"], found["release"], found["intent_first"]) == (3, "assistant", "r1", "refund")
    assert (found["started_at"], found["last_at"]) == (naive(0), naive(3))
    assert (found["escalated_at"], found["escalation_reason"]) == (naive(2), "agent keyword")
    assert (found["resolved"], found["resolved_at"], found["csat"], found["csat_at"]) == (
        False,
        naive(3),
        2.0,
        naive(3),
    )
    assert (found["tokens_in"], found["tokens_out"], found["cost_usd"]) == (7, 7, 0.5)


def test_the_exposure_says_what_the_conversation_was_served(tell):
    tell(interaction(1, minutes=0, release="told by the turn", segment="from the turn"))
    found = tell(
        exposure(
            1,
            minutes=1,
            release="r2",
            phase="canary",
            rollout_id="ro",
            flag_version=4,
            eligible=True,
            intent_first="card",
        )
    )
    assert (found["release"], found["phase"], found["rollout_id"], found["flag_version"]) == ("r2", "canary", "ro", 4)
    assert (found["eligible"], found["intent_first"], found["segment"]) == (True, "card", "from the turn")
    assert (found["turns"], found["started_at"]) == (1, naive(0))


def test_exposure_and_feedback_may_come_first(tell):
    found = tell(exposure(1, minutes=0, user_id="u9"))
    assert (found["turns"], found["started_at"], found["arm"], found["user_id"]) == (0, None, "assistant", "u9")
    found = tell(feedback(1, "c2", 50, csat=5), of="c2")
    assert (found["turns"], found["csat"], found["csat_at"], found["arm"]) == (0, 5.0, naive(50), None)
    found = tell(interaction(2, "c2", 10), of="c2")
    assert (found["turns"], found["csat"], found["arm"], found["started_at"]) == (1, 5.0, "assistant", naive(10))


def test_the_latest_word_wins_also_when_it_comes_late(tell):
    tell(interaction(1, minutes=0, csat=3, resolved=False), feedback(1, minutes=100, csat=5, resolved=True))
    found = tell(feedback(2, minutes=50, csat=1, resolved=False))
    assert (found["csat"], found["csat_at"], found["resolved"], found["resolved_at"]) == (
        5.0,
        naive(100),
        True,
        naive(100),
    )
    found = tell(feedback(3, minutes=101, csat=2))
    assert (found["csat"], found["resolved"]) == (2.0, True)


def test_history_without_times_is_kept_in_order_of_turns(tell):
    found = tell(
        interaction(2, ts=None, resolved=True, escalated=True), interaction(1, ts=None, resolved=False, intent_pred="a")
    )
    assert (found["turns"], found["started_at"], found["escalated_at"], found["escalated"]) == (2, None, None, True)
    assert (found["resolved"], found["resolved_at"], found["intent_first"]) == (True, None, "a")


def test_the_return_is_the_next_start_of_the_same_customer_within_72_hours(tell, warehouse):
    tell(interaction(1, "c1", 0, user_id="u"), interaction(2, "other", 5, user_id="v"))
    found = tell(interaction(3, "c3", -71 * HOUR, user_id="u"), of="c3")
    assert found["returned_at"] == naive(0)
    found = tell(interaction(4, "c4", -30 * HOUR, user_id="u"), of="c4")
    assert found["returned_at"] == naive(0)
    starts = dict(rows(warehouse, "SELECT conversation_id, returned_at FROM conversations"))
    assert starts == {"c1": None, "other": None, "c3": naive(-30 * HOUR), "c4": naive(0)}


def test_a_return_after_72_hours_or_at_the_same_instant_is_none(tell, warehouse):
    tell(
        interaction(1, "c1", -72 * HOUR - 1, user_id="u"),
        interaction(2, "c2", 0, user_id="u"),
        interaction(3, "c3", 0, user_id="u"),
    )
    assert rows(warehouse, "SELECT count(returned_at) FROM conversations") == [(0,)]
    tell(interaction(4, "c4", 5, user_id=None), interaction(5, "c5", 6, user_id=None))
    assert rows(warehouse, "SELECT count(returned_at) FROM conversations") == [(0,)]


def test_a_return_moves_when_an_earlier_turn_comes_late(tell, warehouse):
    tell(interaction(1, "c1", 0, user_id="u"), interaction(2, "c2", 60, user_id="u"))
    tell(interaction(3, "c2", 30, user_id="u"), of="c2")
    assert rows(warehouse, "SELECT returned_at FROM conversations WHERE conversation_id = 'c1'") == [(naive(30),)]
    last = rows(warehouse, "SELECT DISTINCT minute FROM touched_minutes WHERE batch_id = 2 ORDER BY minute")
    assert last == [(naive(0),), (naive(30),), (naive(60),)]
    assert rows(warehouse, "SELECT DISTINCT batch_id FROM conversations") == [(2,)]


def random_records(rng, conversations):
    """A world in which every rule of a conversation is met often; users have several conversations, arms are consistent."""
    number = 0
    for index in range(conversations):
        conversation, user = f"c{index}", f"u{index % 7}"
        arm = rng.choice(["assistant", "baseline"])
        timeless = rng.random() < 0.15
        start = rng.randrange(9 * 24 * HOUR) - 11 * 24 * HOUR
        pick = rng.choice
        if rng.random() < 0.6 and not timeless:
            number += 1
            yield exposure(
                number,
                conversation,
                start - 0.5,
                user_id=pick([user, None]),
                variant=arm,
                release=pick(["r1", None]),
                phase=pick(["p", None]),
                segment=pick(["s1", None]),
                rollout_id="ro",
                flag_version=2,
                eligible=pick([True, False]),
                intent_first=pick(["x", None]),
            )
        for turn in range(rng.randrange(5)):
            number += 1
            yield interaction(
                number,
                conversation,
                start + turn * 3,
                turn=turn,
                **({"ts": None} if timeless else {}),
                user_id=user,
                arm=pick([arm, None]),
                release=pick(["r2", None]),
                segment=pick(["s2", "s3", None]),
                intent_pred=pick(["a", "b", None]),
                escalated=pick([None, False, True]),
                escalation_reason=pick([None, "k"]),
                resolved=pick([None, True, False]),
                csat=pick([None, 1, 4]),
                workflow=pick([None, "w1", "w2"]),
                safety_route=pick([None, "fraud", "legal"]),
                tokens_in=pick([None, 3]),
                tokens_out=pick([None, 4]),
                cost_usd=pick([None, 0.125]),
            )
        for _ in range(rng.randrange(3)):
            number += 1
            yield feedback(
                number,
                conversation,
                start + rng.randrange(3000) + 0.25,
                csat=pick([None, 2, 5]),
                resolved=pick([None, True, False]),
            )


@pytest.mark.parametrize("seed", range(3))
def test_any_world_in_any_order_equals_the_independent_account(tmp_path, warehouse, seed):
    rng = random.Random(seed)
    records = list(random_records(rng, 45))
    rng.shuffle(records)
    third = len(records) // 3
    for part in range(4):
        chunk = records[part * third : (part + 1) * third]
        if chunk:
            ingest(warehouse, write_lines(tmp_path / f"{part}.jsonl", chunk), slice_bytes=rng.choice([9000, 1 << 20]))
    assert rows(warehouse, "SELECT count(*) FROM quarantine") == [(0,)]
    expected = expected_conversations(records)
    assert rows(warehouse, "SELECT count(*) FROM conversations") == [(len(expected),)]
    for conversation, account in expected.items():
        found = one(warehouse, "SELECT * FROM conversations WHERE conversation_id = ?", conversation)
        assert {name: found[name] for name in account} == account, conversation
