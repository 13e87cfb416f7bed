"""The weekly review: pinned once, the same a month later whatever has happened, and it says so when it is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane import settings as settings_module
from controlplane.analysis.weekly_html_events import drills
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.blocks import spans
from controlplane.core.overrides import Override
from controlplane.core.policy import Policy, parse
from controlplane.core.rollout import Event
from controlplane.core.weekly import Movement, Weekly
from controlplane.settings import SettingsError
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import AuditEntry, Commit, to_text
from controlplane.store.warehouse import Warehouse
from jobs import actions, evaluate, governing, reviews, weekly, weekly_work
from jobs.deps import Deps
from jobs.moments import week_bounds, week_of
from jobs.refused import Refused
from jobs.rollup import run as roll_up
from tests.jobs.conftest import POLICY
from tests.jobs.weekly_world import MONDAY, WEEK, Desk, ingest, stamp

BEGIN = MONDAY + timedelta(hours=9)
PINNED = BEGIN + timedelta(hours=3)
LATER = PINNED + timedelta(days=30)


@dataclass
class World:
    """A rollout of some hours, judged as it went, in the week that is reviewed."""

    deps: Deps
    folder: Path
    desk: Desk
    rollout_id: str = ""
    files: int = 0

    def tell(self, records: list[dict[str, Any]], now: Any) -> None:
        self.files += 1
        ingest(self.deps.warehouse, self.folder, records, now, f"f{self.files}")

    def live(self, since: Any, until: Any, n: int, now: Any, **more: Any) -> None:
        """Conversations of a window, ingested and judged."""
        self.tell(self.desk.weeks(since, until, n, rollout=self.rollout_id, **more), now)
        evaluate.run(self.deps, now)
        roll_up(self.deps, now)

    def pin(self, now: Any = PINNED, **more: Any) -> Weekly:
        return weekly.pin(self.deps, now, MONDAY, MONDAY + WEEK, actor="ana", **more)


@contextmanager
def opened(home: Path, policy: str = POLICY) -> Iterator[Deps]:
    """The stores of a workspace, judged by the policy of these tests."""
    settings = settings_module.load(home, env={})
    if settings.workspace.kind() is None:
        settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(BEGIN)
    with Warehouse.open(settings.workspace.facts) as warehouse:
        yield Deps(settings, warehouse, state, parse(policy))
    state.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace with two weeks, judged until PINNED; each test has a copy."""
    folder = tmp_path_factory.mktemp("weekly")
    with opened(folder / "home") as deps:
        found = World(deps, folder, Desk(3, share=0.5))
        found.tell(found.desk.weeks(MONDAY - WEEK, MONDAY, 150), BEGIN)
        artefacts = {"model": "m1"}
        found.rollout_id = actions.start_release(
            deps.state, deps.policy, "v1", artefacts, "ben", "ana", BEGIN
        ).rollout_id
        found.live(BEGIN, PINNED, 400, PINNED)
    return folder / "home", found.rollout_id


@pytest.fixture
def world(template: tuple[Path, str], tmp_path: Path) -> Iterator[World]:
    shutil.copytree(template[0], tmp_path / "home")
    with opened(tmp_path / "home") as deps:
        yield World(deps, tmp_path, Desk(33, share=0.5), template[1])


def differing(world: World, review_id: str) -> list[str]:
    again, differs = weekly.rebuild(world.deps, review_id)
    assert isinstance(again, Weekly)
    return differs


def test_a_pinned_review_is_kept_vouched_for_and_in_files(world: World) -> None:
    found = world.pin()
    assert found.review_id == "2026-W03-v1"
    (row,) = world.deps.state.artefacts("review")
    assert row.path == "reports/review/2026-W03-v1.json"
    (said,) = world.deps.state.vouched("review_pinned", found.review_id)
    kept = json.loads((world.deps.home / row.path).read_text())
    assert sha256_text(canonical(kept)) == said["document_hash"] == found.document_hash
    assert kept == row.summary
    assert "<html" in (world.deps.reports / "review" / f"{found.review_id}.html").read_text()[:200]
    assert found.words["headline"]


def test_the_review_fills_its_sections(world: World) -> None:
    found = weekly.build(world.deps, PINNED, MONDAY, MONDAY + WEEK)
    assert [one.measure for one in found.success] == [
        "csat",
        "misclassification",
        "escalation",
        "resolution_time",
        "safety_incidents",
    ]
    assert found.rollout is not None
    assert found.rollout["state"] == "RUNNING"
    assert found.may_grow["answer"] in ("not yet", "no", "yes")
    assert {line["name"] for line in found.may_grow["lines"]} >= {
        "state",
        "fresh data",
        "treated customers",
        "approvals",
    }
    assert found.csat["treated"]["rated"] > 0
    assert {one["name"] for one in found.topics["intents"]} == {"fees", "pin"}
    assert found.cost["spent"] > 0
    assert any("has not ended" in note for note in found.notes)
    assert all(figure.source.policy_hash == world.deps.policy.hash for figure in found.figures)
    by_name = {figure.name: figure for figure in found.figures}
    assert by_name["tokens_per_request"].baseline is None  # the menu calls no model
    assert by_name["escalation_rate"].change is not None  # last week's customers are enough
    assert by_name["traffic_volume"].change is None  # some hours are not set against a whole week


def test_the_gate_is_the_one_that_promote_asks(world: World) -> None:
    found = weekly.build(world.deps, PINNED, MONDAY, MONDAY + WEEK)
    rollout = world.deps.state.rollout()
    assert rollout is not None
    live = evaluate.gate(world.deps, rollout, PINNED)
    told = [(line["name"], line["verdict"], line["have"], line["need"]) for line in found.may_grow["lines"]]
    assert told == [(one.name, one.verdict.name, one.have, one.need) for one in live.requirements]


REVIEWED = """
[review]
phases = ["ramp"]
share = 0.5
min_labelled = 2
min_reviewed = 0.01
min_correct = 0.1
"""


def test_reviewed_answers_are_lines_of_the_gate_as_of_the_pin(tmp_path: Path) -> None:
    """The queue from the facts and the labels from the audit log, as the live gate has them; labels given later are not seen."""
    with opened(tmp_path / "home", POLICY.replace("[[phases]]", REVIEWED + "[[phases]]", 1)) as deps:
        world = World(deps, tmp_path, Desk(9, share=0.5))
        started = actions.start_release(deps.state, deps.policy, "v1", {"model": "m1"}, "ben", "ana", BEGIN)
        world.rollout_id = started.rollout_id
        world.tell(world.desk.weeks(BEGIN, PINNED, 60, rollout=world.rollout_id), PINNED)
        rollout, stage = deps.state.rollout(), spans(evaluate.stage_events(deps, started))[-1]
        assert rollout is not None
        queue = reviews.stage_queue(deps, rollout, stage)
        for item, label in zip(queue, ("correct", "incorrect", "correct"), strict=False):
            reviews.give_label(deps.state, rollout, stage.version, item, label, "", "rita", PINNED)
        live = evaluate.gate(deps, rollout, PINNED)
        found = world.pin()
        told = {line["name"]: (line["verdict"], line["have"]) for line in found.may_grow["lines"]}
        assert told == {one.name: (one.verdict.name, one.have) for one in live.requirements}
        assert told["reviewed answers"][1] == f"3 of {len(queue)} queued"
        reviews.give_label(deps.state, rollout, stage.version, queue[3], "unsafe", "", "rita", PINNED)
        world.tell(world.desk.weeks(BEGIN, PINNED, 30, rollout=world.rollout_id), LATER)
        assert differing(world, found.review_id) == []


def much_happens(world: World) -> None:
    """Late ratings, turns and labels of the pinned week, a new week, another policy, an override, a rollback with its incident, a new release."""
    deps = world.deps
    ratings = [
        {
            "record": "feedback",
            "feedback_id": f"late{n}",
            "ts": stamp(PINNED - timedelta(minutes=n % 90)),
            "conversation_id": f"c3-{n}",
            "csat": 1,
            "resolved": False,
        }
        for n in range(100, 300)
    ]
    labels = [
        {
            "record": "evaluation",
            "evaluation_id": f"late{n}",
            "ts": stamp(PINNED),
            "interaction_id": f"ic3-{n}-1",
            "name": "intent_true",
            "label": "other",
        }
        | {"evaluator": "human:x", "sampling_rate": 1.0}
        for n in range(200, 260)
    ]
    turns = [
        {
            "interaction_id": f"new{n}",
            "conversation_id": f"c3-{n}",
            "turn": 9,
            "ts": stamp(MONDAY + timedelta(hours=n % 10)),
            "escalated": True,
        }
        for n in range(240, 280)
    ]
    now = PINNED + timedelta(minutes=10)
    world.tell([*ratings, *labels, *turns], now)
    evaluate.run(deps, now)
    other = parse(POLICY.replace('name = "test"', 'name = "stricter"').replace("limit = 0.2", "limit = 0.25"))
    governing.apply_policy(deps.state, deps.policy, other, "ana", "a looser limit", now)
    deps.policy = other
    deps.state.add_override(
        Override("o1", world.rollout_id, "csat_drop", "ana", "known", now, now + timedelta(hours=4)), other.hash
    )
    before = PINNED - timedelta(hours=1)  # a clock that goes wrong: recorded after the pin, dated before it
    deps.state.record_artefact("drift-later", "drift", "reports/x", {"drifted": ["latency_ms"], "columns": {}}, before)
    deps.state.record_artefact("topics-later", "topics", "reports/y", {"topics": []}, before)
    deps.state.commit(Commit(audit=[AuditEntry("ana", "drift_recorded", "drift-later", "", {})]), before)
    rollout = deps.state.rollout()
    assert rollout is not None
    deps.state.approve(rollout, "cleo", "late approval", now)
    actions.act(deps.state, other, Event.ROLLBACK, "ana", "better safe", now + timedelta(minutes=1))
    for incident in deps.state.incidents():
        for minutes, step in ((2, "acknowledge"), (3, "resolve"), (4, "review")):
            moment = now + timedelta(minutes=minutes)
            actions.incident_event(deps.state, incident.incident_id, step, "kim", "on it", moment)
    actions.start_release(deps.state, other, "v2", {"model": "m2"}, "ben", "ana", now + timedelta(minutes=5))
    world.tell(world.desk.weeks(PINNED + timedelta(days=1), PINNED + timedelta(days=9), 120), LATER)


def test_a_month_later_it_comes_out_again_byte_for_byte(world: World) -> None:
    found = world.pin()
    much_happens(world)
    again, differs = weekly.rebuild(world.deps, found.review_id)
    assert differs == []
    assert again.document_hash == found.document_hash
    assert canonical(again.to_dict()) == canonical(found.to_dict())
    now = weekly.build(world.deps, LATER, MONDAY, MONDAY + WEEK)  # and it is not because nothing had changed
    assert now.csat != again.csat
    assert now.rollout != again.rollout
    assert now.drift != again.drift
    assert now.incidents != again.incidents
    assert now.policy != again.policy


def test_what_happens_in_the_very_instant_of_the_pin_is_after_it(world: World) -> None:
    """The clock may stand still: row numbers tell what was there."""
    found = world.pin()
    actions.act(world.deps.state, world.deps.policy, Event.ROLLBACK, "ana", "now", PINNED)
    assert differing(world, found.review_id) == []
    assert [one for one in found.incidents if one["trigger"] == "person"] == []


@pytest.mark.parametrize("event", [Event.HOLD, Event.ROLLBACK])
def test_pinned_between_two_decisions(world: World, event: Event) -> None:
    """An incident that was open at the pin is open in the rebuild, though it was resolved since."""
    actions.act(world.deps.state, world.deps.policy, event, "ana", "first", PINNED)
    found = world.pin(PINNED + timedelta(minutes=1))
    for row in world.deps.state.incidents():
        for step in ("acknowledge", "resolve", "review"):
            actions.incident_event(
                world.deps.state, row.incident_id, step, "kim", "later", PINNED + timedelta(minutes=2)
            )
    assert differing(world, found.review_id) == []
    of_people = [one["state"] for one in found.incidents if one["cut_at"] is not None]
    assert of_people == (["open"] if event is Event.ROLLBACK else [])
    assert found.may_grow["answer"] == ("no" if event is Event.HOLD else "nothing to grow")
    assert len(found.owners["open_actions"]) == len([one for one in found.incidents if one["state"] == "open"])


def changed(world: World, statement: str) -> None:
    with world.deps.warehouse.cursor() as cursor:
        cursor.execute(statement)


TAMPERED = {
    "UPDATE conversations SET csat = 1 WHERE csat = 5": {"csat", "figures"},
    "UPDATE interactions SET cost_usd = cost_usd * 2 WHERE cost_usd IS NOT NULL": {"cost", "figures"},
    "DELETE FROM conversations WHERE arm = 'baseline' AND started_at >= '2026-01-12 10:00:00'": {"funnel", "topics"},
    "UPDATE evaluations SET label = 'misrouted', score = 1 WHERE name = 'safety_route'": {"success", "figures"},
}


@pytest.mark.parametrize("statement", TAMPERED)
def test_tampered_facts_are_named_by_section(world: World, statement: str) -> None:
    found = world.pin()
    changed(world, statement)
    assert set(differing(world, found.review_id)) >= TAMPERED[statement]


def test_a_tampered_document_is_not_vouched_for(world: World) -> None:
    from sqlalchemy import update

    from controlplane.store import state_tables as t

    found = world.pin()
    (row,) = world.deps.state.artefacts("review")
    document = dict(row.summary) | {"notes": ["all is well"]}
    with world.deps.state._write_engine.begin() as connection:
        connection.execute(
            update(t.artefacts).values(summary=canonical(document)).where(t.artefacts.c.kind == "review")
        )
    assert differing(world, found.review_id) == ["notes", "record: the audit log vouches for other content"]


def test_older_facts_and_a_rewritten_chain_are_named(world: World) -> None:
    found = world.pin()
    changed(world, "DELETE FROM batches WHERE batch_id > 1")
    assert differing(world, found.review_id) == [
        f"facts: they end at batch 1, the review was made at batch {found.pin.last_batch}"
    ]
    kept = {"pin": {**found.to_dict()["pin"], "audit_head": "0" * 64}}
    assert any("audit chain has no row" in one for one in weekly.differences(world.deps, "x", kept, found))


def test_pinning_again_changes_nothing(world: World) -> None:
    first = world.pin()
    second = world.pin(LATER)
    assert second == first
    assert len(world.deps.state.artefacts("review")) == 1
    assert len(world.deps.state.vouched("review_pinned", first.review_id)) == 1


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("step", "done"), [("write_files", False), ("write_files", True), ("record_artefact", True), ("commit", True)]
)
def test_killed_between_two_steps_it_is_pinned_once_or_not(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, done: bool
) -> None:
    """The audit row is the last step: before it the review is not pinned; the next try goes on, from what is there."""
    target: Any = weekly if step == "write_files" else world.deps.state
    real = getattr(target, step)

    def die(*args: Any, **named: Any) -> None:
        if done:
            real(*args, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(target, step, die)
        with pytest.raises(Killed):
            world.pin()
    pinned = world.deps.state.vouched("review_pinned", "2026-W03-v1")
    assert len(pinned) == (1 if step == "commit" and done else 0)
    recorded = bool(world.deps.state.artefacts("review"))
    found = world.pin(LATER)
    assert (found.pin.pinned_at == weekly.to_text(PINNED)) is recorded
    (said,) = world.deps.state.vouched("review_pinned", found.review_id)
    assert said["document_hash"] == found.document_hash
    assert len(world.deps.state.artefacts("review")) == 1
    kept = json.loads((world.deps.reports / "review" / f"{found.review_id}.json").read_text())
    assert sha256_text(canonical(kept)) == found.document_hash
    assert differing(world, found.review_id) == []


def test_two_processes_at_once_pin_one_review(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other is a moment faster, and saw other facts: its document is the review, here, too."""
    real = weekly.make
    others: list[Weekly] = []

    def overtaken(*args: Any, **named: Any) -> Weekly:
        found = real(*args, **named)
        if not others:
            others.append(found)
            monkeypatch.setattr(weekly, "make", real)
            others[0] = world.pin(PINNED - timedelta(minutes=5))
        return found

    monkeypatch.setattr(weekly, "make", overtaken)
    mine = world.pin(PINNED)
    assert mine == others[0]
    assert mine.pin.pinned_at == weekly.to_text(PINNED - timedelta(minutes=5))
    assert len(world.deps.state.vouched("review_pinned", mine.review_id)) == 1
    kept = json.loads((world.deps.reports / "review" / f"{mine.review_id}.json").read_text())
    assert sha256_text(canonical(kept)) == mine.document_hash


def test_a_lost_file_is_written_again(world: World) -> None:
    found = world.pin()
    path = world.deps.reports / "review" / f"{found.review_id}.json"
    text = path.read_text()
    path.unlink()
    world.pin(LATER)
    assert path.read_text() == text


def test_a_correction_is_a_new_version(world: World) -> None:
    first = world.pin()
    world.tell(
        [{"record": "feedback", "feedback_id": "z", "ts": stamp(PINNED), "conversation_id": "c3-200", "csat": 1}], LATER
    )
    second = world.pin(LATER, corrects=first.review_id, reason="ratings came late")
    assert (second.review_id, second.version, second.corrects) == ("2026-W03-v2", 2, first.review_id)
    assert second.correction_reason == "ratings came late"
    assert "Corrected by 2026-W03-v2" in (world.deps.reports / "review" / f"{first.review_id}.html").read_text()
    assert world.pin(LATER, corrects=first.review_id, reason="ratings came late") == second  # said twice, done once
    assert world.pin(LATER) == second
    for one in (first, second):
        assert differing(world, one.review_id) == []


def test_corrections_are_refused_without_reason_or_of_something_else(world: World) -> None:
    with pytest.raises(Refused, match="no review to correct"):
        world.pin(corrects="2026-W03-v1", reason="why")
    first = world.pin()
    with pytest.raises(Refused, match="says why"):
        world.pin(corrects=first.review_id, reason=" ")
    with pytest.raises(Refused, match="not the newest"):
        world.pin(corrects="2026-W03-v7", reason="why")
    with pytest.raises(Refused, match="there are 2026-W03-v1"):
        weekly.rebuild(world.deps, "2026-W99-v1")


def test_what_was_recorded_and_not_vouched_for_yet_is_not_part_of_the_review(world: World) -> None:
    """A job writes its artefact, then its audit row: a pin between the two sees neither, then and later."""
    state = world.deps.state
    state.record_artefact("drift-1", "drift", "reports/x", {"drifted": [], "columns": {}}, PINNED)
    found = world.pin()
    assert found.drift == {}
    state.commit(Commit(audit=[AuditEntry("ana", "drift_recorded", "drift-1", "", {})]), PINNED)
    assert differing(world, found.review_id) == []
    assert weekly.build(world.deps, LATER, MONDAY, MONDAY + WEEK).drift["id"] == "drift-1"


def test_a_week_pinned_while_it_lasted_is_corrected_when_it_has_ended(world: World) -> None:
    first = world.pin()
    ended = MONDAY + WEEK + timedelta(hours=5)
    early = weekly.pin_whole(world.deps, PINNED + timedelta(hours=1), MONDAY, MONDAY + WEEK, actor="ana")
    assert early == first
    whole = weekly.pin_whole(world.deps, ended, MONDAY, MONDAY + WEEK, actor="ana")
    assert (whole.review_id, whole.correction_reason) == ("2026-W03-v2", weekly.ENDED)
    assert whole.until == weekly.to_text(MONDAY + WEEK)
    assert weekly.pin_whole(world.deps, LATER, MONDAY, MONDAY + WEEK, actor="ana") == whole


def test_a_correction_that_was_begun_is_finished_before_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.pin()
    with monkeypatch.context() as patch:
        patch.setattr(world.deps.state, "commit", _dies)
        with pytest.raises(Killed):
            world.pin(LATER, corrects=first.review_id, reason="ratings came late")
    with pytest.raises(Refused, match=r"2026-W03-v2 was begun \(ratings came late\).*--week 2026-W03"):
        world.pin(LATER, corrects=first.review_id, reason="another")
    assert world.pin(LATER).review_id == "2026-W03-v2"


def _dies(*_args: Any, **_named: Any) -> None:
    raise Killed


def test_windows_that_make_no_sense(world: World) -> None:
    with pytest.raises(SettingsError, match="not after its begin"):
        weekly.build(world.deps, PINNED, MONDAY, MONDAY)
    with pytest.raises(SettingsError, match="has not come"):
        weekly.build(world.deps, MONDAY - WEEK, MONDAY, MONDAY + WEEK)
    for wrong in ("2026-W60", "next week", "2026-01-05", ""):
        with pytest.raises(SettingsError, match="is no ISO week"):
            week_bounds(wrong)
    assert week_bounds("2026-W03") == (MONDAY, MONDAY + WEEK)
    assert week_of(MONDAY + WEEK - timedelta(seconds=1)) == "2026-W03"


def test_an_empty_workspace_has_a_review_of_unknowns(deps: Deps, policy: Policy) -> None:
    found = weekly.pin(deps, PINNED, MONDAY, MONDAY + WEEK, actor="ana")
    assert {one.movement for one in found.success} == {Movement.UNKNOWN}
    assert found.rollout is None
    assert found.may_grow["answer"] == "nothing to grow"
    assert all(figure.assistant.value in (None, 0.0) for figure in found.figures)
    assert "nothing has been ingested" in found.notes
    assert weekly.rebuild(deps, found.review_id)[1] == []
    assert found.policy["hash"] == policy.hash


def test_one_arm_alone_compares_with_nothing(deps: Deps, tmp_path: Path) -> None:
    world = World(deps, tmp_path, Desk(4, share=1.0))
    world.tell(world.desk.weeks(BEGIN, PINNED, 100), PINNED)
    found = weekly.build(deps, PINNED + timedelta(days=5), MONDAY, MONDAY + WEEK)
    assert {one.movement for one in found.success} <= {Movement.UNKNOWN, Movement.NOT_WORSE}
    assert found.success[0].reason == "the menu has nothing to compare: no conversation, or none that was labelled"
    assert "the menu served nobody in this week" in found.notes
    assert all(figure.difference is None for figure in found.figures)


def test_open_incidents_overrides_and_drills_are_told(world: World) -> None:
    state, now = world.deps.state, PINNED - timedelta(minutes=1)
    state.add_override(
        Override("o1", world.rollout_id, "csat_drop", "ana", "known", now, now + timedelta(hours=4)), "p"
    )
    drill = {"drills": [{"name": "poisoned", "ok": True, "failures": [], "minutes": {"detected": 3.0}}], "failed": []}
    state.commit(Commit(audit=(AuditEntry("kim", "drill", "drills", "1 of 1", drill),)), now)
    found = weekly.build(world.deps, PINNED, MONDAY, MONDAY + WEEK)
    assert [one["trigger"] for one in found.owners["overrides"]] == ["csat_drop"]
    assert [(one["name"], one["passed"]) for one in found.drills] == [("poisoned", True)]
    assert {one["event"] for one in found.decisions} >= {"start", "override_added", "drill"}
    assert found.exposure["releases"] == 1
    assert found.exposure["change_fail_rate"] == 0.0


def test_a_drill_of_an_earlier_week_is_told_as_its_last_run(world: World) -> None:
    state = world.deps.state

    def run(names: tuple[str, ...], at: datetime) -> None:
        told = [{"name": name, "ok": True, "failures": [], "minutes": {}} for name in names]
        payload = {"drills": told, "failed": []}
        state.commit(Commit(audit=(AuditEntry("kim", "drill", "drills", "as expected", payload),)), at)

    run(("poisoned", "older"), MONDAY - timedelta(days=20))
    run(("older",), MONDAY - timedelta(days=10))
    run(("poisoned",), PINNED - timedelta(minutes=1))
    found = weekly.build(world.deps, PINNED, MONDAY, MONDAY + WEEK).drills
    assert [(one["name"], one.get("earlier", False)) for one in found] == [("poisoned", False), ("older", True)]
    assert found[1]["started_at"] == to_text(MONDAY - timedelta(days=10))
    page = drills({"drills": found})
    assert "not this week: its last run" in page
    assert page.count("poisoned") == 1


def test_the_work_answers_with_json(world: World) -> None:
    asked = weekly_work.build(world.deps, PINNED, week="2026-W03")
    pinned = weekly_work.pin(world.deps, PINNED, week="2026-W03", actor="ana")
    again = weekly_work.rebuild(world.deps, LATER, review_id=pinned["review_id"])
    assert json.loads(json.dumps(asked))["document"]["words"]["headline"]
    assert again["same"] is True
    assert again["document_hash"] == pinned["document_hash"]
    assert weekly.of_document(json.loads(json.dumps(pinned["document"]))).document_hash == pinned["document_hash"]
    with pytest.raises(SettingsError, match="cannot be read"):
        weekly.of_document({"review_id": "x"})
