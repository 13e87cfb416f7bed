"""Drift in words and frames: what moved is named for people, unknown is said, old analyses without distributions still show."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboards.answers import BAD, GOOD, QUIET, WAIT
from dashboards.drift import frames, words
from dashboards.drift.run import command, fresh
from dashboards.values import DriftReport

NOW = datetime(2026, 1, 7, 14, tzinfo=UTC)


def column(score=0.03, verdict="PASS", **more):
    told = {
        "score": score,
        "threshold": 0.1,
        "method": "Wasserstein / sd",
        "verdict": verdict,
        "reason": "",
        "corrected_p": 0.4,
    }
    told |= {"reference_rows": 900, "current_rows": 300, "reference_missing": 0.0, "current_missing": 0.0}
    return told | {"new_categories": [], "moved": [], "kind": "numeric"} | more


def report(columns, broken=(), **more):
    windows = {
        "current": {
            "label": "now",
            "since": "2026-01-07T10:00:00Z",
            "until": "2026-01-07T14:00:00Z",
            "arm": "assistant",
        },
        "reference": {"label": "before", "since": "2026-01-06T22:00:00Z", "until": "2026-01-07T10:00:00Z", "arm": None},
    }
    summary = {"columns": columns, "broken": list(broken), "windows": windows, **more}
    return DriftReport("a", NOW, "reports/drift/a", summary)


def said(columns, broken=()):
    return words.answer(words.rows(report(columns, broken)), NOW)


def test_the_answer_names_what_moved_and_since_when():
    columns = {
        "latency_ms": column(0.46, "FAIL", onset="2026-01-07T12:10:00Z"),
        "intent_pred": column(0.13, "FAIL", onset="2026-01-07T12:10:00Z"),
        "tokens_in": column(),
    }
    found = said(columns)
    assert found.headline == "Has the traffic changed? Yes, in 2 of 3 columns."
    assert found.sentence == "Latency and Predicted intent moved, since about 12:10 UTC."
    assert found.tone == BAD
    columns["intent_pred"]["onset"] = None
    assert "1 of them since about 12:10 UTC" in said(columns).sentence


@pytest.mark.parametrize(
    ("columns", "broken", "headline", "tone"),
    [
        ({"turn": column()}, (), "Has the traffic changed? No.", GOOD),
        ({"turn": column(0.2, "INCONCLUSIVE")}, (), "Has the traffic changed? Not visibly.", WAIT),
        ({"turn": column(None, "NO_DATA")}, (), "Has the traffic changed? Unknown.", QUIET),
        ({"turn": column(None, "ERROR")}, ("turn",), "Has the traffic changed? A column is broken.", BAD),
    ],
)
def test_no_unclear_unknown_and_broken_are_told_apart(columns, broken, headline, tone):
    found = said(columns, broken)
    assert (found.headline, found.tone) == (headline, tone)


def test_many_columns_are_ranked_broken_first_and_only_three_named():
    columns = {f"c{i}": column(0.1 + i / 100, "FAIL") for i in range(1, 8)} | {
        "w": column(None, "ERROR"),
        "ok": column(),
    }
    rows = words.rows(report(columns, ("w",)))
    assert [row["column"] for row in rows[:3]] == ["w", "c7", "c6"]
    assert "C7, C6, C5 and 4 more moved" in words.answer(rows, NOW).sentence
    assert words.word(rows[0]) == "Broken"


def test_every_watched_column_has_a_title_and_is_told_once():
    assert len(set(words.TITLES.values())) == len(words.TITLES) >= 30
    assert words.title("some_new_column") == "Some new column"
    assert not any("_" in name for name in words.TITLES.values())
    assert set(words.UNITS) <= set(words.TITLES)
    assert words.metric_of("escalated").title == "Escalation rate"


def test_windows_say_the_day_and_what_was_looked_at():
    told = report({}).summary["windows"]
    assert words.window(told["current"]) == "7 Jan 10:00 to 14:00"
    assert words.window(told["reference"]) == "6 Jan 22:00 to 7 Jan 10:00"
    assert (words.side(told["current"]), words.side(told["reference"])) == ("assistant only", "both arms")


def test_the_reason_does_not_repeat_the_score():
    row = column(0.131, "FAIL", reason='Wasserstein / sd 0.131 of 0.1; new: "crypto_wallet" (4.1%)')
    assert words.why(row) == 'new: "crypto_wallet" (4.1%)'
    assert words.why(column(None, "NO_DATA", reason="no values")) == "no values"


def test_the_onset_is_a_sentence_with_its_interval():
    detail = {
        "shape": "step",
        "reason": "from 0.02 to 0.41 in one step",
        "earliest": "2026-01-07T11:50:00Z",
        "latest": "2026-01-07T12:20:00Z",
    }
    row = column(0.4, "FAIL", onset="2026-01-07T12:10:00Z", onset_detail=detail)
    assert (
        words.onset_sentence(row, NOW)
        == "It began about 12:10 UTC (95 %: 11:50 UTC to 12:20 UTC): from 0.02 to 0.41 in one step."
    )
    assert words.onset_sentence(column(onset=None, onset_detail=detail), NOW) == "From 0.02 to 0.41 in one step."
    assert words.onset_sentence(column(), NOW) == ""
    assert words.since(column(onset=None, onset_detail={"shape": "gradual"}), NOW) == "gradual"


def timed(buckets, **columns):
    at = [(NOW + timedelta(minutes=5 * i)).isoformat().replace("+00:00", "Z") for i in range(buckets)]
    return report(columns, timeline={"at": at, "bucket": "5 minutes"})


def test_the_course_of_many_moments_keeps_the_largest():
    series = {"score": [0.0] * 150, "rows": [10] * 150}
    series["score"][100] = 0.25
    found = timed(
        150,
        latency_ms=column(0.2, "FAIL", timeline=series),
        csat=column(timeline={"score": [None] * 150, "rows": [0] * 150}),
    )
    frame = frames.heat(found, words.rows(found), 12)
    assert set(frame["column"]) == {"Latency"}
    assert frame.height == 50
    assert frame["ratio"].max() == pytest.approx(2.5)
    assert frame["rows"].sum() == 1500
    one = frames.timeline(found, words.rows(found)[0])
    assert one.height == 150
    assert frames.timeline(found, words.rows(found)[1]).is_empty()
    assert frames.heat(report({"turn": column()}), words.rows(report({"turn": column()})), 12).is_empty()


def test_distributions_of_numbers_categories_and_old_analyses():
    bins = {"kind": "bins", "edges": [0.0, 1.0, 2.0], "reference": [0.7, 0.3], "current": [0.2, 0.8]}
    frame = frames.bins(column(distribution=bins))
    assert frame.filter(frame["side"] == "current")["share"].to_list() == [0.2, 0.8]
    values = {"kind": "values", "values": ["card_lost", "fees"], "reference": [0.6, 0.4], "current": [0.1, 0.9]}
    shown = frames.shares(column(distribution=values, new_categories=[["fees", 0.9]]))
    assert shown.rows() == [("card lost", 0.6, 0.1, False), ("fees", 0.4, 0.9, True)]
    old = frames.shares(column(moved=[["fees", 0.4, 0.5]], new_categories=[["wallet", 0.04]]))
    assert old.rows() == [("fees", 0.4, 0.5, False), ("wallet", 0.0, 0.04, True)]
    assert frames.bins(column()).is_empty()
    assert frames.shares(column()).is_empty()


def test_outcomes_are_shown_only_where_something_could_be_compared():
    def one(difference):
        told = {
            "metric": "escalated",
            "mean_before": 0.1,
            "mean_after": 0.2,
            "difference": difference,
            "low": difference,
            "high": difference,
        }
        return told | {"n_before": 90, "n_after": 80}

    found = report(
        {}, effects=[{"split": "onset", "metrics": [one(0.1)]}, {"split": "windows", "metrics": [one(None)]}]
    )
    (entry,) = frames.splits(found)
    ((metric, *rest),) = frames.effect_rows(entry)
    assert (metric.title, rest) == ("Escalation rate", [0.1, 0.2, 0.1, 0.1, 0.1, 90, 80])


def test_two_analyses_side_by_side():
    this = words.rows(
        report({"turn": column(0.3, "FAIL"), "model": column(0.02), "csat": column(None, "NO_DATA"), "new": column()})
    )
    other = words.rows(report({"turn": column(0.05), "model": column(0.5, "FAIL"), "csat": column(0.1)}))
    frame = frames.beside(this, other, 12)
    assert frame.select("column", "change").rows() == [
        ("Model", "moved there only"),
        ("Turn of the conversation", "moved here only"),
    ]
    assert frames.beside(this, [], 12).is_empty()


def test_the_answer_of_a_run_is_shown_before_a_snapshot_has_it():
    told = {
        "artefact": "20260107T140000Z-ab",
        "created_at": "2026-01-07T14:00:00Z",
        "report": "/somewhere/report.html",
        "columns": {},
    }
    found = fresh(told)
    assert (found.artefact_id, found.path, found.created_at) == (
        "20260107T140000Z-ab",
        "reports/drift/20260107T140000Z-ab",
        NOW,
    )
    assert found.summary["report"] == "report.html"
    assert (
        command({"hours": 6, "against_arm": "baseline", "reference": ""})
        == "controlplane drift run --hours 6 --against-arm baseline"
    )
