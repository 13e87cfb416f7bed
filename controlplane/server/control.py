"""What people ask of the control process: actions on the rollout, read-only queries, status.

The work is done by injected handlers; here the asker is checked, the wish is read, and a refusal becomes a sentence with 409
(not possible now) or 400 (the query is wrong).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controlplane.core.rollout import IllegalTransition
from controlplane.server.auth import ACTION_PERMISSIONS, Doorkeeper, Permission
from controlplane.server.edge import ApiError, json_response, read_object
from controlplane.server.services import ActionRefused, ActionRequest, ControlAction, QueryRefused, Role, Services

ACTOR_MAX = 200
REASON_MAX = 2_000
SQL_ROWS_DEFAULT = 1_000
SLOW_WORKERS = 4


class Control:
    """Handlers of actions, queries and status."""

    def __init__(self, services: Services, doorkeeper: Doorkeeper) -> None:
        self._services = services
        self._doorkeeper = doorkeeper
        # Queries may be slow; they have their own few threads, so that flags never wait behind them.
        self._slow = anyio.CapacityLimiter(SLOW_WORKERS)

    def routes(self) -> list[Route]:
        """The control routes."""
        return [
            Route("/v1/actions/{action}", self.act, methods=["POST"]),
            Route("/v1/sql", self.sql, methods=["POST"]),
            Route("/v1/status", self.status, methods=["GET"]),
        ]

    async def act(self, request: Request) -> Response:
        """One action on the rollout, by a named person, with a reason."""
        name = request.path_params["action"]
        action = next((known for known in ControlAction if known == name), None)
        permission = ACTION_PERMISSIONS[action] if action else Permission.LOOK
        role = self._doorkeeper.admit(request, permission)
        if action is None:
            known = ", ".join(ControlAction)
            raise ApiError(404, "not_found", f"there is no action '{name[:100]}'; actions: {known}")
        body = await read_object(request, self._services.limits.body_bytes)
        wish = action_request(action, role, body)
        try:
            result = await anyio.to_thread.run_sync(self._services.act, wish)
        except (ActionRefused, IllegalTransition) as refused:
            raise ApiError(409, "refused", str(refused)) from None
        return json_response(result)

    async def sql(self, request: Request) -> Response:
        """A read-only query over facts and rollups."""
        self._doorkeeper.admit(request, Permission.QUERY)
        body = await read_object(request, self._services.limits.body_bytes)
        query = _words(body, "query", self._services.limits.body_bytes)
        limit = _whole(body, "limit", 1, self._services.limits.sql_rows)
        rows = min(SQL_ROWS_DEFAULT, self._services.limits.sql_rows) if limit is None else limit
        _only(body, ("query", "limit"))
        try:
            found = await anyio.to_thread.run_sync(self._services.sql, query, rows, limiter=self._slow)
        except QueryRefused as refused:
            raise ApiError(400, "bad_query", str(refused), field="query") from None
        answer = {
            "columns": list(found.columns),
            "rows": [list(row) for row in found.rows],
            "truncated": found.truncated,
        }
        return json_response(answer)

    async def status(self, request: Request) -> Response:
        """What is served, since when and why."""
        self._doorkeeper.admit(request, Permission.LOOK)
        return json_response(await anyio.to_thread.run_sync(self._services.status))


def action_request(action: ControlAction, role: Role, body: Mapping[str, Any]) -> ActionRequest:
    """The wish in a body. Raises ApiError 422 naming the field."""
    _only(body, ("actor", "reason", "expected_version"))
    return ActionRequest(
        action=action,
        actor=_words(body, "actor", ACTOR_MAX),
        reason=_words(body, "reason", REASON_MAX),
        role=role,
        expected_version=_whole(body, "expected_version", 0, 2**53),
    )


def _only(body: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in body:
        if name not in names:
            field = str(name)[:100]
            raise ApiError(422, "invalid", f"{field}: unknown field; known: {', '.join(names)}", field=field)


def _words(body: Mapping[str, Any], name: str, longest: int) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise ApiError(422, "invalid", f"{name}: needed, a text of 1 to {longest:,} characters", field=name)
    return value.strip()


def _whole(body: Mapping[str, Any], name: str, lowest: int, highest: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        message = f"{name}: must be a whole number from {lowest:,} to {highest:,}"
        raise ApiError(422, "invalid", message, field=name)
    return value
