"""Work on the facts that a person asks for: here, or by the control process that has them open."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from controlplane.settings import SettingsError
from controlplane.store.facts import ingest_file
from jobs import work
from jobs.deps import Deps
from jobs.process import announce, withdraw
from jobs.refused import Refused
from tests.jobs.conftest import START
from tests.store.facts_world import interaction, write_lines

NAMES = {
    "count": "tests.jobs.test_work:count",
    "refuse": "tests.jobs.test_work:refuse",
    "choke": "tests.jobs.test_work:choke",
    "burst": "tests.jobs.test_work:burst",
}


def count(deps: Deps, now: datetime, *, table: str) -> Mapping[str, Any]:
    """A piece of work."""
    with deps.warehouse.cursor() as cursor:
        rows = cursor.table(table).fetchall()
    return {"rows": len(rows), "now": now, "policy": deps.policy.name}


def refuse(deps: Deps, now: datetime) -> Mapping[str, Any]:
    raise Refused("somebody else has to do this")


def choke(deps: Deps, now: datetime, *, path: str) -> Mapping[str, Any]:
    return {"text": Path(path).read_text()}


def burst(deps: Deps, now: datetime) -> Mapping[str, Any]:
    raise RuntimeError("a fault of ours")


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "WORK", NAMES)


class Process:
    """The part of a control process that works requests off."""

    def __init__(self, deps: Deps) -> None:
        self._deps, self._end = deps, threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._end.wait(0.01):
            work.run(self._deps, START, lambda: START + timedelta(minutes=1))

    def __enter__(self) -> None:
        announce(self._deps.settings, "http://127.0.0.1:1")
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        withdraw(self._deps.settings)


def left(deps: Deps) -> list[str]:
    folder = deps.home / "work"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_without_a_control_process_the_work_is_done_here(deps: Deps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "policy_in_force", lambda *_: deps.policy)
    deps.warehouse.close()
    answer = work.do(str(deps.home), "count", {"table": "interactions"}, START)
    assert answer == {"rows": 0, "now": "2026-01-05T09:00:00Z", "policy": "test"}
    assert left(deps) == []


def test_a_control_process_does_it_with_the_facts_it_has_open(deps: Deps, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [interaction(1, ts="2026-01-05T08:00:00Z")])
    ingest_file(deps.warehouse, log, key=deps.hmac_key, now=START, source="test")
    with Process(deps):
        answer = work.do(str(deps.home), "count", {"table": "interactions"}, START)
    assert answer == {"rows": 1, "now": "2026-01-05T09:01:00Z", "policy": "test"}, "as JSON, at the process's time"
    assert left(deps) == []


def test_errors_reach_the_person_as_messages(deps: Deps, tmp_path: Path) -> None:
    with Process(deps):
        with pytest.raises(Refused, match="somebody else"):
            work.do(str(deps.home), "refuse", {}, START)
        with pytest.raises(SettingsError, match=r"nothing\.txt"):
            work.do(str(deps.home), "choke", {"path": str(tmp_path / "nothing.txt")}, START)
        with pytest.raises(SettingsError, match="no work 'dream': there are burst, choke, count, refuse"):
            work.do(str(deps.home), "dream", {}, START)
        with pytest.raises(SettingsError, match="RuntimeError: a fault of ours"):
            work.do(str(deps.home), "burst", {}, START)
    assert left(deps) == []


def test_a_process_that_ends_first_is_told_and_takes_the_request_with_it(
    deps: Deps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(deps.settings, "http://127.0.0.1:1")
    monkeypatch.setattr(work.time, "sleep", lambda _: withdraw(deps.settings))
    with pytest.raises(typer.Exit) as ended:
        work.do(str(deps.home), "count", {"table": "interactions"}, START)
    assert ended.value.exit_code == 3
    assert "run the same command again" in capsys.readouterr().err
    assert left(deps) == []


def test_a_request_that_a_dead_process_left_is_answered_by_the_next(deps: Deps) -> None:
    folder = deps.home / "work"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps({"name": "count", "arguments": {"table": "feedback"}}))
    (folder / "b.json").write_text("{torn")
    assert work.run(deps, START) == 2
    assert left(deps) == ["a.done.json", "b.done.json"]
    assert json.loads((folder / "a.done.json").read_text())["answer"]["rows"] == 0
    assert "error" in json.loads((folder / "b.done.json").read_text())
    assert work.run(deps, START) == 0


def test_answers_that_nobody_takes_are_tidied_after_a_day(deps: Deps) -> None:
    folder = deps.home / "work"
    folder.mkdir()
    old, new = folder / "old.done.json", folder / "new.done.json"
    for path, age in ((old, timedelta(hours=25)), (new, timedelta(hours=1))):
        path.write_text("{}")
        stamp = (datetime.now(UTC) - age).timestamp()
        os.utime(path, (stamp, stamp))
    work.run(deps, datetime.now(UTC))
    assert left(deps) == ["new.done.json"]
