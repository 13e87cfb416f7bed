"""Socket Mode: Slack's requests over a web socket that this process opens, so no address of ours need be public.

An envelope is acknowledged when the desk has it on disk, and not before: Slack sends again what is not acknowledged, and the desk takes it once. A
"disconnect" makes the client open a new connection before it closes the old one. Here is what it lacks: a connection that ends without a word is
noticed at once, lost ones are opened again with a growing pause that a person can read about, addresses that are not Slack's are not followed.

This module loads the Socket Mode client: import it where it is used.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from jobs.slack_answer import LOOPBACK, SLACK_API

log = logging.getLogger("controlplane.slack")

Take = Callable[[str, Mapping[str, Any], str], dict[str, Any]]
Say = Callable[[str], None]

PAUSE_FIRST, PAUSE_MAX = 1.0, 60.0
LOOK_SECONDS, REPLACE_SECONDS = 0.2, 0.05
CALL_SECONDS = 10
STOP_SECONDS = 10.0
BUFFER_BYTES = 64 * 1024  # the client recurs once per buffer: its own 1 KiB would overflow the stack on a long message
WORKERS = 4
_KINDS = {"interactive": "interaction", "slash_commands": "command"}
_FOR_A_PERSON = frozenset(
    {"invalid_auth", "not_authed", "not_allowed_token_type", "token_revoked", "account_inactive", "missing_scope"}
)

_QUIET = logging.getLogger("controlplane.slack.socket")
_QUIET.setLevel(logging.CRITICAL)  # what the client would say, every few seconds in an outage, `Listener` says in words


class NoConnection(RuntimeError):
    """Slack gives no connection now; `retry_after` in seconds where it says when."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Listener:
    """Keeps one connection to Slack open, in threads of its own, from `start` to `stop`."""

    def __init__(self, app_token: str, take: Take, say: Say, base_url: str = "", pause: float = PAUSE_FIRST) -> None:
        """`say` is told, once each, when the connection is there and when it is lost, in words for a person."""
        self._take, self._say, self._pause = take, say, pause
        base = f"{(base_url or SLACK_API).rstrip('/')}/"
        web = WebClient(base_url=base, timeout=CALL_SECONDS, logger=_QUIET)
        web.retry_handlers = []
        self._client = _Client(app_token, web, base)
        self._client.socket_mode_request_listeners.append(self._on_request)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_open, name="slack-socket", daemon=True)

    def start(self) -> None:
        """Begin to connect; an outage of Slack does not hold up the start."""
        self._thread.start()

    def stop(self) -> None:
        """Close the connection and end the threads. What was not acknowledged is sent again to the next process."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        self._client.close()

    def _keep_open(self) -> None:
        pause = self._pause
        while not self._stop.is_set():
            if self._client.is_connected():
                pause = self._pause
                self._stop.wait(LOOK_SECONDS)
                if self._is_lost():
                    self._say("Slack: the Socket Mode connection was lost; it is opened again")
                continue
            why = self._connect()
            if why is None:
                self._say("Slack: buttons and commands are listened to (Socket Mode is connected)")
                continue
            wait = max(pause, why.retry_after or 0.0)
            self._say(f"Slack: no Socket Mode connection: {why}; tried again in {wait:g} s")
            self._stop.wait(wait)
            pause = min(2 * pause, PAUSE_MAX)

    def _is_lost(self) -> bool:
        """Whether there is no connection, and none that is just being replaced after a "disconnect"."""
        return not (self._client.is_connected() or self._stop.wait(REPLACE_SECONDS) or self._client.is_connected())

    def _connect(self) -> NoConnection | None:
        """One try; why it failed."""
        try:
            self._client.connect_to_new_endpoint()
        except NoConnection as problem:
            return problem
        except Exception as problem:  # whatever it is, the next try may do better, and the heartbeat must go on
            return NoConnection(f"{type(problem).__name__}")
        return None if self._client.is_connected() else NoConnection("the address that Slack gave does not answer")

    def _on_request(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Keep, then acknowledge. What cannot be kept is not acknowledged: Slack says so to the person, or sends it again."""
        kind = _KINDS.get(request.type)
        try:
            answer = self._take(kind, request.payload, "socket") if kind is not None else {}
        except ValueError as problem:
            log.warning("a request of Slack makes no sense: %s", problem)
            answer = {}
        except Exception:
            log.exception("a request of Slack could not be kept, and is not acknowledged")
            return
        client.send_socket_mode_response(SocketModeResponse(request.envelope_id, answer or None))


class _Client(SocketModeClient):
    """The client of slack-sdk, reconnected by `Listener` alone."""

    def __init__(self, app_token: str, web: WebClient, base: str) -> None:
        self._base = base
        super().__init__(
            app_token=app_token,
            web_client=web,
            logger=_QUIET,
            auto_reconnect_enabled=False,
            receive_buffer_size=BUFFER_BYTES,
            concurrency=WORKERS,
        )

    def issue_new_wss_url(self) -> str:
        """A new address from Slack. Raises NoConnection at once, where the client itself would sleep out a rate limit."""
        try:
            url = str(self.web_client.apps_connections_open(app_token=self.app_token)["url"])
        except SlackApiError as problem:
            raise _refusal(problem) from None
        except Exception as problem:
            raise NoConnection(f"{self._base} does not answer ({type(problem).__name__})") from None
        if not may_connect(url, self._base):
            raise NoConnection("the address that was given for the connection is not Slack's, and is not followed")
        return url

    def connect(self) -> None:
        """As the client does it; then the session's socket tells its end, and closing it waits for nobody."""
        super().connect()
        session = self.current_session
        if session is not None and session.sock is not None:
            session.sock = cast(Any, _Ended(session.sock))
            setattr(session, "close", partial(_hang_up, session, session.close))  # noqa: B010  the client makes its sessions itself

    def close(self) -> None:
        """End everything; the thread that waits for messages is woken."""
        self.closed = True
        self.message_queue.put(None)
        super().close()


def _hang_up(session: Any, close: Callable[[], None]) -> None:
    """Close a session while another thread may read from it: reading ends at once instead of with its time-out, and both may close it."""
    found = session.sock
    if found is not None:
        with suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)
    with suppress(AttributeError):  # the reader has closed it in between
        close()


class _Ended:
    """A socket whose end is an error."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        data: bytes = self._sock.recv(size)
        if not data:
            raise ConnectionResetError("the other side has closed the connection")
        return data

    def send(self, data: bytes) -> int:
        self._sock.sendall(data)  # the client would lose what does not fit
        return len(data)


def _refusal(problem: SlackApiError) -> NoConnection:
    data = problem.response.data if isinstance(problem.response.data, dict) else {}
    word = str(data.get("error", "no reason"))[:100]
    if problem.response.status_code == 429 or word in ("ratelimited", "rate_limited"):
        given = str(problem.response.headers.get("Retry-After", ""))
        wait = min(float(given), 3_600.0) if given.isdigit() else 30.0
        return NoConnection("Slack asks to wait", wait)
    hint = (
        " (check SLACK_APP_TOKEN: it begins with xapp- and has the scope connections:write)"
        if word in _FOR_A_PERSON
        else ""
    )
    return NoConnection(f"Slack refuses with {word}{hint}")


def may_connect(url: str, base: str) -> bool:
    """Whether an address for the web socket is of the configured Slack: TLS to its domain, or plain to the loopback that the base is on.

    The client speaks TLS on port 443 only, so any other port would go in the clear.
    """
    try:
        given, home = urlsplit(url), urlsplit(base)
        port = given.port
    except ValueError:
        return False
    if given.scheme == "ws":
        return given.hostname in LOOPBACK and home.hostname in LOOPBACK and port not in (None, 443)
    domain = (home.hostname or "").removeprefix("www.")
    own = given.hostname == domain or (given.hostname or "").endswith(f".{domain}")
    return given.scheme == "wss" and port in (None, 443) and bool(domain) and own
