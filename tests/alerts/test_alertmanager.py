"""The Alertmanager receiver: what it posts, and the same against a real Alertmanager where Debian's is installed."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.deliver import Pauses, Result, Rules, deliver_due
from alerts.message import DeliveryError, Message
from alerts.model import Alert, Severity, resolved
from alerts.pipeline import Route
from alerts.receivers.alertmanager import AlertmanagerReceiver, _posted

from .conftest import NOW, State, an_alert
from .test_receivers import Hook, hook  # noqa: F401  the fixture

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
CONFIG = """
route: {receiver: nobody, group_by: [alertname], group_wait: 0s}
receivers: [{name: nobody}]
"""


def message(alert: Alert, *more: Alert, **fields: Any) -> Message:
    return Message(
        outbox_id="o", incident_id=alert.incident_id, event=alert, view=alert, alerts=(alert, *more), **fields
    )


def posted(sent: Message, now: datetime = NOW) -> list[dict[str, Any]]:
    return list(_posted(sent, now))


def test_labels_identify_annotations_describe_and_a_firing_alert_says_until_when() -> None:
    (one,) = posted(message(an_alert(step="Kim acknowledged"), steps=("Kim acknowledged",), repeat=timedelta(hours=4)))
    assert one["labels"]["alertname"] == "rollback"
    assert (one["labels"]["severity"], one["labels"]["incident_id"]) == ("critical", "inc-1")
    assert one["annotations"]["title"] == "Escalations rose"
    assert one["annotations"]["steps"] == "Kim acknowledged"
    assert "verified in 4.2 s" in one["annotations"]["containment"]
    assert (one["startsAt"], one["endsAt"]) == ("2026-01-05T09:00:00.000Z", "2026-01-05T21:00:00.000Z")
    assert one["generatorURL"].startswith("http://127.0.0.1")


def test_an_alert_that_became_graver_is_over_in_its_other_severities() -> None:
    first = posted(message(an_alert()))
    later = posted(message(an_alert(), parent={"parent": True}), NOW + timedelta(hours=1))
    assert len(first) == 1
    firing = [one for one in later if one["endsAt"] > "2026-01-05T10:00:00.000Z"]
    assert [one["labels"]["severity"] for one in firing] == ["critical"]
    assert len(later) == len(Severity)


words = st.text(max_size=30)


@given(st.dictionaries(words, words, max_size=4), words, st.integers(-100, 100), st.booleans())
def test_whatever_the_labels_it_is_a_form_that_alertmanager_takes(
    labels: dict[str, str], title: str, minutes: int, over: bool
) -> None:
    alert = an_alert(labels={"alertname": "x", **labels}, annotations={"title": title})
    alert = resolved(alert, NOW + timedelta(minutes=minutes)) if over else alert
    for one in posted(message(alert, parent={"parent": True})):
        assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) and value for name, value in one["labels"].items())
        assert one["startsAt"] <= one["endsAt"]
        assert all(value for value in one["annotations"].values())


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "wait"),
    [(500, {}, False, None), (503, {"Retry-After": "7"}, False, 7.0), (429, {}, False, None), (400, {}, True, None)],
)
def test_refusals(hook: Hook, status: int, headers: dict[str, str], permanent: bool, wait: float | None) -> None:  # noqa: F811
    hook.status, hook.headers = status, headers
    with pytest.raises(DeliveryError) as refused:
        AlertmanagerReceiver(hook.url).send(message(an_alert()))
    assert (refused.value.permanent, refused.value.retry_after) == (permanent, wait)


def test_nobody_there_is_tried_again_and_no_address_is_not() -> None:
    for url, permanent in (("http://127.0.0.1:1", False), ("nowhere", True)):
        with pytest.raises(DeliveryError) as refused:
            AlertmanagerReceiver(url).send(message(an_alert()))
        assert refused.value.permanent is permanent


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Alertmanager of this test's own, on loopback without a cluster."""
    if BINARY is None:
        pytest.skip("no prometheus-alertmanager on the PATH (Debian: apt-get install prometheus-alertmanager)")
    home: Path = tmp_path_factory.mktemp("alertmanager")
    (home / "config.yml").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = {"config.file": home / "config.yml", "storage.path": home / "data", "web.listen-address": address}
    argv = [BINARY, *(f"--{name}={value}" for name, value in options.items()), "--cluster.listen-address="]
    with (home / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            _ready(f"http://{address}", process, home / "log")
            yield f"http://{address}"
        finally:
            process.terminate()


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/-/ready").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"the Alertmanager did not start: {log.read_text()[-500:]}")


def firing(url: str) -> dict[str, dict[str, Any]]:
    """Active alerts by alertname and severity."""
    found = httpx.get(f"{url}/api/v2/alerts").json()
    return {f"{one['labels']['alertname']}/{one['labels']['severity']}": one for one in found}


def test_a_real_alertmanager_fires_repeats_and_resolves(real: str, state: State) -> None:
    """An incident from its opening to its end, through the outbox; the clock is the real one, for theirs is."""
    started = datetime.now(UTC)
    rules, receivers = Rules((Route("all", ("am",)),)), {"am": AlertmanagerReceiver(real, name="am")}
    pauses = Pauses()

    def tell(alert: Alert, name: str) -> None:
        state.add(alert, name, datetime.now(UTC))
        results = deliver_due(state, state, receivers, datetime.now(UTC), rules, pauses)
        assert [r.result for r in results] == [Result.SENT], results

    alert = an_alert(starts_at=started, links=())
    tell(replace(alert, severity=Severity.ERROR), "opened")
    assert set(firing(real)) == {"rollback/error"}
    tell(replace(alert, step="Kim acknowledged"), "graver")
    seen = firing(real)
    assert set(seen) == {"rollback/critical"}
    assert seen["rollback/critical"]["annotations"]["steps"] == "Kim acknowledged"
    assert seen["rollback/critical"]["labels"]["incident_id"] == "inc-1"
    tell(replace(alert, step="Kim: looking"), "again")
    assert set(firing(real)) == {"rollback/critical"}
    tell(resolved(alert, datetime.now(UTC)), "over")
    assert firing(real) == {}


def test_a_real_alertmanager_takes_a_storm_and_strange_words(real: str) -> None:
    strange = {"alertname": "odd name", "mit-strich": "Späße\u202e\x00", "leer": "", "1st": "x" * 5_000}
    storm = [an_alert(f"s{n}", labels={**strange, "n": str(n)}, links=()) for n in range(600)]
    AlertmanagerReceiver(real).send(message(*storm))
    found = httpx.get(f"{real}/api/v2/alerts", params={"filter": 'alertname="odd name"'}).json()
    assert len(found) == 600
