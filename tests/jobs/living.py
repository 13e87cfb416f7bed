"""A real `controlplane up` in a process of its own, asked over HTTP, ended by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from tests.jobs.command_line import SURROUNDINGS

T = TypeVar("T")
CONTROLPLANE = Path(sys.executable).with_name("controlplane")
PATIENCE_SECONDS = 60.0  # a bound against waiting for ever on a busy machine, nothing that is measured


def environment(home: Path, **more: str) -> dict[str, str]:
    """The surroundings of a process on that workspace, with any free port."""
    clean = {name: value for name, value in os.environ.items() if name not in SURROUNDINGS}
    ports = {"CONTROLPLANE_PORT": "0", "CONTROLPLANE_DASHBOARD_PORT": "0"}
    return {**clean, "CONTROLPLANE_HOME": str(home), **ports, **more}


def eventually(what: str, seen: Callable[[], T]) -> T:
    """What `seen` returns as soon as that is true. Fails with `what` when it never is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = seen()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"never seen: {what}")
        time.sleep(0.05)


class Up:
    """One run of `controlplane up`; leaving the context kills what is left of it."""

    def __init__(self, home: Path, *options: str, dashboards: bool = False, **surroundings: str) -> None:
        self.home = home
        self._options = (*options, "--dashboards" if dashboards else "--no-dashboards")
        self._surroundings = surroundings
        self._log = home.with_name(f"{home.name}.up.log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if hasattr(self, "http"):
            self.http.close()

    def start(self) -> None:
        """Start and wait until it serves."""
        left = self.home / "control.json"
        before = left.read_text() if left.exists() else ""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [CONTROLPLANE, "up", *self._options],
                env=environment(self.home, **self._surroundings),
                stdout=log,
                stderr=log,
            )
        eventually(
            "the announcement", lambda: self.ended() is not None or (left.exists() and left.read_text() != before)
        )
        assert self.ended() is None, self.said()
        self.url = json.loads(left.read_text())["url"]
        headers = {"Authorization": f"Bearer {(self.home / 'token').read_text().strip()}"}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        assert self.http.get("/readyz").status_code == 200

    def ended(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def said(self) -> str:
        """Everything it has said so far."""
        return self._log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_SECONDS)
        self.http.close()
        return code

    def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """A JSON body."""
        return self.http.post(path, json=body)

    def send(self, *records: Mapping[str, Any]) -> httpx.Response:
        """Records as JSON lines."""
        return self.http.post("/v1/records", content="".join(json.dumps(record) + "\n" for record in records))

    def one(self, query: str) -> Any:
        """The only value of a query that the control process answers."""
        answer = self.post("/v1/sql", {"query": query})
        assert answer.status_code == 200, answer.text
        ((value,),) = answer.json()["rows"]
        return value

    def arm(self, customer: str, **context: Any) -> dict[str, Any]:
        """The flag `arm` of a customer."""
        answer = self.post("/ofrep/v1/evaluate/flags/arm", {"context": {"targetingKey": customer, **context}})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def children(self) -> list[int]:
        """Process ids of its children (Linux)."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in text.split()]


def run(home: Path, *words: str, **surroundings: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run(
        [CONTROLPLANE, *words],
        env=environment(home, **surroundings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
