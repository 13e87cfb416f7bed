"""What reads the rollups: windows, quantiles, usage, checks, watermark and freshness."""

import numpy as np
import pytest

from controlplane.core.metrics import METRICS
from controlplane.store.queries import load
from controlplane.store.rollups import failed_checks, freshness, refresh, watermark, window_sums
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import T0, Conversation, Exposure, Facts, Turn, at, fetch, small_world


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("views") / "facts.duckdb") as warehouse:
        yield warehouse


@pytest.fixture
def facts(warehouse):
    return Facts(warehouse).clear()


def test_window_sums_become_the_catalogues_values(facts):
    small_world(facts)
    facts.store(
        Conversation("c1", csat=2.0, csat_at=at(90), cost_usd=0.5, resolved=True),
        Conversation("c2", csat=5.0, csat_at=at(95)),
    )
    refresh(facts.warehouse, T0)
    sums = {(row.metric, row.arm): row for row in window_sums(facts.warehouse, at(0), at(120))}
    value = lambda name, arm: METRICS[name].value((s := sums[name, arm]).n, s.x, s.total)  # noqa: E731
    assert value("csat", "assistant") == 2.0
    assert value("csat", "baseline") == 5.0
    assert value("cost_per_1k_tokens", "assistant") == pytest.approx(0.01 / 15 * 1000)
    assert value("api_error_rate", "assistant") == 1.0
    assert value("timeout_rate", "baseline") == 1.0
    assert {row.arm for row in window_sums(facts.warehouse, at(0), at(60))} == {"assistant"}
    assert {row.arm for row in window_sums(facts.warehouse, at(0), at(120), segment="a")} == {"assistant"}


def test_windows_leave_out_who_was_excluded_unless_asked(facts):
    facts.store(Exposure("x1", "c1", at(0), "baseline", eligible=False), Turn("i1", "c1", at(0)))
    refresh(facts.warehouse, T0)
    assert window_sums(facts.warehouse, at(0), at(60)) == []
    everyone = {row.metric: row.n for row in window_sums(facts.warehouse, at(0), at(60), everyone=True)}
    assert everyone["traffic_volume"] == 1


def test_any_window_is_a_sum_of_windows(facts):
    small_world(facts)
    refresh(facts.warehouse, T0)
    hours = fetch(
        facts.warehouse, "SELECT metric, CAST(sum(n) AS BIGINT) FROM rollup_hour GROUP BY metric ORDER BY metric"
    )
    days = fetch(
        facts.warehouse, "SELECT metric, CAST(sum(n) AS BIGINT) FROM rollup_day GROUP BY metric ORDER BY metric"
    )
    window = fetch(
        facts.warehouse, "SELECT metric, CAST(sum(n) AS BIGINT) FROM metric_window(?, ?) GROUP BY metric ORDER BY metric",
        at(0).replace(tzinfo=None), at(120).replace(tzinfo=None),
    )  # fmt: skip
    assert hours == days == window
    steps = facts.warehouse.cursor().execute(
        load("views/trend"),
        {
            "grain": "hour",
            "metric": "request_volume",
            "since": at(0).replace(tzinfo=None),
            "until": at(3600).replace(tzinfo=None),
            "everyone": True,
        },
    )
    assert [row[1:3] for row in steps.fetchall()] == [("assistant", 1), ("baseline", 1)]


def test_latency_quantiles_are_within_one_percent_of_the_exact_ones(facts):
    latencies = np.random.default_rng(7).lognormal(6, 1.2, 3000).round(3)
    cursor = facts.warehouse.cursor()
    facts.store(Turn("i0", "c0", at(0), arm="assistant"))
    cursor.execute(
        "INSERT INTO interactions BY NAME SELECT 'i' || i AS interaction_id, 'c' || i AS conversation_id, 1 AS turn, ? AS ts, 'assistant' AS arm,"
        " unnest(CAST(? AS DOUBLE[])) AS latency_ms, 0 AS id_hash, 0 AS raw_hash, 1 AS batch_id, 0 AS line FROM (SELECT 1 AS i)",
        [at(30).replace(tzinfo=None), latencies.tolist()],
    )
    refresh(facts.warehouse, T0)
    window = {"since": at(0).replace(tzinfo=None), "until": at(3600).replace(tzinfo=None), "everyone": False}
    wanted = [0.01, 0.5, 0.95, 0.99, 1.0]
    rows = cursor.execute(load("views/latency_quantiles"), {**window, "quantiles": wanted}).fetchall()
    exact = np.quantile(latencies, wanted, method="inverted_cdf")
    assert [row[0] for row in rows] == wanted
    assert [row[3] for row in rows] == pytest.approx(exact.tolist(), rel=0.0101)
    macro = cursor.execute(
        "SELECT latency_ms FROM latency_quantile(?, ?, 0.95)", [window["since"], window["until"]]
    ).fetchall()
    assert macro[0][0] == rows[2][3]
    slow = cursor.execute(load("views/slow_share"), {**window, "slo_ms": 1000.0}).fetchall()
    assert np.sum(latencies > 1020) <= slow[0][2] <= np.sum(latencies > 980)


def test_costly_requests_are_counted_per_arm_among_the_priced_ones(facts):
    small_world(facts)
    window = {"since": at(0).replace(tzinfo=None), "until": at(3600).replace(tzinfo=None), "everyone": True}
    read = load("views/costly_share")
    cursor = facts.warehouse.cursor()
    priced = cursor.execute(
        "SELECT arm, count(*) FROM interactions WHERE cost_usd IS NOT NULL GROUP BY arm ORDER BY arm"
    )
    expected = priced.fetchall()
    assert expected
    assert [row[:2] for row in cursor.execute(read, {**window, "cap_usd": 0.001}).fetchall()] == expected
    assert [row[2] for row in cursor.execute(read, {**window, "cap_usd": 0.001}).fetchall()] == [n for _, n in expected]
    assert sum(row[2] for row in cursor.execute(read, {**window, "cap_usd": 1000.0}).fetchall()) == 0


def test_model_usage_counts_requests_and_calls(facts):
    small_world(facts)
    refresh(facts.warehouse, T0)
    window = {"since": at(0).replace(tzinfo=None), "until": at(60).replace(tzinfo=None)}
    rows = facts.warehouse.cursor().execute(load("views/model_usage"), window).fetchall()
    assert rows == [("small", "assistant", 1, 1, 1, 0, 10, 0, 5, pytest.approx(0.01))]


def test_checks_find_rollups_that_lie(facts):
    small_world(facts)
    refresh(facts.warehouse, T0)
    cursor = facts.warehouse.cursor()
    cursor.execute("UPDATE rollup_minute SET n = n + 1 WHERE metric IN ('traffic_volume', 'request_volume')")
    cursor.execute("UPDATE rollup_minute SET x = n + 1 WHERE metric = 'timeout_rate'")
    assert set(failed_checks(facts.warehouse, at(0), at(3600))) == {"traffic_agrees", "requests_agree", "sums_possible"}


# --- watermark, freshness, job -----------------------------------------------------------------------------------------


def _source(facts, source, live, last_ts, last_seen=T0):
    naive = lambda moment: moment and moment.replace(tzinfo=None)  # noqa: E731
    facts.warehouse.cursor().execute(
        "INSERT INTO sources VALUES (?, ?, ?, ?)", [source, live, naive(last_ts), naive(last_seen)]
    )


def test_the_watermark_is_the_slowest_live_source_minus_the_lateness(facts):
    _source(facts, "app", True, at(100))
    _source(facts, "judge", True, at(40))
    _source(facts, "import", False, at(0))
    assert watermark(facts.warehouse, 30) == at(10)


def test_without_a_live_source_or_with_a_silent_one_no_time_is_sure(facts):
    assert watermark(facts.warehouse, 0) is None
    _source(facts, "import", False, at(0))
    assert watermark(facts.warehouse, 0) is None
    _source(facts, "app", True, at(100))
    assert watermark(facts.warehouse, 0) == at(100)
    _source(facts, "judge", True, None)
    assert watermark(facts.warehouse, 0) is None


def test_freshness_tells_the_age_of_each_source(facts):
    _source(facts, "b", True, at(90))
    _source(facts, "a", False, None)
    found = freshness(facts.warehouse, at(100))
    assert [(row.source, row.live, row.age_seconds) for row in found] == [("a", False, None), ("b", True, 10.0)]
    assert found[1].last_ts == at(90)
    assert found[0].last_seen == T0
