"""The signed webhook and the console, over real sockets and streams."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alerts.message import DeliveryError, Message
from alerts.model import Alert, Severity, resolved
from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.webhook import WebhookReceiver, retry_seconds, verify_signature

from .conftest import NOW, an_alert

SECRET = b"shared"


@dataclass
class Hook:
    """A webhook's other side: keeps what it got and answers as told."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def hook() -> Iterator[Hook]:
    side = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            side.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(side.status)
            for name, value in side.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    side.url = f"http://127.0.0.1:{server.server_address[1]}/alerts"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield side
    server.shutdown()
    server.server_close()
    thread.join()


def message(alert: Alert | None = None, **more: object) -> Message:
    shown = alert or an_alert()
    return Message(outbox_id="o-1", incident_id="inc-1", event=shown, view=shown, **more)


def receiver(hook: Hook) -> WebhookReceiver:
    return WebhookReceiver(hook.url, SECRET, clock=lambda: NOW)


def test_a_delivery_is_signed_and_carries_the_whole_alert(hook: Hook) -> None:
    assert receiver(hook).send(message(note="späť <&>"))["status"] == 204
    ((headers, body),) = hook.got
    assert headers["x-controlplane-delivery"] == "o-1"
    assert verify_signature(SECRET, headers, body, NOW + timedelta(seconds=299))
    told = json.loads(body)
    assert Alert.from_dict(told["alert"]) == an_alert()
    assert (told["delivery_id"], told["note"]) == ("o-1", "späť <&>")


def test_a_tampered_expired_or_foreign_delivery_is_not_ours(hook: Hook) -> None:
    receiver(hook).send(message())
    ((headers, body),) = hook.got
    assert not verify_signature(SECRET, headers, body + b" ", NOW)
    assert not verify_signature(b"other", headers, body, NOW)
    for moment in (NOW + timedelta(seconds=301), NOW - timedelta(seconds=301)):
        assert not verify_signature(SECRET, headers, body, moment)
    for timestamp in ("", "-1", "1767603601", "²", "9" * 400):
        assert not verify_signature(SECRET, {**headers, "x-controlplane-timestamp": timestamp}, body, NOW)
    for signature in ("", "v1=", "v0=" + headers["x-controlplane-signature"][3:], "é"):
        assert not verify_signature(SECRET, {**headers, "x-controlplane-signature": signature}, body, NOW)
    assert not verify_signature(SECRET, {}, body, NOW)


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "retry_after"),
    [
        (429, {"Retry-After": "9"}, False, 9.0),
        (503, {"Retry-After": "soon"}, False, None),
        (500, {}, False, None),
        (408, {}, False, None),
        (404, {}, True, None),
        (401, {}, True, None),
        (302, {"Location": "http://127.0.0.1:9/elsewhere"}, True, None),
    ],
)
def test_answers(hook: Hook, status: int, headers: dict[str, str], permanent: bool, retry_after: float | None) -> None:
    hook.status, hook.headers = status, headers
    with pytest.raises(DeliveryError, match=str(status)) as refused:
        receiver(hook).send(message())
    assert (refused.value.permanent, refused.value.retry_after) == (permanent, retry_after)
    assert len(hook.got) == 1


def test_nobody_there_is_temporary_and_no_address_is_permanent() -> None:
    with pytest.raises(DeliveryError, match="ConnectError") as refused:
        WebhookReceiver("http://127.0.0.1:1/", SECRET).send(message())
    assert not refused.value.permanent
    with pytest.raises(DeliveryError) as unusable:
        WebhookReceiver("nowhere", SECRET).send(message())
    assert unusable.value.permanent


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("1e9", 3_600.0),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_a_sane_number_of_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_seconds(value) == seconds


def test_the_console_prints_the_same_message() -> None:
    screen = io.StringIO()
    assert ConsoleReceiver(screen).send(message())["repeated"] is False
    assert screen.getvalue().startswith(
        "CRITICAL · Escalations rose\n  Rolled back, verified in 4.2 s after detection.\n"
    )
    assert "\x1b" not in screen.getvalue()


def test_the_console_names_the_incidents_other_alerts_and_a_repetition() -> None:
    screen = io.StringIO()
    mild = an_alert("mild", labels={"alertname": "note"}, annotations={"title": "Note"}, severity=Severity.INFO)
    ConsoleReceiver(screen).send(replace(message(), event=mild, also=("INFO · Note", "WARNING · Slow"), in_doubt=True))
    shown = screen.getvalue()
    assert shown.startswith("INFO · Note\n  Repeated: the process stopped")
    assert "    - CRITICAL · Escalations rose\n    - WARNING · Slow\n" in shown


def test_a_terminal_gets_one_coloured_line() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for alert, colour in ((an_alert(), "1;31"), (resolved(an_alert(), datetime(2026, 1, 6, tzinfo=UTC)), "32")):
        screen = Terminal()
        ConsoleReceiver(screen).send(message(alert))
        first, rest = screen.getvalue().split("\n", 1)
        assert first.startswith(f"\x1b[{colour}m")
        assert first.endswith("\x1b[0m")
        assert "\x1b" not in rest


def test_a_closed_stream_is_a_delivery_error() -> None:
    closed = io.StringIO()
    closed.close()
    with pytest.raises(DeliveryError, match="cannot print"):
        ConsoleReceiver(closed).send(message())


def test_a_terminal_without_unicode_still_shows_the_alert() -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    ConsoleReceiver(narrow).send(message())
    narrow.seek(0)
    assert "CRITICAL ? Escalations rose" in narrow.read()
