"""The sentences of the weekly review agree with its numbers: whatever the review, and for the cases that people will read."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.weekly import Movement
from controlplane.core.weekly_changes import changes_of
from controlplane.core.weekly_success import success_line
from controlplane.core.weekly_words import answer, words
from tests.core.weekly_documents import document, documents, estimate, weekly

NUMBER = re.compile(r"(?<![\w`'-])[−+]?\$?\d[\d,]*(?:\.\d+)?")
DAYS = re.compile(
    r"\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC|\d{1,2} [A-Z][a-z]+ \d{4}|'[^']*'|`[^`]*`|\d+ % interval|(?:less|more) than \S+"
)
SAYS_RISE, SAYS_FALL = re.compile(r"\b(rose|grew)\b"), re.compile(r"\bfell\b")


def printed(sentence: str) -> list[tuple[float, int]]:
    """The numbers of a sentence with the digits behind their point; days, quotations and the level of intervals are none."""
    found = []
    for text in NUMBER.findall(DAYS.sub(" ", sentence)):
        plain = text.replace(",", "").replace("$", "").replace("−", "-").replace("+", "")
        found.append((float(plain), len(plain.partition(".")[2])))
    return found


def backed(value: float, digits: int, numbers: list[float]) -> bool:
    """Whether some number of the document, in any unit that is printed, has these digits."""
    half = 0.5 * 10.0**-digits * (1 + 1e-6) + 1e-9
    scales = (1.0, 100.0, 1 / 60, 1 / 3600, 1 / 86400)
    return any(abs(abs(n) * scale - abs(value)) <= half for n in numbers for scale in scales)


def sentences(said: dict[str, Any]) -> Iterator[tuple[str, list[float]]]:
    for item in [*said["success"], *said["changes"]]:
        yield item["sentence"], [float(value) for value in item["numbers"].values()]


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


@given(documents())
def test_every_number_in_a_sentence_is_one_of_its_numbers(found: dict[str, Any]) -> None:
    for sentence, numbers in sentences(words(found)):
        for value, digits in printed(sentence):
            assert backed(value, digits, numbers), (value, sentence, numbers)


@given(documents())
def test_the_numbers_beside_a_sentence_are_the_documents(found: dict[str, Any]) -> None:
    """All but what is derived from two of them, which is derived again here."""
    there = list(leaves(found))
    for item in [*words(found)["success"], *words(found)["changes"]]:
        numbers = item["numbers"]
        for name, value in numbers.items():
            if name == "relative":
                assert value == pytest.approx(numbers["now"] / numbers["before"] - 1)
            elif name == "difference" and item["kind"] == "drift":
                assert value == pytest.approx(numbers["now"] - numbers["before"])
            elif name.endswith("_seconds"):
                assert value in (14.0, 210.5)
            else:
                assert value in there, (name, item)


@given(documents())
def test_a_direction_word_has_the_sign_of_its_change(found: dict[str, Any]) -> None:
    figures = {item["name"]: item for item in found["figures"]}
    for item in words(found)["changes"]:
        sentence, numbers = item["sentence"], item["numbers"]
        if item["kind"] == "figure":
            change = figures[item["subject"]]["change"]
            assert change["low"] * change["high"] > 0
            assert bool(SAYS_RISE.search(sentence)) == (change["value"] > 0) == (item["direction"] == "higher")
            assert bool(SAYS_FALL.search(sentence)) == (change["value"] < 0)
            good = {"higher": 1, "lower": -1, "neither": 0}[figures[item["subject"]]["direction"]] * change["value"]
            assert item["verdict"] == ("" if good == 0 else "better" if good > 0 else "worse")
            assert ("which is better" in sentence, "which is worse" in sentence) == (good > 0, good < 0)
        elif "now" in numbers and "missing" not in sentence:
            assert bool(SAYS_RISE.search(sentence)) == (numbers["now"] > numbers["before"])
        assert not (SAYS_RISE.search(sentence) and SAYS_FALL.search(sentence))


@given(documents())
def test_a_verdict_is_said_only_where_the_interval_shows_it(found: dict[str, Any]) -> None:
    for item, said in zip(found["success"], words(found)["success"], strict=True):
        low, high = item["difference"]["low"], item["difference"]["high"]
        sign = -1 if item["direction"] == "lower" else 1
        ends = sorted(sign * end for end in (low, high)) if low is not None and high is not None else None
        shown = {
            Movement.IMPROVED: ends is not None and ends[0] > 0,
            Movement.WORSE: item["measure"] == "safety_incidents" or (ends is not None and ends[1] < 0),
            Movement.UNKNOWN: True,
        }.get(Movement(said["movement"]), True)
        assert shown, (item, said)
        if said["movement"] == "not worse" and item["measure"] != "safety_incidents":
            assert ends is not None
            assert ends[0] > -item["margin"]
        body = said["sentence"]
        assert body.startswith("Unknown: ") == (said["movement"] == "unknown")
        assert (": better by " in body) == (said["movement"] == "improved")
        assert (": worse by " in body) == (said["movement"] == "worse")
        assert (": not worse" in body) == (said["movement"] == "not worse")
        assert said["movement"] in (item["movement"], "unknown")


@given(documents())
def test_nothing_is_said_of_what_is_missing(found: dict[str, Any]) -> None:
    said = words(found)
    for text in [said["headline"], said["answer"], *said["notes"], *(sentence for sentence, _ in sentences(said))]:
        assert not re.search(r"\b(None|nan|inf)\b", text), text
    for item, line in zip(found["success"], said["success"], strict=True):
        if item["assistant"]["value"] is None:
            assert line["movement"] == "unknown"
            assert "So far" not in line["sentence"]
    told = {item["subject"] for item in said["changes"] if item["kind"] == "figure"}
    assert not told & {item["name"] for item in found["figures"] if item["change"] is None}


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda _: rng.random())
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


@given(documents(), st.integers(0, 99))
def test_the_order_of_keys_changes_nothing(found: dict[str, Any], seed: int) -> None:
    again = shuffled(found, random.Random(seed))
    assert words(again) == words(found)
    assert words(again | {"words": {"headline": "something else"}}) == words(found)
    assert json.loads(json.dumps(words(found))) == words(found)


@given(documents())
def test_no_two_sentences_contradict_each_other(found: dict[str, Any]) -> None:
    said = words(found)
    subjects = [(item.kind, item.subject) for item in changes_of(found, 0.95)]
    assert len(subjects) == len(set(subjects))
    broken = {subject for kind, subject in subjects if kind == "broken column"}
    assert not broken & {subject for kind, subject in subjects if kind == "drift"}
    for movement in Movement:
        n = sum(item["movement"] == movement for item in said["success"])
        head = re.search(rf"(\d+) {movement}(?! ?\w* ?than)", said["headline"].replace("not worse", "not_worse"))
        if movement is not Movement.NOT_WORSE:
            assert (0 if head is None else int(head[1])) == n, said["headline"]
    urgent = sum(item["kind"] == "incident" and item["direction"] == "open" for item in said["changes"])
    assert (f"{urgent} incident" in said["headline"]) == (urgent > 0)


@given(documents())
@settings(max_examples=50)
def test_the_most_important_comes_first(found: dict[str, Any]) -> None:
    ranked = changes_of(found, None)
    assert [item.tier for item in ranked] == sorted(item.tier for item in ranked)
    sized = [item.size for item in ranked if item.tier == max(i.tier for i in ranked)]
    assert sized == sorted(sized, reverse=True)
    said = words(found)
    assert len(said["changes"]) + said["left_out"] == len(ranked)


def test_the_five_measures_read_well() -> None:
    said = words(document())
    lines = [item["sentence"] for item in said["success"]]
    assert lines == [
        "Customers rate the assistant 4.21, the menu 3.87: better by 0.34 points (95 % interval of the difference +0.21 to +0.47 points; "
        "1,204 and 980 ratings; 99 % of the labels are final).",
        "The assistant misunderstands 12.0 % of requests; with the menu 8.0 % end in the wrong category: worse by 4.0 percentage points "
        "(95 % interval of the difference +1.1 to +6.9 percentage points; 600 and 500 customers with a request of known intent).",
        "Unknown: escalation; too young to tell; only 38 % of the labels are final. So far: 8.1 % of the assistant's conversations go to a person, "
        "10.1 % of the menu's; the difference is −2.0 percentage points (95 % interval of the difference −5.0 to +1.0 percentage points; "
        "4,000 and 3,900 conversations).",
        "A conversation is resolved in 3.1 min with the assistant, in 3.2 min with the menu: not worse; the difference is −3.2 % (95 % interval of "
        "the difference −12.0 to +5.6 %; 900 and 800 resolved conversations), and the margin is 10.0 %.",
        "Safety incidents, confirmed per 1,000 audited: 0.00 with the assistant, unknown with the menu: not worse; none was confirmed "
        "(no interval; 1,180 and 0 audited requests).",
    ]
    assert said["headline"] == (
        "Week 2026-W46: of 5 success measures, 1 improved, 2 not worse, 1 worse and 1 unknown against the menu; it may not grow yet."
    )
    assert said["answer"] == (
        "Not yet: evidence is missing. 1 of 2 conditions of the gate are met. Missing: escalation (e 3.1; needs e 20)."
    )


def test_a_change_is_told_and_one_within_its_interval_is_not() -> None:
    said = words(document())
    assert [item["sentence"] for item in said["changes"]] == [
        "Tokens per request of the assistant rose by 112 tokens against the week before, which is worse: 1,212 tokens instead of 1,100 tokens "
        "(95 % interval of the change +80.0 to +144 tokens)."
    ]
    assert "Not known this week: CSAT." in said["notes"]


DRIFT = {
    "id": "d1",
    "windows": {
        "reference": {"label": "a year before", "since": "2025-10-13T00:00:00Z", "until": "2025-11-10T00:00:00Z"},
        "current": {"label": "now", "since": "2026-10-12T00:00:00Z", "until": "2026-11-09T00:00:00Z"},
    },
    "columns": {
        "tokens_in": {
            "kind": "numeric", "method": "w", "verdict": "FAIL", "drifted": True, "score": 0.9, "threshold": 0.1,
            "reference_mean": 859.2, "current_mean": 1212.4, "onset": "2026-03-12T00:00:00Z",
        },
        "intent_conf": {"verdict": "ERROR", "drifted": True, "problem": "all NULL in current", "onset": "2026-11-02T00:00:00Z"},
    },
    "drifted": ["tokens_in", "intent_conf"],
    "broken": ["intent_conf"],
}  # fmt: skip


def test_drift_against_last_year_a_broken_column_and_a_new_topic() -> None:
    topics = {
        "topics": [{"topic_id": "t", "label": "travel card fee", "n": 64, "share": 0.031, "new": True, "change": "new"}]
    }
    said = words(document(drift=DRIFT, topics=topics))
    assert [item["sentence"] for item in said["changes"]] == [
        "The column `intent_conf` is broken: every value is missing since about 2 November 2026.",
        "Input tokens per request rose by 41 % against the same weeks last year (13 October 2025 to 10 November 2025): 1,212 instead of 859; "
        "it began about 12 March 2026.",
        "A new topic came up: 'travel card fee' (64 questions, 3.1 % of the questions left open).",
        "Tokens per request of the assistant rose by 112 tokens against the week before, which is worse: 1,212 tokens instead of 1,100 tokens "
        "(95 % interval of the change +80.0 to +144 tokens).",
    ]


def test_a_column_that_is_rarely_filled_is_not_called_broken_for_being_empty() -> None:
    empty = {"verdict": "ERROR", "problem": "all NULL in current", "reference_missing": 1037 / 1040}
    for rows, kinds in ((326, []), (5000, ["broken column"])):  # .997 ** 326 = 39 %, .997 ** 5000 = 0.00006 %
        drift = DRIFT | {
            "columns": {"error_type": empty | {"current_rows": rows}},
            "broken": ["error_type"],
            "drifted": [],
        }
        assert [item["kind"] for item in words(document(drift=drift))["changes"] if item["kind"] != "figure"] == kinds


def test_what_moved_beside_drift_is_told_as_an_association() -> None:
    rose = {"metric": "escalated", "unit": "share", "difference": 0.18, "low": 0.09, "high": 0.27, "level": 0.95}
    same = {"metric": "latency_ms", "unit": "ms", "difference": 16.0, "low": -29.0, "high": 61.0, "level": 0.95}
    effects = [
        {"columns": ["tokens_in", "turn"], "at": "2026-04-27T00:00:00Z", "metrics": [rose, same]},
        {"columns": ["turn"], "metrics": [rose]},
    ]
    told = [
        item
        for item in words(document(drift=DRIFT | {"effects": effects}))["changes"]
        if item["kind"] == "beside drift"
    ]
    assert [item["sentence"] for item in told] == [
        "The drift of `tokens_in` since about 27 April 2026 went together with: Escalations rose by 18.0 percentage points "
        "(95 % interval +9.0 to +27.0 percentage points)."
    ]


def test_figures_on_a_broken_column_claim_no_change() -> None:
    drift = DRIFT | {
        "columns": {"tokens_in": {"verdict": "ERROR", "problem": "type changed", "reason": "BIGINT then, VARCHAR now"}}
    }
    (only,) = words(document(drift=drift | {"broken": ["tokens_in"]}))["changes"]
    assert only["sentence"] == (
        "The column `tokens_in` is broken: BIGINT then, VARCHAR now. What rests on it covers only the values that are left: Tokens per request."
    )


def test_an_old_or_a_later_analysis_is_no_news_of_the_week() -> None:
    topics = {"since": "2026-10-01T00:00:00Z", "until": "2026-10-08T00:00:00Z"}
    topics |= {"topics": [{"label": "fees", "n": 9, "share": 0.1, "change": "new"}]}
    for since, until in (("2026-08-01", "2026-09-01"), ("2026-11-16", "2026-11-23")):
        drift = DRIFT | {"windows": {"current": {"since": f"{since}T00:00:00Z", "until": f"{until}T00:00:00Z"}}}
        said = words(document(drift=drift, topics=topics))
        assert {item["kind"] for item in said["changes"]} == {"figure"}
        assert any("it says nothing of this week" in note for note in said["notes"])


def test_no_sentence_says_because() -> None:
    said = words(document(drift=DRIFT))
    for item in said["changes"]:
        assert not re.search(r"because|caused|due to|led to", item["sentence"])
    assert any("not what caused what" in note for note in said["notes"])


def test_an_incident_with_all_its_times_and_one_with_none() -> None:
    whole = {
        "incident_id": "i1", "title": "Escalations rose", "severity": "critical", "state": "resolved", "detected_at": "2026-11-10T09:12:00Z",
        "cut_at": "2026-11-10T09:12:00.2Z", "verified_at": "2026-11-10T09:12:04.2Z", "customers_exposed": 312,
    }  # fmt: skip
    said = words(document(incidents=(whole, {"incident_id": "i2", "title": "Data stopped", "state": "open"})))
    assert [item["sentence"] for item in said["changes"][:2]] == [
        "Incident: Data stopped. When it was detected is unknown, no cut is recorded; how many customers were exposed is unknown. It is open.",
        "Incident (critical): Escalations rose. Detected 2026-11-10 09:12 UTC, traffic cut 0.2 s after that, verified 4.2 s after detection; "
        "312 customers exposed. It is over.",
    ]
    assert said["headline"].endswith("; it may not grow yet; 1 incident is open.")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({}, "Unknown: whether the rollout may grow was not answered."),
        (
            {"answer": "yes", "to": {"phase": "ramp", "share": 0.5}, "lines": [{"name": "a", "verdict": "PASS"}]},
            "Yes: the rollout may grow to 50.0 % (ramp). 1 condition of the gate met.",
        ),
        (
            {"answer": "no", "reasons": ["rolled back", "an incident is open"]},
            "No: rolled back and an incident is open.",
        ),
        ({"answer": "nothing to grow", "reasons": ["no rollout"]}, "Nothing to grow: no rollout."),
        (
            {
                "answer": "not yet",
                "reasons": ["time: 6 min, needs 20 min"],
                "lines": [{"name": "time", "verdict": "X", "have": "6 min", "need": "20 min"}],
            },
            "Not yet. 0 of 1 condition of the gate is met. Missing: time (6 min; needs 20 min).",
        ),
    ],
)
def test_may_we_grow(found: dict[str, Any], sentence: str) -> None:
    assert answer(found) == sentence


def test_a_week_that_has_not_ended_says_so_far() -> None:
    said = words(document(until="2026-11-10T12:00:00Z"))
    assert said["headline"].startswith("Week 2026-W46 so far (to 2026-11-10 12:00 UTC): ")


def test_a_verdict_that_its_interval_does_not_show_is_unknown() -> None:
    found = document()
    found["success"][0]["difference"] = {"value": 0.05, "low": -0.1, "high": 0.2, "n": 9, "maturity": None}
    said = words(found)
    assert said["success"][0]["movement"] == "unknown"
    assert "the recorded verdict is not what its interval says" in said["success"][0]["sentence"]
    assert any("counts as unknown" in note for note in said["notes"])


def test_a_budget_that_will_be_exceeded() -> None:
    cost = {"forecast": {"value": 2400.0, "low": 2100.0, "high": 2700.0}, "budget": 2000.0}
    (first, *_) = words(document(cost=cost))["changes"]
    assert first["sentence"] == (
        "The model cost of the month is forecast at $2,400.00 (interval $2,100.00 to $2,700.00), above the budget of $2,000.00."
    )


def test_an_unknown_measure_says_what_is_known_so_far_in_one_sentence_after_the_other() -> None:
    found = document()
    found["success"][3] |= {"movement": "unknown", "reason": "too few"}
    sentence = words(found)["success"][3]["sentence"]
    assert sentence.startswith("Unknown: resolution time; too few. So far: a conversation is resolved in 3.1 min")
    found["success"][0] |= {"movement": "unknown", "reason": ""}
    assert words(found)["success"][0]["sentence"].startswith(
        "Unknown: CSAT; 99 % of the labels are final. So far: customers rate"
    )


def test_a_correction_names_what_it_corrects() -> None:
    said = words(document(corrects="2026-W46-v1", correction_reason="a late file"))
    assert said["notes"][0] == "This version corrects 2026-W46-v1: a late file."


def test_the_review_by_hand_is_a_weekly() -> None:
    assert weekly().to_dict()["success"][0]["assistant"]["n"] == 1204
    assert estimate(None).value is None


@pytest.mark.parametrize(
    ("maturity", "said"),
    [
        (0.0, "; no label is final."),
        (0.002, "; less than 1 % of the labels are final."),
        (0.38, "; only 38 % of the labels are final."),
    ],
)
def test_how_few_labels_are_final(maturity: float, said: str) -> None:
    nothing = {"value": None, "low": None, "high": None, "n": 0, "maturity": maturity}
    item = document()["success"][2] | {
        "movement": "unknown",
        "assistant": nothing,
        "menu": nothing,
        "difference": nothing,
    }
    assert said in success_line(item, 0.95)["sentence"]


def test_an_onset_within_a_day_is_told_to_the_minute() -> None:
    windows = {
        "reference": {"label": "before", "since": "2026-11-10T08:00:00Z", "until": "2026-11-10T10:00:00Z"},
        "current": {"label": "after", "since": "2026-11-10T10:00:00Z", "until": "2026-11-10T10:30:00Z"},
    }
    column = {
        "verdict": "FAIL",
        "drifted": True,
        "current_mean": 90.0,
        "reference_mean": 60.0,
        "onset": "2026-11-10T10:10:00Z",
    }
    found = words(document(drift={"windows": windows, "columns": {"latency_ms": column}}))
    (said,) = (item["sentence"] for item in found["changes"] if item["kind"] == "drift")
    assert said == (
        "Latency per request rose by 50 % against the time before (10 November 2026, 08:00 to 10:00 UTC): 90 ms instead of 60 ms; "
        "it began about 2026-11-10 10:10 UTC."
    )
