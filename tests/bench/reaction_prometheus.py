"""The same burst of errors seen by a real Prometheus and Alertmanager on loopback: from its beginning to the message at a webhook."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BINARIES = ("prometheus", "prometheus-alertmanager")
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Setup:
    """Intervals in seconds. `window`: of the rate in the rule, at least two scrapes long."""

    name: str
    scrape: int
    window: int
    group_wait: int


DEFAULTS = Setup(
    "defaults", 15, 60, 30
)  # the intervals of the sample configuration; group_wait is Alertmanager's own default
TUNED = Setup("1s", 1, 5, 0)


def missing() -> list[str]:
    """Programs that are not on the PATH."""
    return [name for name in BINARIES if shutil.which(name) is None]


class _Service:
    """Counters of a service whose calls can be made to fail, and a webhook that stamps what arrives."""

    def __init__(self, per_second: int) -> None:
        self.failing = False
        self.first_bad: float | None = None
        self.arrived: list[float] = []
        self._per_second, self._stop = per_second, threading.Event()
        self._requests = self._errors = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = f"requests_total {service._requests}\nerrors_total {service._errors}\n"
                self._answer(text.encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if any(alert["status"] == "firing" for alert in body["alerts"]):
                    service.arrived.append(time.time())
                self._answer(b"{}")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def __enter__(self) -> _Service:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        threading.Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def _work(self) -> None:
        while not self._stop.wait(0.1):
            many = max(1, self._per_second // 10)
            self._requests += many
            if self.failing:
                self._errors += many
                self.first_bad = self.first_bad or time.time()


def reaction(setup: Setup, per_second: int, warm_seconds: float) -> float:
    """Seconds from the first failed call to the message at the receiver. Raises AssertionError when none ever comes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _Service(per_second) as service,
        _programs(Path(folder), setup, service.port),
    ):
        time.sleep(warm_seconds)
        service.failing = True
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not service.arrived:
            assert time.monotonic() < deadline, f"Prometheus with {setup} told nothing"
            time.sleep(0.01)
        assert service.first_bad is not None
        return service.arrived[0] - service.first_bad


@contextmanager
def _programs(home: Path, setup: Setup, port: int) -> Iterator[None]:
    ours, theirs = _free_port(), _free_port()
    (home / "rules.yml").write_text(
        "groups:\n- name: errors\n  rules:\n  - alert: ApiErrors\n"
        f"    expr: rate(errors_total[{setup.window}s]) / rate(requests_total[{setup.window}s]) > 0.1\n"
    )
    (home / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {setup.scrape}s, evaluation_interval: {setup.scrape}s}}\n"
        f"rule_files: [{home}/rules.yml]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{theirs}']}}]}}]}}\n"
        f"scrape_configs: [{{job_name: service, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    )
    (home / "alertmanager.yml").write_text(
        f"route: {{receiver: hook, group_wait: {setup.group_wait}s}}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]}}]\n"
    )
    programs = (
        ["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/tsdb", f"--web.listen-address=127.0.0.1:{ours}"],
        ["prometheus-alertmanager", f"--config.file={home}/alertmanager.yml", f"--storage.path={home}/am",
         f"--web.listen-address=127.0.0.1:{theirs}", "--cluster.listen-address="],
    )  # fmt: skip
    with ExitStack() as stack:
        log = stack.enter_context((home / "log").open("wb"))
        for argv in programs:
            process = subprocess.Popen(argv, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        for where in (ours, theirs):
            _wait_ready(where, home / "log")
        yield


def _wait_ready(port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise AssertionError(f"port {port} never became ready: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
