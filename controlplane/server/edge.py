"""The HTTP edge: bodies in, JSON out, errors that help the asker and hide the inside.

- A body is read up to its limit and no further (413), and must be strict JSON: UTF-8, no NaN or infinity, no lone surrogates,
  so that nothing is accepted that could not be stored.
- Errors are `{"error": word, "message": sentence}`, with `field` where one is to blame.
- An unexpected error is logged with a reference; the asker sees only the reference.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("controlplane.server")

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class ApiError(Exception):
    """A request that is answered with an error. `field` names what is to blame."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        blame = {} if field is None else {"field": field}
        self.body: dict[str, Any] = {"error": error, "message": message, **blame, **(more or {})}


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON in UTF-8. Values that JSON lacks become text (times ISO-8601, bytes hex) or, if not finite, null."""
    body = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    content = body.encode("utf-8", "replace")
    return Response(content, status, headers=dict(headers or {}), media_type="application/json")


def plain(value: object) -> Any:
    """A value as JSON has it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(inner) for inner in value]
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return plain(float(value))
        case bytes() | bytearray():
            return value.hex()
        case UUID():
            return str(value)
        case _:
            return str(value)


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises ApiError 413 beyond it, 415 for a compressed one."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ApiError(415, "unsupported_encoding", "compressed bodies are not read here; send it as it is")
    too_large = ApiError(413, "too_large", f"the body is larger than {limit:,} bytes; send it in parts")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise too_large
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def strict_json(body: bytes) -> Any:
    """The value of a JSON text. Raises ValueError with a sentence that says what is wrong."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"not UTF-8 at byte {problem.start}") from None
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as problem:
        raise ValueError(f"not JSON: {problem.msg} at line {problem.lineno}, column {problem.colno}") from None
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"not JSON: {name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """The body as a JSON object. Raises ApiError 400."""
    body = await read_body(request, limit)
    try:
        value = strict_json(body)
    except ValueError as problem:
        raise ApiError(400, "bad_json", f"the body cannot be read: {problem}") from None
    if not isinstance(value, dict):
        raise ApiError(400, "bad_json", f"the body must be a JSON object, it is {_kind(value)}")
    return value


def _kind(value: object) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")


async def on_api_error(_request: Request, problem: Exception) -> Response:
    """The answer to an ApiError."""
    assert isinstance(problem, ApiError)
    return json_response(problem.body, problem.status, problem.headers)


async def on_http_error(request: Request, problem: Exception) -> Response:
    """The answer to what routing itself refuses: an unknown path, a wrong method."""
    assert isinstance(problem, HTTPException)
    words = {404: "not_found", 405: "method_not_allowed"}
    sentences = {
        404: f"there is nothing at {request.url.path[:200]}",
        405: f"{request.method} is not possible here; allowed: {(problem.headers or {}).get('Allow', 'see the documentation')}",
    }
    word = words.get(problem.status_code, "error")
    message = sentences.get(problem.status_code, str(problem.detail))
    return json_response({"error": word, "message": message}, problem.status_code, problem.headers)


class Boundary:
    """ASGI middleware around everything: security headers on each answer, and no exception leaves it."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_secured(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = {name.lower() for name, _ in message.get("headers", [])}
                more = [(name, value) for name, value in SECURITY_HEADERS if name not in given]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        try:
            await self._app(scope, receive, send_secured)
        except ClientDisconnect:
            logger.info("%s %s: the client went away", scope["method"], scope["path"])
        except Exception:
            reference = self._new_id()
            logger.exception("%s %s failed, reference %s", scope["method"], scope["path"], reference)
            if started:
                raise
            message = f"an internal error; the log of the control process has it under reference {reference}"
            answer = json_response({"error": "internal", "message": message, "reference": reference}, 500)
            await answer(scope, receive, send_secured)
