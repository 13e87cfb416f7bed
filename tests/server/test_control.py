"""Actions, queries, status, health, metrics, who may do what, and what an error shows."""

import io
import json
import logging
import threading
from datetime import timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from controlplane.core.rollout import IllegalTransition
from controlplane.server.app import create_app
from controlplane.server.auth import PERMISSIONS, Doorkeeper, Permission
from controlplane.server.edge import plain, strict_json
from controlplane.server.serve import ControlServer, ServerError
from controlplane.server.services import ActionRequest, ControlAction, Role

from .conftest import TOKENS, Serve, World, bearer

WISH = {"actor": "dana", "reason": "looks wrong"}
SAFER = ("hold", "rollback", "disable-execution")
GROW = ("resume", "promote", "enable-execution")


@pytest.mark.parametrize("action", list(ControlAction))
def test_an_action_reaches_its_handler_with_who_and_why(
    calm: httpx.Client, calm_world: World, action: ControlAction
) -> None:
    answer = calm.post(f"/v1/actions/{action}", json={**WISH, "expected_version": 3})
    assert answer.json() == {"done": str(action), "at": "2026-01-05T09:00:00+00:00"}
    assert calm_world.wishes.pop() == ActionRequest(action, "dana", "looks wrong", Role.ADMIN, 3)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "r"}, "actor"),
        ({"actor": "dana"}, "reason"),
        ({"actor": "  ", "reason": "r"}, "actor"),
        ({"actor": "dana", "reason": 3}, "reason"),
        ({"actor": "x" * 201, "reason": "r"}, "actor"),
        ({**WISH, "expected_version": "3"}, "expected_version"),
        ({**WISH, "expected_version": True}, "expected_version"),
        ({**WISH, "force": True}, "force"),
    ],
)
def test_a_wish_without_a_name_or_reason_is_refused(
    calm: httpx.Client, calm_world: World, body: dict[str, object], field: str
) -> None:
    answer = calm.post("/v1/actions/hold", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert calm_world.wishes == []


def test_an_unknown_action_is_named_with_the_known_ones(calm: httpx.Client) -> None:
    answer = calm.post("/v1/actions/explode", json=WISH)
    assert answer.status_code == 404
    assert "hold, resume, rollback" in answer.json()["message"]


def test_what_is_not_possible_now_is_a_sentence_and_409(api: httpx.Client, serve: Serve) -> None:
    answer = api.post("/v1/actions/promote", json={**WISH, "reason": "impossible"})
    assert (answer.status_code, answer.json()["error"]) == (409, "refused")
    assert "certificate" in answer.json()["message"]

    def illegal(_wish: ActionRequest) -> dict[str, object]:
        raise IllegalTransition("a rollout that is ROLLED_BACK does not take the event 'promote'")

    assert serve(act=illegal).post("/v1/actions/promote", json=WISH).status_code == 409


def test_an_internal_error_shows_a_reference_and_nothing_else(
    api: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = api.post("/v1/actions/hold", json={**WISH, "reason": "crash"})
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "KeyError" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    logged = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert answer.json()["reference"] in logged.getMessage()
    assert logged.exc_info is not None


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_do_what_its_row_says(serve: Serve, world: World, role: Role) -> None:
    client = serve(role)
    can = PERMISSIONS[role]
    for names, permission in ((SAFER, Permission.CONTAIN), (GROW, Permission.GROW)):
        for name in names:
            answer = client.post(f"/v1/actions/{name}", json=WISH)
            assert answer.status_code == (200 if permission in can else 403), name
            if answer.status_code == 403:
                assert f"this token has the role {role}" in answer.json()["message"]
    assert client.post("/v1/sql", json={"query": "SELECT 1"}).status_code == (200 if Permission.QUERY in can else 403)
    for path in ("/v1/status", "/metrics"):
        assert client.get(path).status_code == (200 if Permission.LOOK in can else 403)


def test_only_approvers_let_it_grow_and_viewers_touch_nothing() -> None:
    assert {role for role, can in PERMISSIONS.items() if Permission.GROW in can} == {Role.APPROVER, Role.ADMIN}
    assert PERMISSIONS[Role.VIEWER] == {Permission.FLAGS, Permission.LOOK}
    assert set(PERMISSIONS) == set(Role)


def test_every_route_but_health_is_closed_without_a_known_token(serve: Serve, world: World) -> None:
    client = serve(None)
    app = create_app(world.services())
    paths = [(route.path, method) for route in app.routes if isinstance(route, Route) for method in route.methods or ()]
    assert len(paths) > 10
    for path, method in paths:
        wanted = 200 if path in ("/healthz", "/readyz") else 401
        url = path.replace("{key}", "arm").replace("{action}", "rollback")
        answer = client.request(method, url)
        assert answer.status_code == wanted, (method, path)
        if wanted == 401 and method != "HEAD":
            assert answer.json()["error"] == "unauthorized"
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert world.wishes == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer wrong",
        "Basic admin-token-0123456789",
        "admin-token-0123456789",
        "Bearer admin-token-012345678",
        "Bearer é",
    ],
)
def test_anything_but_a_known_bearer_token_is_unknown(calm: httpx.Client, header: str) -> None:
    answer = calm.get("/v1/status", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401


@given(st.text(min_size=8, max_size=40))
def test_no_guess_has_a_role(guess: str) -> None:
    keeper = Doorkeeper({"right-token-1": Role.ADMIN})
    assert keeper._role_of(guess.encode()) == (Role.ADMIN if guess == "right-token-1" else None)


def test_a_token_that_is_easily_guessed_is_refused_at_the_start(world: World) -> None:
    with pytest.raises(ValueError, match="less than 8 characters"):
        create_app(world.services(tokens={"": Role.ADMIN}))
    assert "0123456789" not in repr(world.services())


def test_a_query_answers_plain_json_rows_up_to_its_limit(calm: httpx.Client) -> None:
    answer = calm.post("/v1/sql", json={"query": "SELECT n", "limit": 2}).json()
    assert answer == {
        "columns": ["n", "ts", "x", "b", "nothing"],
        "rows": [
            [0, "2026-01-05T09:00:00+00:00", None, "01", None],
            [1, "2026-01-05T09:00:00+00:00", None, "01", None],
        ],
        "truncated": True,
    }
    assert len(calm.post("/v1/sql", json={"query": "SELECT n"}).json()["rows"]) == 50


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"query": "DROP TABLE facts"}, 400, "query"),
        ({"query": ""}, 422, "query"),
        ({}, 422, "query"),
        ({"query": "SELECT 1", "limit": 0}, 422, "limit"),
        ({"query": "SELECT 1", "limit": 51}, 422, "limit"),
        ({"query": "SELECT 1", "write": True}, 422, "write"),
    ],
)
def test_a_wrong_query_is_a_message(calm: httpx.Client, body: dict[str, object], status: int, field: str) -> None:
    answer = calm.post("/v1/sql", json=body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


def test_status_and_paths_that_are_not_there(calm: httpx.Client) -> None:
    assert calm.get("/v1/status").json() == {"release": "2026.2", "since": "2026-01-05T09:00:00+00:00"}
    missing = calm.get("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")
    wrong = calm.get("/v1/sql")
    assert (wrong.status_code, wrong.json()["error"], wrong.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_every_answer_has_the_security_headers(calm: httpx.Client) -> None:
    for answer in (
        calm.get("/healthz"),
        calm.get("/nowhere"),
        calm.post("/v1/sql", content=b"{"),
        calm.get("/metrics"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


def test_health_and_readiness(serve: Serve, world: World) -> None:
    client = serve(None, max_data_age_seconds=60)
    assert client.get("/healthz").json() == {"alive": True}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"], ready.json()["data_age_seconds"]) == (200, True, 40.0)
    world.now += timedelta(seconds=30)
    stale = client.get("/readyz")
    assert (stale.status_code, stale.json()["reason"]) == (503, "no data within 60 s")
    world.failing = "IngestError: /secret/disk is full"
    failing = client.get("/readyz")
    assert (failing.status_code, failing.json()["ready"]) == (503, False)
    assert failing.json()["reason"] == "no data within 60 s; the last heartbeat failed; the log says why"
    world.broken = True
    broken = client.get("/readyz")
    assert (broken.status_code, broken.json()["ready"]) == (503, False)
    assert "secret" not in broken.text
    assert client.get("/healthz").status_code == 200


def test_metrics_are_prometheus_text(api: httpx.Client, world: World) -> None:
    answer = api.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    for line in (
        "controlplane_state_readable 1",
        "controlplane_heartbeat_failing 0",
        "controlplane_heartbeat_age_seconds 0",
        "controlplane_rollout_version 1",
        "controlplane_rollout_share 0.5",
        "controlplane_execution_enabled 1",
        "controlplane_data_age_seconds 40",
        "controlplane_outbox_depth 3",
        "controlplane_outbox_dead 1",
    ):
        assert line in lines
    states = [line for line in lines if line.startswith("controlplane_rollout_state{")]
    assert len(states) == 4
    assert [line[-1] for line in states if 'state="RUNNING"' in line] == ["1"]
    assert 'release="2026.2 \\"beta\\""' in states[0]
    for name in {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}:
        assert f"# TYPE {name} gauge" in lines
    world.broken = True
    assert api.get("/metrics").text.splitlines()[-1] == "controlplane_state_readable 0"


def test_values_that_json_lacks_become_text() -> None:
    assert plain({"x": float("inf"), 3: {1}, "t": timedelta(seconds=2), "o": io}) == {
        "x": None,
        "3": [1],
        "t": 2.0,
        "o": str(io),
    }


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(), max_size=9),
        lambda i: st.lists(i, max_size=4) | st.dictionaries(st.text(max_size=5), i, max_size=4),
        max_leaves=10,
    )
)
def test_json_that_is_accepted_can_be_stored(value: object) -> None:
    text = json.dumps(value)
    try:
        read = strict_json(text.encode())
    except ValueError:
        with pytest.raises(UnicodeEncodeError):
            json.dumps(value, ensure_ascii=False).encode()
    else:
        assert read == value


def test_a_port_in_use_is_said_with_a_remedy(world: World) -> None:
    with (
        ControlServer(create_app(world.services())) as first,
        pytest.raises(ServerError, match=rf"port {first.port} on 127\.0\.0\.1 is in use.*CONTROLPLANE_PORT"),
    ):
        ControlServer(create_app(world.services()), first.port)


def test_a_stopped_server_frees_its_port_and_stops_twice(world: World) -> None:
    server = ControlServer(create_app(world.services())).start()
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/healthz").status_code == 200
        server.stop()
        server.stop()
        with pytest.raises(httpx.TransportError):
            client.get("/healthz")
    with ControlServer(create_app(world.services()), server.port) as again:
        assert httpx.get(f"{again.url}/healthz").status_code == 200


def test_an_application_that_cannot_start_is_an_error_of_the_start() -> None:
    server = ControlServer("no_such_module:app")  # type: ignore[arg-type]
    with pytest.raises(ServerError, match="did not start"):
        server.start()


def test_a_request_that_runs_is_finished_before_the_server_stops(world: World) -> None:
    started, release = threading.Event(), threading.Event()

    def slow() -> dict[str, object]:
        started.set()
        release.wait(5)
        return {"done": True}

    server = ControlServer(create_app(world.services(status=slow))).start()
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(httpx.get(f"{server.url}/v1/status", headers=bearer(Role.VIEWER), timeout=10))
    )
    asking.start()
    assert started.wait(5)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    release.set()
    asking.join(10)
    stopping.join(10)
    assert answers[0].json() == {"done": True}
    assert len(TOKENS) == 5
