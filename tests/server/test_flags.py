"""OFREP over real HTTP, and a real OpenFeature client."""

import json
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import httpx
import openfeature.api
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason

from controlplane.core.model import RolloutState
from controlplane.server.app import create_app
from controlplane.server.serve import ControlServer
from controlplane.server.services import Limits, Role

from .conftest import NOW, Serve, World, bearer

ARM = "/ofrep/v1/evaluate/flags/arm"
EXECUTION = "/ofrep/v1/evaluate/flags/execution_enabled"
ALL = "/ofrep/v1/evaluate/flags"


def context(key: str = "customer-1", **more: object) -> dict[str, object]:
    return {"context": {"targetingKey": key, **more}}


def test_half_of_the_customers_get_the_assistant_and_keep_it(api: httpx.Client, world: World) -> None:
    def arms() -> list[str]:
        return [api.post(ARM, json=context(f"customer-{n}")).json()["value"] for n in range(60)]

    first = arms()
    assert 15 <= first.count("assistant") <= 45
    world.now += timedelta(seconds=2)
    assert arms() == first


def test_an_answer_carries_what_an_exposure_record_needs(calm: httpx.Client) -> None:
    answer = calm.post(ARM, json=context(segment="retail", intent="fees", employee=False)).json()
    assert answer["key"] == "arm"
    assert answer["reason"] == "SPLIT"
    assert answer["variant"] == answer["value"]
    metadata = answer["metadata"]
    assert metadata["version"] == "1"
    assert metadata["flagSetId"] == metadata["rollout_id"] == "ro-1"
    assert (metadata["flag_version"], metadata["release"], metadata["share"]) == (1, '2026.2 "beta"', 0.5)
    assert metadata["eligible"] is True


@pytest.mark.parametrize(("attribute", "reason"), [("mandatory_person", "mandatory_person"), ("employee", "employee")])
def test_who_is_excluded_gets_the_baseline_with_the_reason(calm: httpx.Client, attribute: str, reason: str) -> None:
    answer = calm.post(ARM, json=context(**{attribute: True})).json()
    assert (answer["value"], answer["reason"]) == ("baseline", "TARGETING_MATCH")
    assert answer["metadata"]["ineligible_reason"] == reason


def test_a_rollback_is_served_within_a_second(api: httpx.Client, world: World) -> None:
    assert "assistant" in {api.post(ARM, json=context(f"c{n}")).json()["value"] for n in range(20)}
    world.change(state=RolloutState.ROLLED_BACK, share=0.0, execution_enabled=False)
    world.now += timedelta(seconds=1)
    for n in range(20):
        answer = api.post(ARM, json=context(f"c{n}")).json()
        assert (answer["value"], answer["reason"], answer["metadata"]["flag_version"]) == ("baseline", "DISABLED", 2)
    off = api.post(EXECUTION, json=context()).json()
    assert (off["value"], off["variant"], off["reason"]) == (False, "off", "DISABLED")


def test_execution_can_be_switched_off_alone(api: httpx.Client, world: World) -> None:
    on = api.post(EXECUTION, json=context()).json()
    assert (on["value"], on["variant"], on["reason"]) == (True, "on", "TARGETING_MATCH")
    world.change(execution_enabled=False)
    world.now += timedelta(seconds=1)
    assert api.post(EXECUTION, json=context()).json()["value"] is False


def test_a_state_that_cannot_be_read_grows_stale_and_serves_the_baseline(api: httpx.Client, world: World) -> None:
    served = {api.post(ARM, json=context(f"c{n}")).json()["value"] for n in range(20)}
    assert "assistant" in served
    world.broken = True
    world.now += timedelta(seconds=6)
    for n in range(20):
        answer = api.post(ARM, json=context(f"c{n}")).json()
        assert (answer["value"], answer["reason"]) == ("baseline", "STALE")
    assert api.post(EXECUTION, json=context()).json()["value"] is False


def test_a_state_that_could_never_be_read_is_an_error_and_the_baseline(serve: Serve, world: World) -> None:
    world.broken = True
    answer = serve().post(ARM, json=context()).json()
    assert (answer["value"], answer["reason"], answer["metadata"]["flag_version"]) == ("baseline", "ERROR", 0)


def test_a_flag_reader_that_breaks_serves_the_baseline(serve: Serve) -> None:
    class Broken:
        def evaluate(self, unit: object, now: object) -> object:
            raise RuntimeError("secret inside")

    answer = serve(flags=Broken()).post(ARM, json=context())
    assert answer.status_code == 200
    assert (answer.json()["value"], answer.json()["reason"]) == ("baseline", "ERROR")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{", "PARSE_ERROR"),
        (b"\xff\xfe", "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "\\ud800"}}', "PARSE_ERROR"),
        (b'{"context": {"targetingKey": NaN}}', "PARSE_ERROR"),
        (b"[" * 60_000, "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b'{"context": []}', "INVALID_CONTEXT"),
        (b"{}", "TARGETING_KEY_MISSING"),
        (b'{"context": {}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": null}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "' + b"x" * 1_025 + b'"}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "c", "employee": "yes"}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "c", "segment": 3}}', "INVALID_CONTEXT"),
    ],
)
def test_a_request_that_is_wrong_is_refused_as_ofrep_has_it(calm: httpx.Client, body: bytes, code: str) -> None:
    for path, key in ((ARM, {"key": "arm"}), (ALL, {})):
        answer = calm.post(path, content=body)
        assert answer.status_code == 400
        refusal = answer.json()
        assert refusal.pop("errorDetails")
        assert refusal == {**key, "errorCode": code}


def test_an_unknown_flag_is_not_found(calm: httpx.Client) -> None:
    answer = calm.post("/ofrep/v1/evaluate/flags/model%20tier", json=context())
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["key"]) == (
        404,
        "FLAG_NOT_FOUND",
        "model tier",
    )
    assert "arm, execution_enabled" in answer.json()["errorDetails"]


def test_bulk_answers_are_tagged_and_not_sent_twice(api: httpx.Client, world: World) -> None:
    first = api.post(ALL, json=context())
    assert [flag["key"] for flag in first.json()["flags"]] == ["arm", "execution_enabled"]
    tag = first.headers["etag"]
    for given_tag in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = api.post(ALL, json=context(), headers={"If-None-Match": given_tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert api.post(ALL, json=context(), headers={"If-None-Match": '"other"'}).status_code == 200
    world.change(share=0.6)
    world.now += timedelta(seconds=1)
    changed = api.post(ALL, json=context(), headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_flags_need_a_token_unless_they_are_open(serve: Serve) -> None:
    closed = serve(None)
    assert closed.post(ARM, json=context()).status_code == 401
    key = {"X-API-Key": "viewer-token-0123456789"}
    assert closed.post(ARM, json=context(), headers=key).status_code == 200
    assert closed.get("/v1/status", headers=key).status_code == 401
    open_flags = serve(None, open_flags=True)
    assert open_flags.post(ARM, json=context()).status_code == 200
    assert open_flags.get("/v1/status").status_code == 401


def test_a_body_that_is_too_large_is_refused(serve: Serve) -> None:
    answer = serve(limits=Limits(body_bytes=100)).post(ARM, json=context("x" * 200))
    assert (answer.status_code, answer.json()["errorCode"]) == (413, "GENERAL")


@pytest.fixture
def openfeature_client(world: World) -> Iterator[tuple[OpenFeatureClient, ControlServer]]:
    """The OpenFeature SDK with its OFREP provider, as a customer of ours would set it up."""
    server = ControlServer(create_app(world.services())).start()
    provider = OFREPProvider(server.url, headers_factory=lambda: bearer(Role.PRODUCER), timeout=2)
    openfeature.api.set_provider(provider, "controlplane-test")
    yield openfeature.api.get_client("controlplane-test"), server
    provider.session.close()
    openfeature.api.clear_providers()
    server.stop()


def test_a_real_openfeature_client_gets_its_arm_and_falls_back_when_the_server_is_gone(
    openfeature_client: tuple[OpenFeatureClient, ControlServer], world: World
) -> None:
    client, server = openfeature_client
    customers = [EvaluationContext(f"customer-{n}", {"segment": "retail", "low_risk": True}) for n in range(30)]
    details = [client.get_string_details("arm", "baseline", customer) for customer in customers]
    assert {d.value for d in details} == {"assistant", "baseline"}
    assert {d.reason for d in details} == {Reason.SPLIT}
    assert {d.flag_metadata["flag_version"] for d in details} == {1}
    assert client.get_boolean_value("execution_enabled", False, customers[0]) is True
    unknown = client.get_string_details("model_tier", "small", customers[0])
    assert (unknown.value, str(unknown.error_code)) == ("small", "FLAG_NOT_FOUND")
    missing = client.get_string_details("arm", "baseline", EvaluationContext())
    assert str(missing.error_code) == "TARGETING_KEY_MISSING"

    world.change(state=RolloutState.ROLLED_BACK, share=0.0, execution_enabled=False)
    world.now = NOW + timedelta(seconds=1)
    assert {client.get_string_value("arm", "baseline", customer) for customer in customers} == {"baseline"}
    server.stop()
    gone = [client.get_string_details("arm", "baseline", customer) for customer in customers[:3]]
    assert {(d.value, d.reason) for d in gone} == {("baseline", Reason.ERROR)}
    assert client.get_boolean_value("execution_enabled", False, customers[0]) is False


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()), st.text(max_size=30))
def test_no_body_and_no_key_make_an_internal_error(calm: httpx.Client, body: bytes, key: str) -> None:
    paths = [ARM, ALL, "/v1/feedback", "/v1/records", "/v1/sql", "/v1/actions/hold"]
    for path in paths:
        answer = calm.post(path, content=body)
        assert answer.status_code < 500, (path, body, answer.text)
        assert answer.status_code == 202 or answer.json()
    path = f"/ofrep/v1/evaluate/flags/{quote(key, safe='', errors='replace')}"
    assert calm.post(path, json=context()).status_code in (200, 404)


def test_the_answer_names_who_serves_the_baseline_and_what_is_contained(api: httpx.Client, world: World) -> None:
    assert api.post(ARM, json=context()).json()["metadata"]["baseline_release"] == "menu"
    world.change(contained=("fraud",))
    world.now += timedelta(seconds=2)
    answer = api.post(ARM, json=context(intent="fraud")).json()
    assert (answer["value"], answer["metadata"]["ineligible_reason"]) == ("baseline", "contained_category")
    assert api.post(ARM, json=context(intent="fees")).json()["metadata"]["eligible"] is True
