"""Runs the control API in a thread of the control process, on loopback.

The socket is bound before the thread starts, so a port in use is an error where it can be told; port 0 takes any free one.
"""

from __future__ import annotations

import errno
import socket
import threading
from time import monotonic
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

START_SECONDS = 10.0
STOP_SECONDS = 10.0
GRACE_SECONDS = 3
CONCURRENCY = 256
BACKLOG = 256


class ServerError(RuntimeError):
    """The server cannot be started or stopped; the message says what to do."""


class ControlServer:
    """One server: bound when it is made, serving between `start` and `stop`. A context manager."""

    def __init__(self, app: ASGIApp, port: int = 0, host: str = "127.0.0.1") -> None:
        """Raises ServerError when the port is in use or not allowed."""
        self._socket = _bind(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(_config(app))
        self._thread = threading.Thread(target=self._run, name="control-server", daemon=True)
        self._ended = threading.Event()
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> Self:
        """Serve. Returns when requests are answered; raises ServerError when that does not come to be."""
        self._thread.start()
        deadline = monotonic() + START_SECONDS
        while not self._server.started:
            if self._ended.wait(0.005) or monotonic() > deadline:
                self.stop()
                raise ServerError(f"the control API did not start on {self.url}: {self._failure or 'it took too long'}")
        return self

    def stop(self) -> None:
        """Finish running requests (for a few seconds), close the port, end the thread. Stopping twice is harmless."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                raise ServerError(f"the control API on {self.url} did not stop within {STOP_SECONDS:g} s")
        self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except BaseException as failure:  # uvicorn ends its thread with SystemExit; `start` tells why
            self._failure = failure
        finally:
            self._ended.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",  # the same parser on every machine, whatever else is installed
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONCURRENCY,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _bind(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio turns Nagle's delay off only then: 40 ms a request otherwise.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as problem:
        listening.close()
        raise ServerError(_why(host, port, problem)) from problem
    return listening


def _why(host: str, port: int, problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: is the control process running already? "
            "Stop it, or choose another port with CONTROLPLANE_PORT (0 takes any free one)"
        )
    if problem.errno == errno.EACCES:
        return f"port {port} on {host} is not allowed for this user: choose one from 1024 up with CONTROLPLANE_PORT"
    return f"cannot listen on {host}:{port}: {problem.strerror or problem}"
