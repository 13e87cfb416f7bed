"""Requests to the control process through the workspace: asked, worked off, answered, and survived."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from controlplane.store.facts import ingest_file
from jobs import inbox, ingest, requests
from jobs.deps import Deps
from tests.jobs.conftest import START
from tests.store.facts_world import interaction, write_lines


class NobodyAnswers(Exception):
    """The asker has had enough."""


def give_up() -> None:
    raise NobodyAnswers


def working(deps: Deps) -> Callable[[], None]:
    """A wait in which the control process does one heartbeat."""

    def wait() -> None:
        inbox.run(deps, START)

    return wait


def left(deps: Deps) -> list[str]:
    return [path.name for path in (deps.home / "inbox").iterdir()]


def count(deps: Deps) -> int:
    with deps.warehouse.cursor() as cursor:
        return int(cursor.execute("SELECT count(*) FROM interactions").fetchall()[0][0])


def test_a_request_is_carried_out_and_answered_and_nothing_stays(deps: Deps, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [interaction(1, ts="2026-01-05T08:00:00Z"), "torn"])
    answer = inbox.ask(deps.home, [log], None, working(deps))
    assert answer == {"read": 2, "stored": 1, "duplicates": 0, "quarantined": 1}
    assert left(deps) == []
    assert count(deps) == 1


def test_without_requests_there_is_nothing_to_do(deps: Deps) -> None:
    assert inbox.run(deps, START) == 0
    assert not (deps.home / "inbox").exists()


def test_paths_and_maps_are_those_of_the_askers_folder(
    deps: Deps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker, control = tmp_path / "asker", tmp_path / "control"
    asker.mkdir()
    control.mkdir()
    (asker / "export.csv").write_text("id,session,n,group\n1,s1,1,assistant\n")
    columns = 'interaction_id = "id"\nconversation_id = "session"\nturn = "n"\narm = "group"\n'
    (asker / "desk.toml").write_text(f"version = 1\n[fields]\n{columns}")

    def elsewhere() -> None:
        monkeypatch.chdir(control)
        inbox.run(deps, START)

    monkeypatch.chdir(asker)
    answer = inbox.ask(deps.home, [Path("export.csv")], "desk.toml", elsewhere)
    assert answer == {"read": 1, "stored": 1, "duplicates": 0, "quarantined": 0}


@pytest.mark.parametrize(
    ("name", "map_name", "words"),
    [
        ("missing.jsonl", None, "missing.jsonl does not exist"),
        ("empty.jsonl", None, "is empty"),
        ("log.jsonl", "no_such_map", "no_such_map"),
        ("log.jsonl.gz", None, "log.jsonl.gz"),
    ],
)
def test_bad_input_is_an_answer(deps: Deps, tmp_path: Path, name: str, map_name: str | None, words: str) -> None:
    (tmp_path / "empty.jsonl").touch()
    write_lines(tmp_path / "log.jsonl", [interaction(1)])
    (tmp_path / "log.jsonl.gz").write_text("no gzip")
    answer = inbox.ask(deps.home, [tmp_path / name], map_name, working(deps))
    assert words in answer["error"]
    assert left(deps) == []


@pytest.mark.parametrize(
    "request_text", ["{torn", "[]", "{}", '{"paths": 3, "map": null}', '{"paths": ["\\u0000"], "map": null}']
)
def test_a_request_that_makes_no_sense_does_not_stop_the_heartbeat(
    deps: Deps, tmp_path: Path, request_text: str
) -> None:
    """It is answered and gone, and the ones behind it are served."""
    folder = deps.home / "inbox"
    folder.mkdir()
    (folder / "0.json").write_text(request_text)
    log = write_lines(tmp_path / "log.jsonl", [interaction(1, ts="2026-01-05T08:00:00Z")])
    assert inbox.ask(deps.home, [log], None, working(deps))["stored"] == 1
    assert left(deps) == ["0.done.json"]
    assert json.loads((folder / "0.done.json").read_text())["error"]
    assert inbox.run(deps, START) == 0


def test_killed_between_the_answer_and_the_tidying_it_is_only_done_again(
    deps: Deps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request stays until its answer is written; done twice, nothing is stored twice."""
    log = write_lines(tmp_path / "log.jsonl", [interaction(1, ts="2026-01-05T08:00:00Z")])

    def killed(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        folder = deps.home / "inbox"
        folder.mkdir()
        (folder / "1.json").write_text(json.dumps({"paths": [str(log)], "map": None}))
        patch.setattr(requests, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            inbox.run(deps, START)
    assert left(deps) == ["1.json"]
    assert inbox.run(deps, START) == 1
    assert json.loads((folder / "1.done.json").read_text()) == {
        "read": 1,
        "stored": 0,
        "duplicates": 1,
        "quarantined": 0,
    }
    assert count(deps) == 1


def test_who_stops_waiting_takes_the_request_back(deps: Deps, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [interaction(1)])
    with pytest.raises(NobodyAnswers):
        inbox.ask(deps.home, [log], None, give_up)
    assert left(deps) == []
    assert inbox.run(deps, START) == 0


def test_other_work_is_done_between_the_parts_of_a_large_file(
    deps: Deps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part is stored for good before the judging looks, so that it sees it and may write itself."""
    monkeypatch.setattr(ingest, "ingest_file", partial(ingest_file, slice_bytes=600))
    log = write_lines(tmp_path / "log.jsonl", [interaction(n, f"c{n}", ts="2026-01-05T08:00:00Z") for n in range(8)])
    seen: list[int] = []

    def between() -> None:
        seen.append(count(deps))
        with deps.warehouse.cursor() as cursor:
            cursor.execute("CREATE OR REPLACE TABLE judged AS SELECT count(*) AS n FROM interactions")

    def wait() -> None:
        inbox.run(deps, START, between)

    answer = inbox.ask(deps.home, [log], None, wait)
    assert answer["stored"] == 8
    assert seen == sorted(seen)
    assert 0 < seen[0] < 8 == seen[-1]


def test_answers_that_nobody_took_are_tidied_after_a_day(deps: Deps) -> None:
    folder = deps.home / "inbox"
    folder.mkdir()
    for name, age in (("old", timedelta(hours=25)), ("new", timedelta(hours=1))):
        path = folder / f"{name}.done.json"
        path.write_text("{}")
        moment = (START - age).timestamp()
        os.utime(path, (moment, moment))
    assert inbox.run(deps, START) == 0
    assert left(deps) == ["new.done.json"]
