"""Whether the process lives, whether it can work, and a few numbers for Prometheus.

`/healthz` says that the process answers. `/readyz` says that the state can be read, that heartbeats do their work, and how old
the data is. Both are open and say nothing about the rollout. `/metrics` needs a token.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controlplane.core.model import Rollout, RolloutState
from controlplane.server.auth import Doorkeeper, Permission
from controlplane.server.edge import json_response
from controlplane.server.services import Services, Vitals

logger = logging.getLogger("controlplane.server")

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """Handlers of liveness, readiness and metrics."""

    def __init__(self, services: Services, doorkeeper: Doorkeeper) -> None:
        self._services = services
        self._doorkeeper = doorkeeper

    def routes(self) -> list[Route]:
        """The health routes."""
        return [
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def healthz(self, _request: Request) -> Response:
        """The process answers."""
        return json_response({"alive": True})

    async def readyz(self, _request: Request) -> Response:
        """200 when the state can be read, heartbeats work and the data is young enough, else 503 with the reason."""
        vitals = await self._vitals()
        if vitals is None:
            return json_response({"ready": False, "reason": "the state cannot be read; the log says why"}, 503)
        age, oldest = data_age_seconds(vitals, self._services.clock()), self._services.max_data_age_seconds
        stale = oldest is not None and (age is None or age > oldest)
        reasons = [f"no data within {oldest:g} s"] if stale else []
        reasons += ["the last heartbeat failed; the log says why"] if vitals.failing is not None else []
        answer = {"ready": not reasons, "state_version": vitals.state_version, "data_age_seconds": age}
        reason = {"reason": "; ".join(reasons)} if reasons else {}
        return json_response({**answer, **reason}, 503 if reasons else 200)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text. A state that cannot be read is a metric, not an error: the scrape must show it."""
        self._doorkeeper.admit(request, Permission.LOOK)
        vitals = await self._vitals()
        lines = exposition(vitals, self._services.clock())
        return Response("".join(f"{line}\n" for line in lines), media_type=PROMETHEUS)

    async def _vitals(self) -> Vitals | None:
        try:
            return await run_in_threadpool(self._services.vitals)
        except Exception:
            logger.exception("the state cannot be read")
            return None


def data_age_seconds(vitals: Vitals, now: datetime) -> float | None:
    """How far the data lags behind `now`, never negative; None while there is none."""
    return None if vitals.watermark is None else max(0.0, (now - vitals.watermark).total_seconds())


def exposition(vitals: Vitals | None, now: datetime) -> Iterator[str]:
    """Lines of the Prometheus text format."""
    yield from _gauge("controlplane_state_readable", "1 when the state can be read", vitals is not None)
    if vitals is None:
        return
    yield from _gauge("controlplane_state_version", "Rises with every change of the state", vitals.state_version)
    yield from _gauge("controlplane_outbox_depth", "Messages that are not delivered yet", vitals.outbox_depth)
    yield from _gauge("controlplane_outbox_dead", "Messages that nobody took", vitals.outbox_dead)
    yield from _gauge(
        "controlplane_heartbeat_failing", "1 when the newest heartbeat failed", vitals.failing is not None
    )
    if vitals.last_beat is not None:
        lag = max(0.0, (now - vitals.last_beat).total_seconds())
        yield from _gauge("controlplane_heartbeat_age_seconds", "Since the last heartbeat that did all its steps", lag)
    age = data_age_seconds(vitals, now)
    if age is not None:
        yield from _gauge("controlplane_data_age_seconds", "Age of the newest complete data", age)
    if vitals.rollout is not None:
        yield from _rollout(vitals.rollout)


def _rollout(rollout: Rollout) -> Iterator[str]:
    yield from _gauge("controlplane_rollout_version", "Version of the rollout row", rollout.version)
    yield from _gauge("controlplane_rollout_share", "Share of eligible customers on the assistant", rollout.share)
    yield from _gauge("controlplane_execution_enabled", "1 when workflows may act", rollout.execution_enabled)
    name = "controlplane_rollout_state"
    yield f"# HELP {name} 1 for the state the rollout is in"
    yield f"# TYPE {name} gauge"
    for state in RolloutState:
        labels = {"rollout": rollout.rollout_id, "release": rollout.release, "phase": rollout.phase, "state": state}
        yield f"{name}{_labels(labels)} {int(state is rollout.state)}"


def _gauge(name: str, words: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} gauge"
    yield f"{name} {float(value):g}" if isinstance(value, float) else f"{name} {int(value)}"


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
