"""What producers send: customers' feedback and log records. Durable before it is acknowledged (202), masked by the writer.

`POST /v1/feedback` takes one answer: {"conversation_id", "csat" 1..5, "resolved" true/false, "comment", "feedback_id"}; the id
is optional and makes a repeated request recognisable. `POST /v1/records` takes landing records, one JSON object a line. Here
only the form is judged: a line that is no JSON object refuses the whole request (400, naming the line), so that the sender
can mend it; what a record says is judged by ingest, which puts bad ones into quarantine with a reason.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controlplane.server.auth import Doorkeeper, Permission
from controlplane.server.edge import ApiError, json_response, read_body, read_object, strict_json
from controlplane.server.services import Services

logger = logging.getLogger("controlplane.server")

ID_MAX = 200
COMMENT_MAX = 4_000
_FEEDBACK_FIELDS = ("conversation_id", "csat", "resolved", "comment", "feedback_id")

Record = Mapping[str, Any]


class Intake:
    """Handlers of what producers send."""

    def __init__(self, services: Services, doorkeeper: Doorkeeper) -> None:
        self._services = services
        self._doorkeeper = doorkeeper

    def routes(self) -> list[Route]:
        """The intake routes."""
        return [
            Route("/v1/feedback", self.feedback, methods=["POST"]),
            Route("/v1/records", self.records, methods=["POST"]),
        ]

    async def feedback(self, request: Request) -> Response:
        """One customer's answer about one conversation."""
        self._doorkeeper.admit(request, Permission.SEND)
        body = await read_object(request, self._services.limits.body_bytes)
        problems = dict(feedback_problems(body))
        if problems:
            field, message = next(iter(problems.items()))
            raise ApiError(422, "invalid", f"{field}: {message}", field=field, more={"problems": problems})
        identity = body.get("feedback_id") or self._services.new_id()
        moment = self._services.clock().isoformat().replace("+00:00", "Z")
        answer = {name: body.get(name) for name in ("conversation_id", "csat", "resolved", "comment")}
        await self._land([{"record": "feedback", "feedback_id": identity, "ts": moment, **answer}])
        return json_response({"accepted": 1, "feedback_id": identity}, 202)

    async def records(self, request: Request) -> Response:
        """Landing records as JSON lines."""
        self._doorkeeper.admit(request, Permission.SEND)
        limits = self._services.limits
        body = await read_body(request, limits.records_bytes)
        if body.count(b"\n") >= limits.records_lines + 1:
            raise ApiError(413, "too_large", f"more than {limits.records_lines:,} lines; send them in parts")
        records = await run_in_threadpool(parse_lines, body)
        accepted = await self._land(records) if records else 0
        return json_response({"accepted": accepted}, 202)

    async def _land(self, records: Sequence[Record]) -> int:
        try:
            return await run_in_threadpool(self._services.landing.write, records)
        except (ValueError, RecursionError):
            logger.exception("records could not be stored")
            raise ApiError(400, "bad_record", "a record cannot be stored as JSON (nested too deeply?)") from None
        except Exception:
            # Whatever it was, nothing is promised to be on disk: the sender must keep its records and send them again.
            logger.exception("the landing folder did not take records")
            raise ApiError(
                503,
                "unavailable",
                "the records could not be stored and are not acknowledged; send them again later",
                headers={"Retry-After": "5"},
            ) from None


def parse_lines(body: bytes) -> list[Record]:
    """The objects of JSON lines; blank lines are skipped. Raises ApiError 400 naming the line."""
    found: list[Record] = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = strict_json(line)
        except ValueError as problem:
            raise ApiError(
                400, "bad_json", f"line {number}: {problem}; nothing was stored", more={"line": number}
            ) from None
        if not isinstance(value, dict):
            message = f"line {number}: must be a JSON object; nothing was stored"
            raise ApiError(400, "bad_json", message, more={"line": number})
        found.append(value)
    return found


def feedback_problems(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field and what is wrong with it, for everything that is."""
    known = ", ".join(_FEEDBACK_FIELDS)
    for name in body:
        if name not in _FEEDBACK_FIELDS:
            yield str(name)[:100], f"unknown field; known: {known}"
    identity, csat = body.get("conversation_id"), body.get("csat")
    if not _is_text(identity, 1, ID_MAX):
        yield "conversation_id", f"needed: a text of 1 to {ID_MAX} characters"
    if csat is not None and (isinstance(csat, bool) or not isinstance(csat, int) or not 1 <= csat <= 5):
        yield "csat", "must be a whole number from 1 to 5, or null"
    if body.get("resolved") is not None and not isinstance(body["resolved"], bool):
        yield "resolved", "must be true, false or null"
    if body.get("comment") is not None and not _is_text(body["comment"], 0, COMMENT_MAX):
        yield "comment", f"must be a text of at most {COMMENT_MAX:,} characters, or null"
    if body.get("feedback_id") is not None and not _is_text(body["feedback_id"], 1, ID_MAX):
        yield "feedback_id", f"must be a text of 1 to {ID_MAX} characters, or left out"
    if all(body.get(name) is None for name in ("csat", "resolved", "comment")):
        yield "csat", "say at least one of csat, resolved, comment"


def _is_text(value: object, shortest: int, longest: int) -> bool:
    return isinstance(value, str) and shortest <= len(value.strip()) and len(value) <= longest
