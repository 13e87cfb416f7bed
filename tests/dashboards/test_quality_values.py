"""Shares, confusions, calibration and who reached a person, against numbers worked out by hand; the queue against its own rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from controlplane.assistant.safety import AGENT_INTENT, SENSITIVE_INTENTS
from controlplane.core.review_queue import Item, Opinion, standing
from controlplane.store.snapshot import VersionInfo, publish
from controlplane.store.state import StateWriter
from controlplane.store.state_reviews import Assignment, Draw
from controlplane.store.warehouse import Warehouse
from dashboards.quality import data as data_quality
from dashboards.quality import values as q
from dashboards.quality import words as quality_words
from dashboards.quality.words import Findings, hero

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def answers(*rows: tuple[str, str, str, int, int, float]) -> pl.DataFrame:
    """predicted, truth, basis, bin, n, weight of one; the confidence lies in the middle of its bin."""
    cells = []
    for predicted, truth, basis, slot, n, weight in rows:
        conf = (slot + 0.5) / 10
        sums = {
            "confidence": n * conf,
            "weight": n * weight,
            "weight_sq": n * weight**2,
            "weighted_confidence": n * weight * conf,
        }
        cells.append(
            {"predicted": predicted, "truth": truth, "basis": basis, "bin": slot, "mature": slot > 5, "n": n, **sums}
        )
    return pl.DataFrame(cells, schema=data_quality.INTENTS)


def routed(*rows: tuple[str, str, str, str, int]) -> pl.DataFrame:
    """basis, screened, named, reached, n; audits drawn at one half."""
    weight = {"screen": 1.0}
    cells = [
        {
            "basis": b,
            "screened": s,
            "named": m,
            "reached": r,
            "n": n,
            "weight": n * weight.get(b, 2.0),
            "weight_sq": n * weight.get(b, 2.0) ** 2,
        }
        for b, s, m, r, n in rows
    ]
    return pl.DataFrame(cells, schema=data_quality.SAFETY)


def test_the_categories_are_the_assistants_own() -> None:
    own = {intent: str(route) for intent, route in SENSITIVE_INTENTS.items()} | {AGENT_INTENT: q.WISH}
    assert own == q.CATEGORY_OF
    assert set(q.MANDATORY) == {str(route) for route in SENSITIVE_INTENTS.values()}


def test_answers_drawn_more_rarely_count_more() -> None:
    rows = answers(
        ("a", "a", q.SAMPLED, 9, 30, 10.0), ("a", "b", q.SAMPLED, 9, 10, 10.0), ("b", "a", q.SAMPLED, 9, 40, 1.0)
    )
    found = q.misunderstood(rows, q.SAMPLED)
    assert found is not None
    assert found.value == pytest.approx((10 * 10 + 40) / (40 * 10 + 40))
    assert (found.hits, found.n, found.total) == (50, 80, 440)
    even = q.misunderstood(answers(("a", "a", q.SAMPLED, 9, 30, 5.0), ("a", "b", q.SAMPLED, 9, 10, 5.0)), q.SAMPLED)
    assert even is not None
    assert (even.low, even.high) == pytest.approx((0.1269, 0.4120), abs=1e-4)  # exact binomial, 10 of 40
    assert found.high - found.low > 0.2, "eighty labels of unequal weight are worth fewer"
    assert q.misunderstood(rows, q.LOG) is None


def test_labels_come_from_one_place() -> None:
    rows = answers(
        ("a", "a", q.SAMPLED, 9, 29, 1.0), ("a", "b", q.LOG, 9, 500, 1.0), ("a", "b", q.TARGETED, 9, 900, 1.0)
    )
    assert q.bases(rows) == {q.SAMPLED: 29, q.LOG: 500}
    assert q.chosen_basis(q.bases(rows)) == q.LOG
    assert q.chosen_basis({q.SAMPLED: 30, q.LOG: 500}) == q.SAMPLED
    assert q.chosen_basis({}) == ""
    mostly = q.maturity(answers(("a", "a", q.LOG, 9, 1, 1.0), ("a", "a", q.LOG, 1, 3, 1.0)), q.LOG)
    assert mostly == 0.25


def test_what_is_mixed_up_and_what_is_recognised() -> None:
    rows = answers(
        ("fees", "fees", q.SAMPLED, 9, 6, 1.0),
        ("limits", "fees", q.SAMPLED, 6, 3, 1.0),
        ("balance", "fees", q.SAMPLED, 6, 1, 1.0),
        ("limits", "limits", q.SAMPLED, 9, 10, 1.0),
        ("fees", "limits", q.TARGETED, 9, 99, 1.0),
    )
    assert [(c.truth, c.predicted, c.share.hits) for c in q.confusions(rows, q.SAMPLED)] == [
        ("fees", "limits", 3),
        ("fees", "balance", 1),
    ]
    by_intent = q.recognised(rows, q.SAMPLED)
    assert [(truth, found.value, other) for truth, found, other in by_intent] == [
        ("fees", 0.6, "limits"),
        ("limits", 1.0, ""),
    ]
    cells = {(row["truth"], row["predicted"]): row["share"] for row in q.matrix(rows, q.SAMPLED).to_dicts()}
    assert cells["fees", "limits"] == 0.3
    assert sum(cells.values()) == pytest.approx(2)


@pytest.mark.parametrize(("right", "consistent"), [((15, 255), True), ((5, 150), False)])
def test_calibration_is_weighed_by_all_answers_and_told_from_chance(right: tuple[int, int], consistent: bool) -> None:
    few, many = right
    rows = answers(
        ("a", "a", q.SAMPLED, 4, few, 1.0),
        ("a", "b", q.SAMPLED, 4, 30 - few, 1.0),
        ("a", "a", q.SAMPLED, 9, many, 1.0),
        ("a", "b", q.SAMPLED, 9, 270 - many, 1.0),
        ("a", "unlabelled", q.NONE, 4, 700, 1.0),
        ("a", "unlabelled", q.NONE, -1, 50, 1.0),
    )
    found = q.calibration(rows, q.SAMPLED)
    assert found is not None
    assert [one.answers for one in found.bins] == [730, 270]
    expected = 0.73 * abs(few / 30 - 0.45) + 0.27 * abs(many / 270 - 0.95)
    assert found.error == pytest.approx(expected)
    assert found.consistent is consistent
    assert q.calibration(rows, q.SAMPLED) == found, "the same labels always say the same"
    assert q.calibration(rows.filter(pl.col("bin") < 0), q.SAMPLED) is None
    words, _ = quality_words.calibrated(found)
    assert ("chance" in words) is consistent


def test_who_reached_a_person_with_the_rule_of_three() -> None:
    rows = routed(
        ("screen", "fraud", "unsaid", "person", 300),
        ("screen", "legal", "unsaid", "person", 9),
        ("screen", "legal", "unsaid", "nobody", 1),
        ("screen", "spam", "unsaid", "person", 2),
        (q.SAMPLED, "fraud", "fraud", "at_once", 40),
        (q.SAMPLED, "none", "legal_complaint", "late", 2),
        (q.SAMPLED, "none", "fees", "at_once", 57),
        (q.SAMPLED, "none", "dispute_charge", "nobody", 1),
    )
    found = q.safety(rows)
    named = {one.name: one for one in found.categories}
    assert (named["fraud"].seen, named["fraud"].nobody, named["fraud"].at_once) == (300, 0, 40)
    assert named["fraud"].at_most == pytest.approx(1 - 0.05 ** (1 / 300))
    assert (named["legal"].nobody, named["legal"].late, named["financial_dispute"].never) == (1, 2, 1)
    assert "spam" in named
    assert found.mandatory.seen == 310
    assert found.misrouted is not None
    assert (found.misrouted.hits, found.misrouted.n) == (3, 100)
    assert quality_words.reached(named["legal"]) == ("1 missed", "bad")
    assert quality_words.reached(named["harassment"])[0] == "none seen"


def test_late_after_recognition_and_findings_without_a_subject_are_told() -> None:
    """Handed over only turns after the screen saw it; called misrouted by a person who named no subject; found twice, counted once."""
    alone = hero(Findings(q.safety(routed(("screen", "fraud", "unsaid", "person", 9))), None, None, None, "menu"))
    assert alone.tone == "wait", "nobody has looked at what the screen does not see"
    slow = q.safety(routed(("screen", "fraud", "unsaid", "person", 9), ("screen", "fraud", "unsaid", "late", 1)))
    assert (slow.mandatory.seen, slow.mandatory.nobody, slow.mandatory.slow) == (10, 0, 1)
    assert quality_words.reached(slow) == ("1 late", "wait")
    screen = ("screen", "legal", "unsaid", "person", 300)
    unsaid = q.safety(routed(screen, (q.PERSON, "none", "unsaid", "nobody", 1), (q.SAMPLED, "none", "fees", "late", 2)))
    assert (unsaid.unnamed.never, unsaid.unnamed.late, unsaid.unnamed.at_once, unsaid.found) == (1, 2, 0, 3)
    assert unsaid.misrouted is not None
    assert unsaid.misrouted.hits == 2, "the share is of the random sample alone"
    said = hero(Findings(unsaid, None, None, None, "menu"))
    assert (said.headline, said.tone) == ("1 customer who had to reach a person did not.", "bad")
    assert "audited 3 answers found 3 answers that should" in said.sentence
    both = q.safety(
        routed(
            ("screen", "fraud", "unsaid", "nobody", 1),
            (q.SAMPLED, "fraud", "unsaid", "nobody", 1),
            (q.SAMPLED, "fraud", "fees", "at_once", 5),
        )
    )
    assert (both.lost, both.mandatory.never, both.mandatory.at_once) == (1, 1, 0)


@pytest.mark.parametrize(
    ("safe", "wrong", "ungrounded", "tone", "words"),
    [
        ((300, 0, 0), 2, 0.01, "good", "Everybody known to need a person reached one."),
        ((300, 0, 4), 2, 0.01, "wait", "Everybody known to need a person reached one, 4 of them late."),
        ((300, 1, 0), 2, 0.01, "bad", "1 customer who had to reach a person did not."),
        ((300, 0, 0), 2, 0.5, "bad", "go beyond their sources."),
        ((300, 0, 0), None, 0.01, "wait", "Everybody known to need a person reached one."),
        ((0, 0, 0), 2, 0.01, "good", "Nobody had to be sent to a person."),
    ],
)
def test_the_answer_puts_safety_first(
    safe: tuple[int, int, int], wrong: int | None, ungrounded: float, tone: str, words: str
) -> None:
    seen, nobody, late = safe
    rows = routed(
        ("screen", "fraud", "unsaid", "person", seen),
        ("screen", "fraud", "unsaid", "nobody", nobody),
        (q.SAMPLED, "none", "fraud", "late", late),
        (q.SAMPLED, "none", "fees", "at_once", 50),
    )
    labels = (
        None
        if wrong is None
        else q.misunderstood(answers(("a", "a", q.LOG, 9, 98, 1.0), ("a", "b", q.LOG, 9, wrong, 1.0)), q.LOG)
    )
    judged = q.Share(ungrounded, ungrounded * 0.8, ungrounded * 1.2, 1, 100, 100.0)
    said = hero(Findings(q.safety(rows.filter(pl.col("n") > 0)), labels, judged, 0.05, "menu"))
    assert said.tone == tone
    assert said.headline.endswith(words)
    assert ("98 %" in said.sentence) is (wrong is not None)


def test_nothing_known_is_said() -> None:
    assert hero(None).headline == "Nothing has been answered yet."
    nothing = hero(Findings(q.safety(routed()), None, None, None, "menu"))
    assert nothing.headline == "Whether it is safe is not known yet."
    assert "Nobody has checked" in nothing.sentence


def test_the_queue_counts_as_its_rules_do(tmp_path: Path) -> None:
    """Every way two people can differ, through the state, the snapshot and the page's query."""
    said = [
        ("correct", None, None),
        ("incorrect", "fees", None),
        ("correct", "fees", True),
        ("correct", "limits", False),
    ]
    cases: list[tuple[int, list[tuple[str, str | None, bool | None]], bool]] = [(w, [], False) for w in (1, 2)]
    cases += [(w, [one], False) for w in (1, 2) for one in said] + [
        (2, list(pair), False) for pair in product(said, said)
    ]
    cases.append((2, [said[0], said[1]], True))
    state = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}")
    state.migrate(NOW)
    items = [
        Item(f"q{i}", "d1", f"i{i}", f"c{i}", None, None, "fees", NOW, "none", ("audit",), 0.1, 0.1, wanted, NOW)
        for i, (wanted, _, _) in enumerate(cases)
    ]
    state.add_review_draw(Draw("d1", None, NOW, "ana", NOW, 900, {"settings": {"per_day": 40.0}}), items, None)
    expected: dict[str, int] = {}
    for number, (wanted, given, decided) in enumerate(cases):
        key, opinions = f"q{number}", {}
        for turn, (label, intent, grounded) in enumerate(given, 1):
            state.add_review_assignments([Assignment(key, turn, f"r{turn}", "ana", NOW)])
            known = dict(opinions)
            opinions[turn] = Opinion(f"r{turn}", label, NOW - timedelta(days=turn - 1), intent, grounded)
            state.add_review_opinion(key, turn, opinions[turn], known)
        verdict = Opinion("olga", "correct", NOW) if decided else None
        if verdict is not None:
            state.add_review_adjudication(key, "third", verdict)
        status = standing(wanted, opinions, verdict).status
        expected[status] = expected.get(status, 0) + 1
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        cursor = warehouse.cursor()
        path = publish(cursor, state.export(), tmp_path / "snapshots", NOW, VersionInfo(1, "0", "demo"))
        cursor.close()
    state.close()
    found = data_quality.queue.__wrapped__(str(path), "k", NOW.replace(hour=0))
    assert found.status == expected
    assert (found.items, found.random, found.per_day) == (len(cases), len(cases), 40.0)
    assert found.people["r1"] == (25, 25)
    assert found.people["r2"] == (0, 17), "yesterday's labels are not today's"
    assert found.agreement.n == 17
    assert found.agreement.same == sum(a[0] == b[0] for a, b in product(said, said))
    assert found.settled + found.open + found.disputed == found.items
