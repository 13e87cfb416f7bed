"""What the dashboards ask beside the snapshot: `POST /v1/ask/{name}` and `GET /v1/tasks/{id}`.

A name stands for one piece of work with one permission (`jobs.asking`). What is quick is answered at once, what is long becomes a
task whose progress is asked for. Workers are few and their own, so that flags and actions never wait behind somebody's question.
"""

from __future__ import annotations

from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controlplane.server.auth import Doorkeeper, Permission
from controlplane.server.edge import ApiError, json_response, read_object
from controlplane.server.services import ActionRefused, QueryRefused, Services

ACTOR_MAX = 200
WORKERS = 4


class Asking:
    """Handlers of questions and tasks."""

    def __init__(self, services: Services, doorkeeper: Doorkeeper) -> None:
        self._services = services
        self._doorkeeper = doorkeeper
        self._workers = anyio.CapacityLimiter(WORKERS)

    def routes(self) -> list[Route]:
        """The routes of questions."""
        return [
            Route("/v1/ask/{name}", self.ask, methods=["POST"]),
            Route("/v1/tasks/{task_id}", self.task, methods=["GET"]),
        ]

    async def ask(self, request: Request) -> Response:
        """One question with its arguments, in a person's name."""
        name, desk = request.path_params["name"], self._services.asking
        permission = desk.permission(name) if desk else None
        self._doorkeeper.admit(request, permission or Permission.LOOK)
        if desk is None or permission is None:
            raise ApiError(404, "not_found", f"nothing called '{name[:100]}' can be asked here")
        body = await read_object(request, self._services.limits.body_bytes)
        actor, arguments = body.get("actor", ""), body.get("arguments", {})
        if not isinstance(actor, str) or len(actor) > ACTOR_MAX:
            raise ApiError(422, "invalid", f"actor: must be a text of at most {ACTOR_MAX} characters", field="actor")
        if not isinstance(arguments, dict):
            raise ApiError(422, "invalid", "arguments: must be an object", field="arguments")
        try:
            found: Any = await anyio.to_thread.run_sync(desk.ask, name, arguments, actor.strip(), limiter=self._workers)
        except ActionRefused as refused:
            raise ApiError(409, "refused", str(refused)) from None
        except QueryRefused as refused:
            raise ApiError(422, "invalid", str(refused), field="arguments") from None
        return json_response(found, 202 if "task" in found else 200)

    async def task(self, request: Request) -> Response:
        """How a long piece of work stands."""
        self._doorkeeper.admit(request, Permission.LOOK)
        desk = self._services.asking
        found = desk.task(request.path_params["task_id"]) if desk else None
        if desk and found:  # its answer takes what asking for it took
            self._doorkeeper.admit(request, desk.permission(found["name"]) or Permission.LOOK)
        if found is None:
            raise ApiError(
                404, "not_found", "this task is not known here: the control process was restarted, ask again"
            )
        return json_response(found)
