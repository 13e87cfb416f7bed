"""Feedback and records: durable and masked before they are acknowledged, or refused with the field or line."""

import json
import socket
from datetime import timedelta
from typing import Any

import httpx
import pytest

from controlplane.server.services import Role
from controlplane.store.landing import LandingError

from .conftest import Serve, World

GOOD = {"conversation_id": "conv-1", "csat": 4, "resolved": True, "comment": "Thanks"}


def test_feedback_is_on_disk_and_masked_before_it_is_acknowledged(api: httpx.Client, world: World) -> None:
    world.now += timedelta(seconds=7)
    answer = api.post("/v1/feedback", json={**GOOD, "comment": "mail me at dana@example.com"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "feedback_id": "id-1"})
    (record,) = world.landed()
    assert "dana@example.com" not in json.dumps(record)
    del record["comment"]
    assert record == {
        "record": "feedback",
        "feedback_id": "id-1",
        "ts": "2026-01-05T09:00:07Z",
        "conversation_id": "conv-1",
        "csat": 4,
        "resolved": True,
    }


def test_a_feedback_id_of_the_sender_is_kept(api: httpx.Client, world: World) -> None:
    assert api.post("/v1/feedback", json={**GOOD, "feedback_id": "mine"}).json()["feedback_id"] == "mine"
    assert world.landed()[0]["feedback_id"] == "mine"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"conversation_id": None}, "conversation_id"),
        ({"conversation_id": "   "}, "conversation_id"),
        ({"conversation_id": 5}, "conversation_id"),
        ({"conversation_id": "x" * 201}, "conversation_id"),
        ({"csat": 0}, "csat"),
        ({"csat": 6}, "csat"),
        ({"csat": 4.5}, "csat"),
        ({"csat": True}, "csat"),
        ({"csat": "5"}, "csat"),
        ({"resolved": 1}, "resolved"),
        ({"resolved": "yes"}, "resolved"),
        ({"comment": 3}, "comment"),
        ({"comment": "x" * 4_001}, "comment"),
        ({"feedback_id": ""}, "feedback_id"),
        ({"rating": 3}, "rating"),
        ({"csat": None, "resolved": None, "comment": None}, "csat"),
    ],
)
def test_wrong_feedback_names_the_field_and_is_not_stored(
    calm: httpx.Client, calm_world: World, change: dict[str, Any], field: str
) -> None:
    before = calm_world.landed()
    answer = calm.post("/v1/feedback", json={**GOOD, **change})
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert field in answer.json()["message"]
    assert calm_world.landed() == before


def test_all_problems_are_told_at_once(calm: httpx.Client) -> None:
    problems = calm.post("/v1/feedback", json={"csat": 9, "resolved": 1, "stars": 2}).json()["problems"]
    assert set(problems) == {"stars", "conversation_id", "csat", "resolved"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"text"', b"null", b'{"csat": Infinity}', b'{"csat": 1e999}', b"{'a': 1}"]
)
def test_feedback_that_is_no_json_object_is_refused(calm: httpx.Client, body: bytes) -> None:
    answer = calm.post("/v1/feedback", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_json")


def test_records_land_as_they_came(api: httpx.Client, world: World) -> None:
    records = [
        {"record": "heartbeat", "ts": "2026-01-05T09:00:00Z", "source": "s"},
        {"interaction_id": "i", "question": "späť"},
    ]
    body = "\n\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\r\n"
    assert api.post("/v1/records", content=body.encode()).json() == {"accepted": 2}
    assert world.landed() == records
    assert api.post("/v1/records", content=b"\n \n").json() == {"accepted": 0}


@pytest.mark.parametrize(
    ("body", "line"),
    [(b'{"a": 1}\n{"torn', 2), (b'{"a": 1}\n\n[1]', 3), (b'{"a": NaN}', 1), (b'{"a": "\\ud83d"}', 1), (b"\xff", 1)],
)
def test_a_line_that_is_no_object_refuses_all_and_is_named(
    calm: httpx.Client, calm_world: World, body: bytes, line: int
) -> None:
    before = calm_world.landed()
    answer = calm.post("/v1/records", content=body)
    assert (answer.status_code, answer.json()["line"]) == (400, line)
    assert calm_world.landed() == before


def test_sizes_are_limited(api: httpx.Client, world: World) -> None:
    assert api.post("/v1/records", content=b"x" * 200_001).status_code == 413
    assert api.post("/v1/records", content=b"{}\n" * 101).status_code == 413
    assert api.post("/v1/records", content=b"{}\n" * 100).status_code == 202
    assert api.post("/v1/feedback", content=b" " * 70_000).status_code == 413
    assert len(world.landed()) == 100


def test_a_body_without_a_declared_length_is_limited_too(calm: httpx.Client) -> None:
    endless = (b"x" * 10_000 for _ in range(1_000))
    try:
        status = calm.post("/v1/records", content=endless).status_code
    except httpx.WriteError:
        status = 413  # the server closed the connection while we were still sending
    assert status == 413
    assert calm.get("/healthz").status_code == 200


def test_a_compressed_body_is_refused(calm: httpx.Client) -> None:
    answer = calm.post("/v1/records", content=b"{}", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_encoding")


def test_deep_nesting_is_refused_and_nothing_breaks(calm: httpx.Client) -> None:
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    assert calm.post("/v1/records", content=deep).status_code in (202, 400)
    assert calm.post("/v1/records", content=b'{"a":' * 30_000 + b"1" + b"}" * 30_000).status_code == 400
    assert calm.get("/healthz").status_code == 200


@pytest.mark.parametrize("problem", [OSError("No space left on device: /secret"), LandingError("closed: /secret")])
def test_what_the_disk_did_not_take_is_not_acknowledged(serve: Serve, problem: Exception) -> None:
    class Full:
        def write(self, records: object) -> int:
            raise problem

    client = serve(landing=Full())
    for path, body in (("/v1/feedback", GOOD), ("/v1/records", GOOD)):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "not acknowledged" in answer.json()["message"]
        assert "secret" not in answer.text


def test_a_viewer_cannot_send_and_a_producer_can_do_nothing_else(serve: Serve) -> None:
    viewer, producer = serve(Role.VIEWER), serve(Role.PRODUCER)
    assert viewer.post("/v1/feedback", json=GOOD).status_code == 403
    assert producer.post("/v1/feedback", json=GOOD).status_code == 202
    for path in ("/v1/actions/rollback", "/v1/sql"):
        assert producer.post(path, json={}).status_code == 403
    for path in ("/v1/status", "/metrics"):
        assert producer.get(path).status_code == 403


def test_a_client_that_goes_away_leaves_the_server_well(calm: httpx.Client) -> None:
    address = (calm.base_url.host, calm.base_url.port)
    for _ in range(3):
        with socket.create_connection(address) as half:
            half.sendall(b"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n")
            half.sendall(b"Authorization: Bearer admin-token-0123456789\r\n\r\n{}")
        assert calm.get("/healthz").status_code == 200
