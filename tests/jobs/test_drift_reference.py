"""Reference windows: named and versioned ones, the accepted release, and what the policy's rules make of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.model import RolloutState
from controlplane.settings import SettingsError
from controlplane.store.state_rows import StageRow
from jobs import drift_reference, drift_work
from jobs.deps import Deps
from jobs.drift_windows import Window
from jobs.refused import Refused
from tests.jobs.drift_world import DAY, NOW, Day, DriftWorld
from tests.jobs.test_drift_run import ready

WHO = {"actor": "ana", "reason": "a quiet fortnight", "release": None, "arm": None}
CURRENT = Window("now", NOW - 14 * DAY, NOW)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def deps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deps]:
    found = ready(tmp_path_factory.mktemp("reference") / "home")
    facts = DriftWorld(found.warehouse)
    facts.days(NOW - 14 * DAY, 28, Day(rows=8, release="v1"))
    facts.days(NOW, 14, Day(rows=8, release="v2"))
    facts.days(NOW, 14, Day(rows=8, release="v2", arm="baseline"))
    yield found
    found.warehouse.close()
    found.state.close()


def choose(deps: Deps, name: str, current: Window = CURRENT) -> tuple[drift_reference.Reference, Window]:
    with deps.warehouse.cursor() as cursor:
        return drift_reference.choose(deps, cursor, current, name)


def test_a_name_that_is_used_again_gets_a_new_version_and_the_old_one_stays(deps: Deps) -> None:
    spans = [(NOW - 42 * DAY, NOW - 28 * DAY), (NOW - 28 * DAY, NOW - 14 * DAY)]
    for number, (since, until) in enumerate(spans, start=1):
        kept = drift_work.add_reference(deps, NOW, name="quiet ü", since=text(since), until=text(until), **WHO)
        assert (kept["version"], kept["interactions"]) == (number, 14 * 8)
    assert [row["version"] for row in drift_reference.known(deps.state)] == [1, 2]
    for name, version, span in (("quiet ü", 2, spans[1]), ("quiet ü@1", 1, spans[0]), ("quiet ü@2", 2, spans[1])):
        found, _ = choose(deps, name)
        assert (found.name, found.version, (found.window.since, found.window.until)) == ("quiet ü", version, span)
    with pytest.raises(SettingsError, match="no reference window is called 'quiet ü@3'"):
        choose(deps, "quiet ü@3")
    (said,) = deps.state.vouched("drift_reference_added", "drift_reference:quiet ü@1")
    assert set(said) == {"summary_hash"}
    found = drift_work.run_windows(deps, NOW, days=7.0, reference="quiet ü@1", report=False)
    assert (found["reference"]["name"], found["reference"]["version"]) == ("quiet ü", 1)
    assert found["windows"]["reference"]["label"] == "quiet ü@1"


@pytest.mark.parametrize(
    ("name", "since", "until", "error", "words"),
    [
        ("accepted", "2026-04-01", "2026-05-01", SettingsError, "are rules"),
        (" ", "2026-04-01", "2026-05-01", SettingsError, "cannot name a window"),
        ("a@1", "2026-04-01", "2026-05-01", SettingsError, "without @"),
        ("x" * 61, "2026-04-01", "2026-05-01", SettingsError, "at most 60"),
        ("a\nb", "2026-04-01", "2026-05-01", SettingsError, "cannot name a window"),
        ("back", "2026-05-01", "2026-04-01", SettingsError, "not after its begin"),
        ("when", "yesterday", "2026-04-01", SettingsError, "--since 'yesterday' is no time"),
        ("empty", "2020-05-01", "2020-06-01", Refused, "nothing can be compared with it"),
    ],
)
def test_a_window_that_cannot_be_used_is_not_kept(
    deps: Deps, name: str, since: str, until: str, error: type[Exception], words: str
) -> None:
    before = len(drift_reference.known(deps.state))
    with pytest.raises(error, match=words):
        drift_work.add_reference(deps, NOW, name=name, since=since, until=until, **WHO)
    assert len(drift_reference.known(deps.state)) == before


def test_a_window_of_a_release_that_was_never_served_is_refused(deps: Deps) -> None:
    of = WHO | {"release": "v9"}
    with pytest.raises(Refused, match="no interactions in that window of release v9"):
        drift_work.add_reference(deps, NOW, name="nine", since="2026-04-01", until="2026-05-01", **of)


def test_previous_and_year_are_as_long_and_of_the_same_arm(deps: Deps) -> None:
    found, current = choose(deps, "previous")
    assert (found.window.since, found.window.until) == (NOW - 28 * DAY, NOW - 14 * DAY)
    assert found.window.arm == current.arm == "assistant"
    found, _ = choose(deps, "year")
    assert (found.window.since, found.window.until) == (NOW - 378 * DAY, NOW - 364 * DAY)
    assert found.window.since.weekday() == CURRENT.since.weekday()
    assert found.window.arm is None  # there was no assistant: no arm is better than an empty one


def test_without_a_complete_release_accepted_is_the_span_before_and_says_so(deps: Deps) -> None:
    found, _ = choose(deps, "accepted")
    assert (found.window.since, found.window.until) == (NOW - 28 * DAY, NOW - 14 * DAY)
    assert "no release is complete yet" in found.to_dict()["note"]


class Stages:
    """A state with a history of rollouts."""

    def __init__(self, *rollouts: list[StageRow], gone: dict[str, str] | None = None) -> None:
        self._rollouts = {f"r{i}": rows for i, rows in enumerate(rollouts)}
        self._gone = gone or {}

    def rollout_ids(self) -> list[str]:
        return sorted(self._rollouts)

    def stages(self, rollout_id: str) -> list[StageRow]:
        return self._rollouts[rollout_id]

    def rolled_back(self) -> dict[str, str]:
        return self._gone

    def artefacts(self, kind: str) -> list[Any]:
        return []


def history(release: str, began: int, complete: int | None) -> list[StageRow]:
    """A rollout that began and was complete so many days before NOW."""
    first = StageRow("r", 1, release, RolloutState.RUNNING, "ramp", 0, 0.2, NOW - began * DAY, "start")
    last = replace(first, version=2, state=RolloutState.COMPLETE, share=1.0, event="promote")
    return [first] if complete is None else [first, replace(last, started_at=NOW - complete * DAY)]


def with_history(deps: Deps, *rollouts: list[StageRow], **more: Any) -> Deps:
    return replace(deps, state=Stages(*rollouts, **more))  # type: ignore[arg-type]


def test_accepted_is_what_the_last_complete_release_saw_before_it_was(deps: Deps) -> None:
    asking = with_history(deps, history("v0", 200, 100), history("v1", 40, 20), history("v2", 12, None))
    found, current = choose(asking, "accepted")
    assert found.window == Window("accepted release v1", NOW - 40 * DAY, NOW - 20 * DAY, "assistant", "v1")
    assert current == replace(CURRENT, arm="assistant")
    assert found.note == ""


def test_a_release_that_was_rolled_back_after_all_is_not_the_accepted_one(deps: Deps) -> None:
    asking = with_history(deps, history("v0", 200, 100), history("v1", 40, 20), gone={"hash": "v1"})
    assert choose(asking, "accepted")[0].window.release == "v0"


def test_windows_that_would_overlap_are_cut_and_a_release_too_young_is_not_used(deps: Deps) -> None:
    found, current = choose(with_history(deps, history("v1", 40, 7)), "accepted")
    assert (current.since, found.window.until) == (NOW - 7 * DAY, NOW - 7 * DAY)
    assert "begins where the reference ends" in found.note
    early = replace(CURRENT, since=NOW - 28 * DAY, until=NOW - 14 * DAY)
    found, current = choose(with_history(deps, history("v1", 40, 7)), "accepted", early)
    assert current.since == early.since
    assert "was not complete before this window" in found.note


def test_the_monthly_analysis_ends_when_it_was_due_and_is_not_lost_for_a_name_that_nobody_registered(
    deps: Deps,
) -> None:
    asks = replace(deps.policy.drift, reference="lost", window_days=10.0)
    due = NOW - 0.2 * DAY
    name = drift_work.monthly(replace(deps, policy=replace(deps.policy, drift=asks)), NOW, due, report=False)
    (row,) = [row for row in deps.state.artefacts("drift") if row.artefact_id == name]
    assert row.summary["trigger"] == "monthly"
    span = row.summary["windows"]["current"]
    assert (span["since"], span["until"]) == (text(due - 10 * DAY), text(due))
    assert row.summary["reference"]["name"] == "previous"
    assert "no reference window is called 'lost'" in row.summary["reference"]["note"]


def test_a_month_without_facts_before_it_is_recorded_as_no_data(tmp_path: Path) -> None:
    deps = ready(tmp_path / "home")
    DriftWorld(deps.warehouse).days(NOW, 5, Day(rows=8))
    drift_work.monthly(deps, NOW, NOW, report=False)
    (row,) = deps.state.artefacts("drift")
    assert {column["verdict"] for column in row.summary["columns"].values()} == {"NO_DATA"}
    assert (row.summary["drifted"], row.summary["broken"], deps.state.outbox()) == ([], [], [])
    deps.warehouse.close()
    deps.state.close()
