"""What the Rollout page asks: what-ifs on a ledger that really was lived, the traffic, a recorded backtest; by permission, changing nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.model import RolloutState
from controlplane.core.policy import parse
from controlplane.core.roles import Permission
from controlplane.core.rollout import Event
from controlplane.settings import load
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import from_text
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse
from jobs import actions, ask_rollout
from jobs.asking import ASKS, Desk
from jobs.backtest_gate import KIND, missing_backtest, vouched
from jobs.deps import Deps
from jobs.policy_traffic import expected_traffic
from jobs.refused import Refused
from tests.jobs.conftest import POLICY, START, FactsByHand
from tests.jobs.test_evidence_replay import live

NOW = START + timedelta(hours=2)


def life(deps: Deps) -> None:
    """A release that a person holds and resumes, and that then turns harmful and is rolled back."""
    facts = FactsByHand(deps.warehouse)
    actions.start_release(deps.state, deps.policy, "v1", {"model": "m1"}, "ben", "ana", START)
    with deps.warehouse.cursor() as cursor:
        row = "INSERT INTO batches VALUES (1, 's', 'p', 'k', 0, 0, 1, 1, 0, 0, NULL, NULL, ?)"
        cursor.execute(row, [to_naive(START)])
    live(deps, facts, 0, 5, 0.1)
    actions.act(deps.state, deps.policy, Event.HOLD, "kim", "a doubt", START + timedelta(minutes=5))
    actions.act(deps.state, deps.policy, Event.RESUME, "kim", "no doubt", START + timedelta(minutes=6))
    live(deps, facts, 6, 9, 0.1)
    live(deps, facts, 9, 24, 0.7)
    rollout = deps.state.rollout()
    assert rollout is not None
    assert rollout.state is RolloutState.ROLLED_BACK


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lived once; every test has a copy of its own."""
    settings = load(tmp_path_factory.mktemp("lived") / "home", env={})
    settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(START)
    with closing(state), Warehouse.open(settings.workspace.facts) as warehouse:
        life(Deps(settings, warehouse, state, parse(POLICY)))
    return settings.workspace.home


@pytest.fixture
def lived(original: Path, tmp_path: Path) -> Iterator[Deps]:
    """The workspace after that release."""
    settings = load(shutil.copytree(original, tmp_path / "copy"), env={})
    with closing(StateWriter(settings.state_url)) as state, Warehouse.open(settings.workspace.facts) as warehouse:
        yield Deps(settings, warehouse, state, parse(POLICY))


def asked(deps: Deps, **arguments: Any) -> Any:
    """As a page gets it: through the desk, and so through JSON."""
    return Desk(deps, lambda: NOW).ask("rollout_what_if", arguments, "")["answer"]


def test_a_what_if_on_a_lived_ledger(lived: Deps) -> None:
    before = lived.state.version()
    trigger = next(one for one in lived.policy.triggers if one.name == "escalation_increase")
    same = asked(lived, trigger=trigger.name, limit=trigger.limit, weight=trigger.weight)
    (one,) = same["rollouts"]
    assert one["exact"], "the replay of what is in force gives what is recorded"
    assert one["now"] == one["then"] is not None
    assert one["recorded"] == one["now"]["closed_at"]
    assert one["acted"]["event"] == "hold"
    assert same["policy_hash"] == lived.policy.hash
    rows = lived.state.ledger_of_lane(trigger.lane, 1000)
    fired = [row["closed_at"] for row in rows if '"fired":true' in row["readings"]]
    assert from_text(one["recorded"]) == from_text(fired[0])
    assert one["blocks"] == len(rows) == len(one["points"])
    newest = [
        item for item in json.loads(rows[-1]["readings"]) if (item["trigger"], item["segment"]) == (trigger.name, "all")
    ]
    assert one["points"][-1][1] == one["points"][-1][2] > 1
    assert newest[0]["fired"]

    loose = asked(lived, trigger=trigger.name, limit=0.7, weight=trigger.weight)["rollouts"][0]
    assert loose["then"] is None
    assert loose["now"] == one["now"]
    heavy = asked(lived, trigger=trigger.name, limit=trigger.limit, weight=0.9)
    assert heavy["then"]["alpha"] > heavy["now"]["alpha"]
    assert heavy["rollouts"][0]["then"]["block_start"] <= one["now"]["block_start"]
    assert lived.state.version() == before, "a what-if changes nothing"


def test_what_was_counted_under_another_policy_is_told_or_left_out(
    lived: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = lived.policy.triggers[0]
    lived.policy = parse(lived.policy.text.replace(f"limit = {trigger.limit:g}", "limit = 0.31", 1))
    changed = next(one for one in lived.policy.triggers if one.name == trigger.name)
    (one,) = asked(lived, trigger=trigger.name, limit=changed.limit, weight=changed.weight)["rollouts"]
    assert not one["exact"], "another limit was in force when this was recorded"
    monkeypatch.setattr(ask_rollout, "LIMIT", 5)
    (one,) = asked(lived, trigger=trigger.name, limit=changed.limit, weight=changed.weight)["rollouts"]
    assert one["left_out"] == "only the newest 5 blocks are read", "evidence that begins in the middle is not shown"


def test_points_are_few_and_keep_the_strongest_evidence(lived: Deps, monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = next(one for one in lived.policy.triggers if one.name == "escalation_increase")
    arguments = {"trigger": trigger.name, "limit": trigger.limit, "weight": trigger.weight}
    whole = asked(lived, **arguments)["rollouts"][0]["points"]
    monkeypatch.setattr(ask_rollout, "POINTS", 7)
    thin = asked(lived, **arguments)["rollouts"][0]["points"]
    assert len(thin) <= 7 < len(whole)
    assert thin[-1][0] == whole[-1][0]
    assert max(point[1] for point in thin) == max(point[1] for point in whole)


def test_the_traffic_is_that_of_policy_plan(lived: Deps, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="too little traffic"):
        ask_rollout.traffic(lived, NOW)
    monkeypatch.setattr("jobs.policy_traffic.FEWEST_UNITS", 1)
    monkeypatch.setattr("jobs.policy_traffic.FEWEST_MINUTES", 1)
    found = ask_rollout.traffic(lived, NOW)
    home = str(lived.home)
    lived.warehouse.close()
    assert found["per_minute"] == pytest.approx(expected_traffic(lived.policy, None, home).per_minute)
    assert "the workspace's facts" in found["source"]


def test_a_backtest_is_recorded_as_from_the_command_line(deps: Deps, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="too little history"):
        ask_rollout.run_backtest(deps, NOW, "ana")
    for wrong in (10, 10**6, True, "500"):
        with pytest.raises(ValueError, match=r"replays: from 100 to 5,000"):
            ask_rollout.run_backtest(deps, NOW, "ana", replays=wrong)  # type: ignore[arg-type]
    rollbacks = {
        "count": 0,
        "replays": 100,
        "lower95": 0.0,
        "upper95": 0.03,
        "promised": 0.01,
        "triggers": 2,
        "judged": 2,
    }
    history = {"hash": "h", "conversations": 9, "units": 9, "from": "a", "to": "b", "arm": "baseline"}
    told: list[tuple[float, str]] = []

    def quick(_policy: Any, _history: Any, request: Any, _recorded: Any, tick: Any) -> dict[str, Any]:
        assert request.replays == 100
        tick("replays", 50, 100)
        detail = {"stress": [], "history": history, "seed": 7}
        return {"false_rollback": rollbacks | {"verdict": "not shown"}, "detail": detail}

    monkeypatch.setattr(ask_rollout, "backtest", quick)
    monkeypatch.setattr(ask_rollout, "page", lambda result: f"<h1>{result['detail']['source']}</h1>")
    found = ask_rollout.run_backtest(
        deps, NOW, "ana", replays=100, progress=lambda part, text: told.append((part, text))
    )
    assert (found["verdict"], found["failing"]) == ("not shown", [])
    assert told[-1] == (0.5, "50 of 100")
    (row,) = deps.state.artefacts(KIND)
    assert row.artefact_id == found["artefact"]
    assert vouched(row.summary) in deps.state.vouched("backtest_finished", row.artefact_id)
    assert deps.state.audit_rows()[-1]["actor"] == "ana"
    assert (deps.home / "reports" / KIND / f"{row.artefact_id}.html").read_text() == "<h1>workspace</h1>"
    assert missing_backtest(deps.state, deps.policy) is None
    again = ask_rollout.run_backtest(deps, NOW, "ana", replays=100)
    assert again["artefact"] == f"{found['artefact']}-2", "also where the clock stands still"


def test_who_may_ask() -> None:
    assert ASKS["rollout_what_if"].permission is Permission.LOOK
    assert ASKS["rollout_traffic"].long
    run = ASKS["rollout_backtest"]
    assert (run.permission, run.long, run.signed) == (Permission.QUERY, True, True)
