"""What pages ask of a running control process: questions at once, long work as tasks, each by its permission."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from controlplane.core.roles import Permission, Role
from controlplane.server.app import create_app
from controlplane.server.serve import ControlServer
from controlplane.server.services import ActionRefused, QueryRefused, Services
from dashboards import control
from dashboards.config import Config
from jobs import asking, asking_arguments
from jobs.asking import ASKS, Ask, Desk
from jobs.deps import Deps
from jobs.refused import Refused

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
DEPS = cast(Deps, "deps")
go_on = threading.Event()


def double(deps: Deps, now: datetime, number: int) -> Mapping[str, Any]:
    if number < 0:
        raise ValueError("number: must not be negative")
    return {"twice": 2 * number, "at": now, "deps": deps}


def sign(_deps: Deps, _now: datetime, actor: str, name: str) -> Mapping[str, Any]:
    if name == "taken":
        raise Refused("it is taken; choose another")
    return {"by": actor, "name": name}


def gone(_deps: Deps, _now: datetime) -> Mapping[str, Any]:
    raise FileNotFoundError(2, "No such file or directory", "/somebodys/home/secret.json")


def slow(_deps: Deps, _now: datetime, fail: str = "", progress: Callable[[float, str], None] = lambda *_: None) -> Any:
    progress(0.25, "a quarter")
    assert go_on.wait(30)
    if fail == "refused":
        raise Refused("not today")
    if fail == "bug":
        raise RuntimeError("secret inside")
    return {"done": True}


TABLE = {
    "double": Ask(f"{__name__}:double", Permission.QUERY),
    "sign": Ask(f"{__name__}:sign", Permission.SIGN, signed=True),
    "slow": Ask(f"{__name__}:slow", Permission.QUERY, long=True),
    "gone": Ask(f"{__name__}:gone", Permission.QUERY, long=True),
}


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    here = {"double": double, "sign": sign, "slow": slow, "gone": gone}
    monkeypatch.setattr(asking, "_function", lambda name: here[name.partition(":")[2]])
    go_on.clear()
    found = Desk(DEPS, lambda: NOW, TABLE)
    yield found
    go_on.set()
    found.close()


def settled(desk: Desk, task_id: str) -> Mapping[str, Any]:
    deadline = time.monotonic() + 30
    while (found := desk.task(task_id)) and found["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert found is not None
    return found


def test_a_quick_question_is_answered_as_json(desk: Desk) -> None:
    assert desk.ask("double", {"number": 4}, "") == {
        "answer": {"twice": 8, "at": "2026-01-05T09:00:00Z", "deps": "deps"}
    }


@pytest.mark.parametrize(
    ("name", "arguments", "actor", "error", "words"),
    [
        ("double", {"number": -1}, "", QueryRefused, "must not be negative"),
        ("double", {"number": 1, "nubmer": 1}, "", QueryRefused, "nubmer"),
        ("double", {"number": "'; DROP TABLE audit"}, "", QueryRefused, "number: must be a whole number"),
        ("double", {"number": True}, "", QueryRefused, "number: must be a whole number"),
        ("double", {"number": 10**400}, "", QueryRefused, "number: must be finite"),
        ("double", {"number": None}, "", QueryRefused, "number: must be"),
        ("double", {"number": 1, "deps": "mine"}, "", QueryRefused, "'deps' is not known"),
        ("slow", {"progress": "mine"}, "", QueryRefused, "'progress' is not known"),
        ("sign", {"name": ["x"]}, "ana", QueryRefused, "name: must be a text"),
        ("sign", {"name": "x" * 10_000}, "ana", QueryRefused, "name: is longer"),
        ("sign", {"name": "a\0b"}, "ana", QueryRefused, "name: has a character"),
        ("double", {}, "", QueryRefused, "number"),
        ("sign", {"name": "x"}, "", QueryRefused, "actor: needed"),
        ("sign", {"name": "x", "actor": "forged"}, "", QueryRefused, "actor: needed"),
        ("sign", {"name": "taken"}, "ana", ActionRefused, "choose another"),
    ],
)
def test_what_cannot_be_asked_is_said(
    desk: Desk, name: str, arguments: dict[str, Any], actor: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        desk.ask(name, arguments, actor)


def test_who_asks_comes_from_the_asker_and_not_from_the_arguments(desk: Desk) -> None:
    assert desk.ask("sign", {"name": "x", "actor": "forged"}, "ana")["answer"] == {"by": "ana", "name": "x"}


def test_long_work_is_a_task_with_progress(desk: Desk) -> None:
    task_id = desk.ask("slow", {}, "")["task"]
    deadline = time.monotonic() + 30
    while (seen := desk.task(task_id)) and seen["part"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert seen is not None
    assert (seen["state"], seen["part"], seen["text"]) == ("running", 0.25, "a quarter")
    second = desk.ask("slow", {}, "")["task"]
    waiting = desk.task(second)
    assert waiting is not None
    assert waiting["state"] == "waiting"
    go_on.set()
    assert settled(desk, task_id)["answer"] == {"done": True}
    assert settled(desk, second)["state"] == "done"


def test_only_so_much_waits(desk: Desk) -> None:
    running = desk.ask("slow", {}, "")["task"]
    deadline = time.monotonic() + 30
    while (seen := desk.task(running)) and seen["state"] == "waiting":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    waiting = [desk.ask("slow", {}, "")["task"] for _ in range(asking.MOST_WAITING)]
    with pytest.raises(ActionRefused, match="waiting already"):
        desk.ask("slow", {}, "")
    go_on.set()
    assert settled(desk, waiting[-1])["state"] == "done"


def test_a_task_that_fails_says_why_and_hides_the_inside(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    go_on.set()
    refused = settled(desk, desk.ask("slow", {"fail": "refused"}, "")["task"])
    assert (refused["state"], refused["text"]) == ("refused", "not today")
    assert settled(desk, desk.ask("gone", {}, "")["task"])["text"] == "No such file or directory"
    broken = settled(desk, desk.ask("slow", {"fail": "bug"}, "")["task"])
    assert broken["state"] == "failed"
    assert "secret" not in broken["text"]
    assert broken["text"].split()[-1] in caplog.text


ATTACKS = (
    None,
    True,
    -1,
    10**400,
    1e308,
    "",
    "x" * 100_000,
    "'; --",
    "\0",
    [],
    [None],
    [["a"]],
    ["a"] * 5_000,
    {},
    {"a": 1},
    "0001-01-01T00:00:00+14:00",
)


@pytest.mark.parametrize("name", ASKS)
def test_every_question_says_of_all_its_arguments_what_they_are(name: str) -> None:
    function = asking._function(ASKS[name].function)
    known = asking_arguments._annotations(function)
    assert all(one.kind is not one.VAR_KEYWORD for one in inspect.signature(function).parameters.values())
    assert "actor" in known or not ASKS[name].signed
    for argument in known:
        found = [asking_arguments._wrong(attack, known[argument]) for attack in ATTACKS]
        assert len([why for why in found if why]) >= 10, argument  # whatever its kind is, most attacks are of another


@pytest.fixture
def served(desk: Desk) -> Iterator[str]:
    services = Services(
        flags=cast(Any, None),
        landing=cast(Any, None),
        vitals=cast(Any, None),
        status=cast(Any, None),
        act=cast(Any, None),
        sql=cast(Any, None),
        clock=lambda: NOW,
        new_id=lambda: "id",
        tokens={"admins-token": Role.ADMIN, "viewers-token": Role.VIEWER},
        asking=desk,
    )
    with ControlServer(create_app(services), 0) as server:
        yield server.url


def test_the_dashboards_ask_over_http(served: str) -> None:
    config = Config(Path(), served, "admins-token")
    assert control.ask(config, Role.OPERATOR, "double", {"number": 2}).answer == {
        "twice": 4,
        "at": "2026-01-05T09:00:00Z",
        "deps": "deps",
    }
    assert control.ask(config, Role.ADMIN, "sign", {"name": "x"}, "ana").answer == {"by": "ana", "name": "x"}
    go_on.set()
    begun = control.ask(config, Role.OPERATOR, "slow", {})
    assert begun.task is not None
    deadline = time.monotonic() + 30
    while not (progress := control.task(config, Role.OPERATOR, begun.task)).over:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert progress.answer == {"done": True}
    peeked = control.task(config, Role.VIEWER, begun.task)  # an answer takes what asking for it took
    assert (peeked.state, peeked.answer) == ("lost", None)
    assert "you have the role viewer" in peeked.text


@pytest.mark.parametrize(
    ("token", "role", "name", "words"),
    [
        ("admins-token", Role.VIEWER, "double", "you have the role viewer"),
        ("admins-token", Role.OPERATOR, "sign", "you have the role operator"),
        ("viewers-token", Role.ADMIN, "double", "this token has the role viewer"),
        ("admins-token", Role.ADMIN, "nothing", "nothing called 'nothing'"),
        ("a-strangers-token", Role.ADMIN, "double", "a known token is needed"),
    ],
)
def test_nobody_is_answered_beyond_both_roles(served: str, token: str, role: Role, name: str, words: str) -> None:
    found = control.ask(Config(Path(), served, token), role, name, {"number": 1, "name": "x"}, "ana")
    assert not found.done
    assert words in found.text


def test_an_unknown_role_opens_nothing(served: str) -> None:
    headers = {"Authorization": "Bearer admins-token", "X-Controlplane-Role": "root"}
    found = httpx.post(f"{served}/v1/ask/double", json={"arguments": {"number": 1}}, headers=headers)
    assert (found.status_code, found.json()["message"][:24]) == (403, "there is no role 'root';")


def test_without_a_log_in_nothing_is_asked() -> None:
    assert "Read-only" in control.ask(Config(Path()), Role.ADMIN, "double", {}).text
    assert "Read-only" in control.ask(Config(Path(), "http://127.0.0.1:9", "a-token"), None, "double", {}).text
    assert control.task(Config(Path()), Role.ADMIN, "x").over
    silent = control.ask(Config(Path(), "http://127.0.0.1:9", "a-token"), Role.ADMIN, "double", {})
    assert "did not answer" in silent.text


def test_a_task_that_is_not_known_is_lost(served: str) -> None:
    found = control.task(Config(Path(), served, "admins-token"), Role.ADMIN, "0" * 32)
    assert found.state == "lost"
    assert "ask again" in found.text
