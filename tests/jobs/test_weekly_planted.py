"""What is planted in the facts is what the pinned review says, through the real jobs: tokens against last year, a new topic, a broken column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from controlplane import settings as settings_module
from controlplane.core.audit import canonical
from controlplane.core.policy import parse
from controlplane.core.weekly import Weekly
from controlplane.core.weekly_changes import changes_of
from controlplane.store.state import StateWriter
from controlplane.store.warehouse import Warehouse
from jobs import drift_work, topics, weekly
from jobs.deps import Deps
from jobs.moments import week_bounds
from tests.jobs.conftest import POLICY
from tests.jobs.drift_world import DAY, NEW_WORDS, NOW, YEAR, Day, DriftWorld

LATER = NOW + 40 * DAY
HOURS = timedelta(hours=2)
ROWS = 30


@dataclass
class Planted:
    """The pinned review of the week, and the review of the quiet week before it."""

    deps: Deps
    review: Weekly
    before: Weekly


def quiet_and_planted(deps: Deps) -> tuple[Weekly, Weekly]:
    """A year ago prompts were a third shorter; then a quiet week, and one with a new topic and a column that is no longer written."""
    world = DriftWorld(deps.warehouse)
    world.days(NOW - YEAR, 8, Day(rows=ROWS, tokens=200.0))
    world.days(NOW - 7 * DAY, 8, Day(rows=ROWS))
    told(deps)
    review = [weekly.pin(deps, NOW - 7 * DAY + HOURS, *week_bounds("2026-W17"), actor="test")]
    world.days(NOW, 7, Day(rows=ROWS, topic=0.3, lost=("intent_conf",)))
    told(deps)
    drift_work.run_windows(deps, NOW, days=7.0, reference="year", report=False)
    topics.weekly(deps, NOW + HOURS)
    review.append(weekly.pin(deps, NOW + HOURS, *week_bounds("2026-W18"), actor="test"))
    return review[0], review[1]


def told(deps: Deps) -> None:
    """Every batch of the facts so far is one that ingest has finished."""
    with deps.warehouse.cursor() as cursor:
        cursor.execute(
            "INSERT INTO batches SELECT DISTINCT batch_id, 'desk', 'f', 'f', 0, 1, 1, 1, 0, 0, NULL, NULL, max(ts) FROM interactions "
            "WHERE batch_id NOT IN (SELECT batch_id FROM batches) GROUP BY batch_id"
        )


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    settings = settings_module.load(tmp_path_factory.mktemp("planted") / "home", env={})
    settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(NOW - YEAR)
    with Warehouse.open(settings.workspace.facts) as warehouse, pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            topics, "_vectors", lambda _texts: (None, "tfidf")
        )  # as without the extra: embeddings take seconds to load
        deps = Deps(settings, warehouse, state, parse(POLICY))
        quiet, review = quiet_and_planted(deps)
        yield Planted(deps, review, quiet)
    state.close()


def sentences(review: Weekly, kind: str, subject: str = "") -> list[str]:
    found = changes_of(json.loads(canonical(review.to_dict())), 0.95)
    return [item.sentence for item in found if item.kind == kind and item.subject.startswith(subject)]


def test_a_year_on_year_drift_of_tokens(planted: Planted) -> None:
    (said,) = sentences(planted.review, "drift", "tokens_in")
    column = planted.review.drift["columns"]["tokens_in"]
    now, before = column["current_mean"], column["reference_mean"]
    assert 1.4 < now / before < 1.6
    assert said == (
        f"Input tokens per request rose by {100 * (now / before - 1):.0f} % against the same weeks last year (28 April 2025 to 5 May 2025): "
        f"{now:.0f} instead of {before:.0f}."
    )


def test_a_new_topic(planted: Planted) -> None:
    said = sentences(planted.review, "topic")
    new = [row for row in planted.review.topics["topics"] if row["new"]]
    assert len(said) == len(new) >= 1
    assert all(sentence.startswith("A new topic came up: '") for sentence in said)
    assert set(" ".join(row["label"] for row in new).replace(",", "").split()) & set(NEW_WORDS)
    for row in new:
        assert any(f"'{row['label']}' ({row['n']} questions" in sentence for sentence in said)


def test_a_broken_column(planted: Planted) -> None:
    assert sentences(planted.review, "broken column") == [
        "The column `intent_conf` is broken: every value is missing since about 27 April 2026."
    ]
    assert planted.review.words["changes"][0]["kind"] == "broken column"  # before any drift, however large


def test_what_moved_beside_it_is_no_cause(planted: Planted) -> None:
    said = sentences(planted.review, "beside drift")
    assert any("went together with" in sentence and "rose by" in sentence for sentence in said)
    assert not any("because" in sentence for sentence in said)


def test_the_quiet_week_before_says_none_of_it(planted: Planted) -> None:
    assert {item["kind"] for item in planted.before.words["changes"]} <= {"figure"}
    assert planted.before.words["headline"].startswith("Week 2026-W17: ")
    text = " ".join(item["sentence"] for item in planted.before.words["changes"])
    assert "topic" not in text
    assert "broken" not in text


def test_both_reviews_come_out_again_from_all_that_is_known_later(planted: Planted) -> None:
    world = DriftWorld(planted.deps.warehouse, seed=9)
    world.days(NOW + 7 * DAY, 7, Day(rows=5, lost=("latency_ms",)))
    told(planted.deps)
    topics.weekly(planted.deps, LATER)
    for review in (planted.before, planted.review):
        again, differs = weekly.rebuild(planted.deps, review.review_id)
        assert differs == []
        assert again.document_hash == review.document_hash


def test_the_page_shows_them(planted: Planted) -> None:
    page = (planted.deps.reports / "review" / f"{planted.review.review_id}.html").read_text(encoding="utf-8")
    for words in ("Input tokens per request rose by", "<code>intent_conf</code> is broken", "A new topic came up"):
        assert words in page
