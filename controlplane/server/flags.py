"""The flag API: OFREP, the OpenFeature Remote Evaluation Protocol, so any OpenFeature SDK can ask which arm to serve.

Two flags: `arm` ("assistant" or "baseline") and `execution_enabled` (whether workflows may act). Fail safe: whatever goes
wrong behind this API is answered with the baseline and execution off, with the reason ERROR or STALE, never with a 500; only
a request that is itself wrong is refused. The metadata has the fields of an exposure record, so that a producer can log what
it was served just as it got it, and `version` and `flagSetId` as OpenFeature's telemetry names them.

Context attributes, all optional but the first: targetingKey (the customer's id), employee, segment, intent, mandatory_person,
low_risk. Others are ignored. What is left out counts as false or unknown.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controlplane.core.assignment import Exposure, Reason, Unit, baseline
from controlplane.server.auth import Doorkeeper, Permission
from controlplane.server.edge import ApiError, json_response, read_body, strict_json
from controlplane.server.services import Services

logger = logging.getLogger("controlplane.server")

ARM = "arm"
EXECUTION = "execution_enabled"
KEYS = (ARM, EXECUTION)
KEY_MAX = 1_024


class _Unusable(Exception):
    """An evaluation request that OFREP answers with an error code."""

    def __init__(self, code: str, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.code, self.details, self.status = code, details, status


class Flags:
    """Handlers of the flag routes."""

    def __init__(self, services: Services, doorkeeper: Doorkeeper) -> None:
        self._services = services
        self._doorkeeper = doorkeeper

    def routes(self) -> list[Route]:
        """The OFREP routes."""
        return [
            Route("/ofrep/v1/evaluate/flags", self.evaluate_all, methods=["POST"]),
            Route("/ofrep/v1/evaluate/flags/{key}", self.evaluate_one, methods=["POST"]),
        ]

    async def evaluate_one(self, request: Request) -> Response:
        """One flag for one customer."""
        self._admit(request)
        key = request.path_params["key"]
        try:
            if key not in KEYS:
                known = ", ".join(KEYS)
                raise _Unusable("FLAG_NOT_FOUND", f"there is no flag '{key[:100]}'; flags: {known}", 404)
            exposure = await self._exposure(request)
        except _Unusable as problem:
            return _refusal(problem, {"key": key})
        return json_response(evaluation(key, exposure))

    async def evaluate_all(self, request: Request) -> Response:
        """All flags for one customer; 304 when the client has this very answer already."""
        self._admit(request)
        try:
            exposure = await self._exposure(request)
        except _Unusable as problem:
            return _refusal(problem, {})
        body = {"flags": [evaluation(key, exposure) for key in KEYS], "metadata": metadata(exposure)}
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        headers = {"ETag": f'"{digest[:32]}"'}
        if _has_it(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return json_response(body, headers=headers)

    def _admit(self, request: Request) -> None:
        if not self._services.open_flags:
            self._doorkeeper.admit(request, Permission.FLAGS, api_key=True)

    async def _exposure(self, request: Request) -> Exposure:
        try:
            body = await read_body(request, self._services.limits.body_bytes)
        except ApiError as problem:
            raise _Unusable("GENERAL", str(problem), problem.status) from None
        try:
            unit = unit_of(strict_json(body))
        except ValueError as problem:
            raise _Unusable("PARSE_ERROR", f"the body cannot be read: {problem}") from None
        return await run_in_threadpool(self._evaluate, unit)

    def _evaluate(self, unit: Unit) -> Exposure:
        try:
            return self._services.flags.evaluate(unit, self._services.clock())
        except Exception:  # fail safe: the customer is served the baseline, the operator gets the trace
            logger.exception("flags could not be evaluated; the baseline is served")
            return baseline(Reason.ERROR)


def unit_of(body: Any) -> Unit:
    """The customer of an evaluation request. Raises `_Unusable` for a context that cannot be used."""
    context = body.get("context", {}) if isinstance(body, dict) else None
    if not isinstance(context, dict):
        raise _Unusable("INVALID_CONTEXT", 'the body must be a JSON object with an object "context"')
    key = context.get("targetingKey")
    if key is None or key == "":
        raise _Unusable("TARGETING_KEY_MISSING", 'the context needs "targetingKey", the id of the customer')
    if not isinstance(key, str) or len(key) > KEY_MAX:
        raise _Unusable("INVALID_CONTEXT", f'"targetingKey" must be a text of at most {KEY_MAX:,} characters')
    return Unit(
        user_id=key,
        employee=_flag(context, "employee"),
        segment=_text(context, "segment"),
        intent=_text(context, "intent"),
        mandatory_person=_flag(context, "mandatory_person"),
        low_risk=_flag(context, "low_risk"),
    )


def _flag(context: dict[str, Any], name: str) -> bool:
    value = context.get(name)
    if value is not None and not isinstance(value, bool):
        raise _Unusable("INVALID_CONTEXT", f'"{name}" must be true or false')
    return bool(value)


def _text(context: dict[str, Any], name: str) -> str:
    value = context.get(name)
    if value is not None and not isinstance(value, str):
        raise _Unusable("INVALID_CONTEXT", f'"{name}" must be a text')
    return value or ""


def evaluation(key: str, exposure: Exposure) -> dict[str, Any]:
    """OFREP's successful evaluation of one flag."""
    if key == ARM:
        value: str | bool = str(exposure.arm)
        variant, reason = str(exposure.arm), str(exposure.reason)
    else:
        value = exposure.execution_enabled
        variant, reason = ("on" if value else "off"), _execution_reason(exposure)
    return {"key": key, "value": value, "variant": variant, "reason": reason, "metadata": metadata(exposure)}


def _execution_reason(exposure: Exposure) -> str:
    if exposure.reason in (Reason.STALE, Reason.ERROR, Reason.DEFAULT):
        return str(exposure.reason)
    return str(Reason.TARGETING_MATCH if exposure.execution_enabled else Reason.DISABLED)


def metadata(exposure: Exposure) -> dict[str, str | int | float | bool]:
    """What a producer logs of an exposure; OpenFeature's metadata has no null, so what is unknown is left out.

    `baseline_release` names the release that serves the arm `baseline`: the menu, or the release accepted before.
    """
    known: dict[str, str | int | float | bool] = {
        "version": str(exposure.flag_version),
        "flagSetId": exposure.rollout_id,
        "flag_version": exposure.flag_version,
        "rollout_id": exposure.rollout_id,
        "release": exposure.release,
        "phase": exposure.phase,
        "share": exposure.share,
        "eligible": exposure.eligible,
    }
    if exposure.baseline_release:
        known["baseline_release"] = exposure.baseline_release
    if exposure.ineligible_reason is not None:
        known["ineligible_reason"] = exposure.ineligible_reason
    return known


def _refusal(problem: _Unusable, where: dict[str, str]) -> Response:
    return json_response({**where, "errorCode": problem.code, "errorDetails": problem.details}, problem.status)


def _has_it(if_none_match: str, etag: str) -> bool:
    """Whether a client's If-None-Match names the tag (weak comparison, as for any 304)."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
