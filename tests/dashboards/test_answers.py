"""May it grow? The same gate as the control process, in words that fit the state."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from controlplane.core.model import RolloutState
from controlplane.core.rollout import Event
from controlplane.store.snapshot import SnapshotReader
from dashboards import answers, data, windows
from dashboards.answers import BAD, GOOD, QUIET, WAIT
from dashboards.review.outlook import Left
from dashboards.values import State
from jobs import evaluate

Load = Callable[[Path], State]


def load(home: Path) -> State:
    ref = SnapshotReader(home / "snapshots").current()
    return data.state(str(ref.path), ref.key)


def with_rollout(state: State, /, **changes: object) -> State:
    assert state.rollout is not None
    return replace(state, rollout=replace(state.rollout, **changes))


def test_no_rollout_says_how_to_begin(empty_home: Path) -> None:
    answer = answers.answer(load(empty_home))
    assert answer.tone == QUIET
    assert "controlplane release start" in answer.sentence
    assert answer.lines == ()


def test_not_yet_names_what_is_missing_with_numbers(healthy_home: Path) -> None:
    answer = answers.answer(load(healthy_home))
    assert (answer.headline, answer.tone) == ("May it grow to 50 %? Not yet.", WAIT)
    assert answer.sentence.startswith("CSAT is not certified")
    assert answer.sentence.endswith("Also missing: the approval of one person who did not write the release.")
    tones = {line.name: line.tone for line in answer.lines}
    assert tones["Customers treated"] == GOOD
    assert tones["Approved by a person"] == WAIT


def test_an_approval_and_a_certificate_make_it_yes(healthy_home: Path) -> None:
    state = load(healthy_home)
    lanes = []
    for rollout_id, standing in state.lanes:
        done = {name: {**plain, "certified": True, "log_e": 4.0} for name, plain in standing["standings"].items()}
        lanes.append((rollout_id, {**standing, "standings": done}))
    ready = replace(state, lanes=tuple(lanes), approvers=("ana.lopez",))
    answer = answers.answer(ready)
    assert (answer.headline, answer.tone) == ("May it grow to 50 %? Yes.", GOOD)
    assert "from 20 % to 50 %" in answer.sentence


def test_the_authors_own_approval_does_not_count(healthy_home: Path) -> None:
    state = replace(load(healthy_home), approvers=("ben.okafor",))
    line = next(line for line in answers.answer(state).lines if line.name == "Approved by a person")
    assert (line.tone, line.have) == (WAIT, "only the author")


def test_a_held_ramp_is_no(healthy_home: Path) -> None:
    answer = answers.answer(with_rollout(load(healthy_home), state=RolloutState.HELD))
    assert (answer.headline, answer.tone) == ("May it grow to 50 %? No.", BAD)


def test_stale_data_never_passes(healthy_home: Path) -> None:
    state = load(healthy_home)
    old = replace(state, meta=replace(state.meta, watermark=state.meta.now - timedelta(hours=1)))
    assert not answers.is_fresh(old)
    line = next(line for line in answers.answer(old).lines if line.name == "Data is fresh")
    assert (line.tone, line.have) == (WAIT, "stale")


def test_certificates_of_an_earlier_stage_do_not_count(healthy_home: Path) -> None:
    state = load(healthy_home)
    lanes = tuple((name, {**standing, "last": {**standing["last"], "version": 1}}) for name, standing in state.lanes)
    assert answers.standings(replace(state, lanes=lanes), answers.stage_version(state)) == {}
    lines = {line.name: line for line in answers.answer(replace(state, lanes=lanes)).lines}
    assert lines["CSAT certified not worse by 0.05 points"].have == "no comparable data yet"


def test_rolled_back_says_when_why_and_whether_it_is_verified(incident_home: Path) -> None:
    state = load(incident_home)
    answer = answers.answer(state)
    assert (answer.headline, answer.tone) == ("May it grow? No: it was rolled back.", BAD)
    assert "hallucination breach" in answer.sentence
    assert "verified 9 s later" in answer.sentence
    assert "NOT verified" in answers.answer(replace(state, cut_verified_at=None)).sentence
    assert state.firing == ("hallucination_breach",)


def test_complete_says_what_is_held_back(healthy_home: Path) -> None:
    state = with_rollout(load(healthy_home), state=RolloutState.COMPLETE, share=0.97, stage=3, phase="full")
    answer = answers.answer(state)
    assert (answer.headline, answer.tone) == ("Fully rolled out at 97 %.", GOOD)
    assert "3 % stay on the menu" in answer.sentence


def test_an_unreadable_policy_is_unknown_not_yes(healthy_home: Path) -> None:
    answer = answers.answer(replace(load(healthy_home), policy=None, policy_error="policy abc is not registered"))
    assert (answer.headline, answer.tone) == ("May it grow? Unknown.", BAD)
    assert "abc is not registered" in answer.sentence


def test_history_has_one_span_per_share_and_ends_now(incident_home: Path) -> None:
    state = load(incident_home)
    spans = answers.history(state)
    assert [(span.phase, span.share, span.exposed) for span in spans] == [
        ("canary", 0.05, True),
        ("ramp", 0.2, True),
        ("ramp", 0.0, False),
    ]
    assert all(before.until == after.since for before, after in pairwise(spans))
    assert spans[-1].until == state.meta.now


@pytest.mark.parametrize("choice", windows.REVIEW)
def test_every_window_is_a_span_of_time(healthy_home: Path, incident_home: Path, empty_home: Path, choice: str) -> None:
    for home in (healthy_home, incident_home, empty_home):
        since, until = windows.review_window(load(home), choice)
        assert since < until


def test_the_release_window_ends_at_the_rollback(incident_home: Path) -> None:
    state = load(incident_home)
    since, until = windows.review_window(state, windows.RELEASE)
    assert since == state.stages[0].started_at
    assert until == state.incidents[0].cut_at
    assert windows.review_window(state, windows.STAGE)[0] > since


def test_the_page_and_the_control_process_ask_the_same_gate(tiny_world) -> None:
    """One state, two ways to the same verdicts: through the snapshot here, through the stores in jobs.evaluate."""

    world = tiny_world
    world.state.register_policy(world.policy.hash, "p", world.policy.text, world.now)
    world.state.register_release("v1.4.0", "sha256:aa", {"model": "m"}, "ben.okafor", world.now)
    world.person(Event.START, "go")
    world.run(world.now + timedelta(hours=14))
    world.save()
    rollout = world.rollout
    assert rollout is not None
    theirs = evaluate.gate(
        SimpleNamespace(warehouse=world.warehouse, state=world.state, policy=world.policy, probe=None),
        rollout,
        world.now,
    )
    ours = answers.gate(load(world.home))
    assert ours == theirs


def test_a_date_never_hides_what_has_none() -> None:
    """The time in the stage ends at ten to eleven, but nobody knows when the certificate is there: that comes first."""
    soon = Left(None, timedelta(minutes=14), timedelta(minutes=14))
    unknown = Left(why="too few customers yet to say when")
    lines = (
        answers.Line(
            answers.TIME,
            WAIT,
            "6 min",
            "20 min",
            "14 min in this stage",
            left=soon,
            when="likely today about 10:50 UTC",
        ),
        answers.Line(
            "CSAT certified", WAIT, "no comparable data yet", "evidence", "CSAT is not certified", left=unknown
        ),
    )
    said = answers._missing_sentence(lines, "menu")
    assert said == "CSAT is not certified, too few customers yet to say when. Also missing: 14 min in this stage."
