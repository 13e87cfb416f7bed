"""Pictures over real HTTP: where the bytes go, and that a picture never costs a message."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from alerts.chart import Picture
from alerts.message import Message
from alerts.model import Alert
from alerts.receivers.slack import SlackReceiver
from alerts.receivers.slack_files import trusted

from .conftest import an_alert

PNG = b"\x89PNG not really"


@dataclass
class Files:
    """A Slack with files: `answers` replace what a method says, `upload_status` what the upload address does."""

    url: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    upload_status: int = 200
    upload_url: str = ""

    def answer(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((method, arguments))
        if self.answers.get(method):
            return self.answers[method].pop(0)
        address = self.upload_url or f"{self.url}upload/F01"
        return {"ok": True, "ts": "1.0", "upload_url": address, "file_id": "F01"}

    def of(self, method: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.calls if name == method]

    def receiver(self, draw: Any) -> SlackReceiver:
        found = SlackReceiver.connect("xoxb-t", "C1", self.url)
        found.show_charts(draw)
        return found


@pytest.fixture
def slack() -> Iterator[Files]:
    fake = Files()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = urlsplit(self.path)
            if path.path.startswith("/api/upload/"):
                fake.uploads.append(body)
                self._send(fake.upload_status, b"OK")
                return
            is_json = "json" in self.headers.get("content-type", "")
            form = {name: value[0] for name, value in parse_qs(path.query or body.decode()).items()}
            answer = fake.answer(path.path.rsplit("/", 1)[-1], json.loads(body) if is_json else form)
            self._send(200, json.dumps(answer).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def drawing(incident_id: str, view: Alert) -> Picture:
    return Picture(PNG, f"{incident_id}: {view.title}")


def message(**more: Any) -> Message:
    return Message(outbox_id="o-1", incident_id="inc-1", event=an_alert(), view=an_alert(), **more)


def blocks(arguments: dict[str, Any]) -> list[str]:
    attachments = arguments.get("attachments", "[]")
    found = json.loads(attachments) if isinstance(attachments, str) else attachments
    return [block["type"] for attachment in found for block in attachment["blocks"]]


def test_the_picture_goes_into_the_thread_once_the_message_is_out(slack: Files) -> None:
    receipt = slack.receiver(drawing).send(message())
    assert receipt["chart"] == "F01"
    assert [name for name, _ in slack.calls] == [
        "chat.postMessage",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
    ]
    assert slack.uploads == [PNG]
    (begun,), (shared,) = slack.of("files.getUploadURLExternal"), slack.of("files.completeUploadExternal")
    assert (begun["filename"], begun["length"]) == ("evidence.png", str(len(PNG)))
    assert (shared["channel_id"], shared["thread_ts"]) == ("C1", "1.0")
    assert json.loads(shared["files"]) == [{"id": "F01", "title": "inc-1: Escalations rose"}]


def test_the_parent_shows_it_from_its_next_update_on(slack: Files) -> None:
    parent = slack.receiver(drawing).send(message())
    slack.receiver(drawing).send(message(parent=parent))
    (update,) = slack.of("chat.update")
    assert "image" in blocks(update)
    assert len(slack.uploads) == 1  # an update uploads nothing


def test_a_file_that_slack_has_not_finished_costs_the_picture_and_not_the_form(slack: Files) -> None:
    parent = slack.receiver(drawing).send(message())
    slack.answers["chat.update"] = [{"ok": False, "error": "invalid_blocks"}]
    slack.receiver(drawing).send(message(parent=parent))
    first, second = slack.of("chat.update")
    assert "image" in blocks(first)
    assert "image" not in blocks(second)
    assert "header" in str(second["blocks"])


def test_a_workspace_without_files_is_asked_once(slack: Files) -> None:
    slack.answers["files.getUploadURLExternal"] = [{"ok": False, "error": "missing_scope"}]
    receiver = slack.receiver(drawing)
    first, second = receiver.send(message()), receiver.send(message())
    assert first["no_chart"] == second["no_chart"] == "Slack refuses the picture: missing_scope"
    assert len(slack.of("files.getUploadURLExternal")) == 1
    assert len(slack.of("chat.postMessage")) == 2


def test_a_passing_trouble_is_no_reason_never_to_ask_again(slack: Files) -> None:
    slack.answers["files.completeUploadExternal"] = [{"ok": False, "error": "internal_error"}]
    receiver = slack.receiver(drawing)
    assert "internal_error" in receiver.send(message())["no_chart"]
    assert receiver.send(message())["chart"] == "F01"
    slack.upload_status = 503
    assert "503" in receiver.send(message())["no_chart"]


def test_the_bytes_go_to_slack_and_nowhere_else(slack: Files) -> None:
    slack.upload_url = "http://127.0.0.1:1/upload"
    receipt = slack.receiver(drawing).send(message())
    assert "not Slack's" in receipt["no_chart"]
    assert slack.of("files.completeUploadExternal") == []


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://files.slack.com/upload/v1/abc", True),
        ("http://127.0.0.1:8/upload", True),
        ("http://files.slack.com/upload", False),
        ("https://files.slack.com.example.org/upload", False),
        ("https://notslack.com/upload", False),
        ("https://files.slack.com:8443/upload", False),
        ("http://127.0.0.1:9/upload", False),
        ("http://127.0.0.1:nine/upload", False),
        ("file:///etc/passwd", False),
    ],
)
def test_which_addresses_are_slacks(address: str, good: bool) -> None:
    assert trusted(address, "http://127.0.0.1:8/api/") is good


def test_a_picture_that_cannot_be_drawn_costs_nothing(slack: Files) -> None:
    def broken(_incident: str, _view: Alert) -> Picture:
        raise RuntimeError("no such font")

    receipt = slack.receiver(broken).send(message())
    assert receipt["no_chart"] == "RuntimeError: no such font"
    quiet = slack.receiver(lambda _incident, _view: None).send(message())
    assert not {"chart", "no_chart"} & set(quiet)
