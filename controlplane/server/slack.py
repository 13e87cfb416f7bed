"""What Slack sends by signed HTTP: presses and forms to `/v1/slack/interactions`, slash commands to `/v1/slack/commands`.

The signature is the only proof of where a request comes from: HMAC-SHA256 over the time stamp and the raw body, compared in constant time, not older
(or newer) than five minutes, checked before the body is read for what it says. A replay within these minutes is recognised by whoever takes the
request: a press is taken once. Nothing is acted upon here: the request is kept durably, and answered at once, as Slack waits for three seconds only.
Without a signing secret the paths do not exist.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import anyio
from slack_sdk.signature import Clock, SignatureVerifier
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controlplane.server.auth import Doorkeeper
from controlplane.server.edge import ApiError, json_response, read_body, strict_json
from controlplane.server.services import Services, SlackDoor

logger = logging.getLogger("controlplane.server")

TIMESTAMP, SIGNATURE = "x-slack-request-timestamp", "x-slack-signature"
BODY_BYTES = 1024 * 1024  # a press carries the whole message it stands under, percent-encoded
FRESH_SECONDS = 300
FIELDS = 50
INTERACTION, COMMAND = "interaction", "command"


class Slack:
    """Handlers of what Slack sends; no routes without a door."""

    def __init__(self, services: Services, _doorkeeper: Doorkeeper) -> None:
        self._door = services.slack

    def routes(self) -> list[Route]:
        """The two paths, where a signing secret is configured."""
        if self._door is None:
            return []
        return [
            Route("/v1/slack/interactions", self.interaction, methods=["POST"]),
            Route("/v1/slack/commands", self.command, methods=["POST"]),
        ]

    async def interaction(self, request: Request) -> Response:
        """A press, or a form that was sent off."""
        form = await _signed_form(request, _opened(self._door))
        try:
            payload = strict_json(form.get("payload", "").encode("utf-8"))
        except ValueError as problem:
            raise ApiError(400, "bad_json", f"the payload cannot be read: {problem}", field="payload") from None
        if not isinstance(payload, dict):
            raise ApiError(400, "bad_json", "the payload must be a JSON object", field="payload")
        return await self._take(INTERACTION, payload)

    async def command(self, request: Request) -> Response:
        """A slash command. Slack checks a certificate now and then with `ssl_check`, which asks for nothing."""
        form = await _signed_form(request, _opened(self._door))
        if form.get("ssl_check") == "1":
            return Response(status_code=200)
        return await self._take(COMMAND, form)

    async def _take(self, kind: str, payload: Mapping[str, Any]) -> Response:
        door = _opened(self._door)
        try:
            answer = await anyio.to_thread.run_sync(door.take, kind, payload)
        except ValueError as problem:
            raise ApiError(400, "bad_request", str(problem)) from None
        except Exception:
            # Not kept, so not answered as taken: Slack tells the person that it did not work.
            logger.exception("a request from Slack could not be kept")
            raise ApiError(503, "unavailable", "the request could not be stored; nothing was done") from None
        return json_response(answer) if answer else Response(status_code=200)


def _opened(door: SlackDoor | None) -> SlackDoor:
    if door is None:  # its routes are not there then
        raise ApiError(404, "not_found", "Slack is not listened to here")
    return door


async def _signed_form(request: Request, door: SlackDoor) -> dict[str, str]:
    """The fields of a form that Slack has signed. Raises ApiError 401 for any other, without saying what is wrong with it."""
    refused = ApiError(
        401, "unauthorized", "a fresh signature of Slack is needed: check SLACK_SIGNING_SECRET and this machine's clock"
    )
    stamp, signature = request.headers.get(TIMESTAMP, ""), request.headers.get(SIGNATURE, "")
    if not is_fresh(stamp, door.now()):
        raise refused
    body = await read_body(request, BODY_BYTES)
    if not is_signed(door.signing_secret, stamp, signature, body, door.now()):
        raise refused
    try:
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except ValueError:
        raise ApiError(400, "bad_form", "the body is no form of UTF-8 fields") from None
    return dict(fields)


def is_fresh(stamp: str, now: float) -> bool:
    """Whether a time stamp (seconds since 1970) is one, and within five minutes of `now`."""
    digits = stamp.isascii() and stamp.isdigit() and len(stamp) < 16
    return digits and abs(now - int(stamp)) <= FRESH_SECONDS


def is_signed(secret: str, stamp: str, signature: str, body: bytes, now: float) -> bool:
    """Whether Slack has signed this body at this time; False for whatever is no signature at all."""
    if not is_fresh(stamp, now) or not signature.isascii():
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(SignatureVerifier(secret, _Fixed(now)).is_valid(body, stamp, signature))


class _Fixed(Clock):
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now
