"""Hourly counts of intents and safety: whose label counts, what it weighs, who reached a person; filled for warehouses that are older."""

import pytest

from controlplane.store.rollups import failed_checks, refresh
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_recount import DAY, assert_rollups_equal_recount
from tests.store.rollup_world import T0, Conversation, Exposure, Facts, Judged, Turn, at, fetch


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("quality") / "facts.duckdb") as warehouse:
        yield warehouse


@pytest.fixture
def facts(warehouse):
    return Facts(warehouse).clear()


def _turn(number, seconds=0, conf=0.73, true=None, name=None, pred="fees"):
    return Turn(
        f"i{number}",
        name or f"c{number}",
        at(seconds),
        arm="assistant",
        release="v1",
        intent_pred=pred,
        intent_true=true,
        intent_conf=conf,
    )


def _label(key, number, label, seconds=60, name="intent_true", by="human:ann", rate=0.1):
    return Judged(key, f"i{number}", f"c{number}", at(seconds), name, label, by, rate)


def _intents(facts):
    rows = fetch(facts.warehouse, "SELECT truth, basis, bin, n, weight FROM rollup_intent ORDER BY ALL")
    assert_rollups_equal_recount(facts)
    return rows


def _audited(facts):
    rows = fetch(
        facts.warehouse, "SELECT basis, screened, named, reached, n, weight FROM rollup_safety WHERE basis <> 'screen'"
    )
    assert_rollups_equal_recount(facts)
    return rows


def test_a_label_drawn_at_random_outranks_the_log_and_the_log_what_was_picked_for_a_reason(facts):
    facts.store(
        *(_turn(n, true="log" if n in (1, 2) else None) for n in range(1, 6)),
        _label("e1", 1, "drawn"),
        _label("targeted:e2", 2, "picked"),
        _label("targeted:e3", 3, "picked"),
        _label("e4", 4, "audit", rate=None),
        _label("e5", 5, "machine", by="detector:x"),
    )
    refresh(facts.warehouse, T0)
    assert _intents(facts) == [
        ("audit", "person", 7, 1, 1.0),
        ("drawn", "sampled", 7, 1, 10.0),
        ("log", "log", 7, 1, 1.0),
        ("picked", "targeted", 7, 1, 1.0),
        ("unlabelled", "none", 7, 1, 1.0),
    ]


@pytest.mark.parametrize(("conf", "slot"), [(None, -1), (0.0, 0), (0.1, 1), (0.999, 9), (1.0, 9)])
def test_a_confidence_falls_into_one_of_ten_bins(facts, conf, slot):
    facts.store(_turn(1, conf=conf))
    refresh(facts.warehouse, T0)
    assert _intents(facts) == [("unlabelled", "none", slot, 1, 1.0)]


@pytest.mark.parametrize("days", [0, 4, 40])
def test_a_late_label_moves_its_answer_and_nothing_else_of_the_hour(facts, days):
    facts.store(_turn(1), _turn(2, 3000))
    refresh(facts.warehouse, T0)
    facts.store(_label("e1", 1, "balance", days * DAY + 60, rate=0.5))
    refresh(facts.warehouse, T0)
    assert _intents(facts) == [("balance", "sampled", 7, 1, 2.0), ("unlabelled", "none", 7, 1, 1.0)]


def test_who_must_have_a_person_and_who_got_one(facts):
    facts.store(
        *(_turn(n, name=f"c{n}") for n in range(1, 5)),
        Conversation("c1", safety_route="fraud", escalated_at=at(3)),
        Conversation("c2", safety_route="fraud"),
        Conversation("c3", escalated_at=at(300)),
        _label("s1", 1, "ok", name="safety_route"),
        _label("n1", 1, "fraud"),
        _label("s3", 3, "misrouted", name="safety_route"),
        _label("n3", 3, "legal_complaint"),
        _label("s4", 4, "ok", name="safety_route"),
        _label("z4", 4, "misrouted", name="safety_route", seconds=90),
        _label("targeted:s2", 2, "misrouted", name="safety_route"),
    )
    refresh(facts.warehouse, T0)
    seen = fetch(facts.warehouse, "SELECT screened, reached, n FROM rollup_safety WHERE basis = 'screen' ORDER BY 1, 2")
    assert seen == [("fraud", "nobody", 1), ("fraud", "person", 1), ("none", "nobody", 1), ("none", "person", 1)]
    assert sorted(_audited(facts)) == [
        ("sampled", "fraud", "fraud", "at_once", 1, 10.0),
        ("sampled", "none", "legal_complaint", "late", 1, 10.0),
        ("sampled", "none", "unsaid", "nobody", 1, 10.0),
    ]


def test_a_conversation_that_reaches_a_person_later_moves_in_both_counts(facts):
    facts.store(_turn(1), _label("s1", 1, "misrouted", name="safety_route"))
    refresh(facts.warehouse, T0)
    assert _audited(facts) == [("sampled", "none", "unsaid", "nobody", 1, 10.0)]
    facts.store(_turn(9, 7000, name="c1"), Conversation("c1", escalated_at=at(7000), safety_route="legal"))
    refresh(facts.warehouse, T0)
    assert _audited(facts) == [("sampled", "legal", "unsaid", "late", 1, 10.0)]


def test_a_whole_conversation_may_be_judged(facts):
    facts.store(_turn(1), Judged("s1", None, "c1", at(90), "safety_route", "ok", "human:ann", None))
    refresh(facts.warehouse, T0)
    assert _audited(facts) == [("person", "none", "unsaid", "at_once", 1, 1.0)]


def test_checks_find_what_the_facts_do_not_bear_out(facts):
    facts.store(_turn(1), _turn(2, 4000))
    refresh(facts.warehouse, T0)
    facts.warehouse.cursor().execute("UPDATE rollup_intent SET n = 3 WHERE hour = '2026-01-07 09:00'")
    facts.warehouse.cursor().execute("UPDATE rollup_safety SET reached = 'person' WHERE hour = '2026-01-07 10:00'")
    found = failed_checks(facts.warehouse, at(-DAY), at(DAY))
    assert {name: [row[0].hour for row in rows] for name, rows in found.items()} == {
        "intents_agree": [9],
        "safety_agrees": [10],
    }
    assert failed_checks(facts.warehouse, at(60), at(5000)) == {}, "hours that are cut cannot be compared"


def test_an_older_warehouse_is_filled_when_it_is_opened(tmp_path):
    path = tmp_path / "facts.duckdb"
    with Warehouse.open(path) as warehouse:
        facts = Facts(warehouse)
        facts.store(
            Exposure("x1", "c1", at(0), "assistant", "v2", "canary", "a", "r", True),
            *(_turn(n, n * 1700, conf=n / 10, true="log" if n % 3 else None) for n in range(9)),
            Turn("i20", "c20", None, intent_pred="fees"),
            _label("e1", 1, "drawn"),
            _label("targeted:e3", 3, "picked"),
            _label("s1", 1, "misrouted", name="safety_route"),
            _label("s4", 4, "ok", name="safety_route", seconds=9 * DAY),
            Judged("s5", None, "c5", at(99), "safety_route", "misrouted", "human:ann", 0.2),
            Conversation("c1", safety_route="fraud", escalated_at=at(2000)),
        )
        refresh(warehouse, T0)
        queries = ("SELECT * FROM rollup_intent ORDER BY ALL", "SELECT * FROM rollup_safety ORDER BY ALL")
        kept = [fetch(warehouse, query) for query in queries]
        assert all(len(rows) > 5 for rows in kept)
        cursor = warehouse.cursor()
        for table in ("rollup_intent", "rollup_safety"):
            cursor.execute(f"DROP TABLE {table}")
        cursor.execute("DELETE FROM schema_migrations WHERE number = 13")
        cursor.close()
    with Warehouse.open(path) as warehouse:
        assert [fetch(warehouse, query) for query in queries] == kept
        assert fetch(warehouse, "SELECT count(*) FROM touched_minutes") == [(0,)]
