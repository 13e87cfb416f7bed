"""A generic signed webhook: one JSON object by POST, for anything that has no receiver of its own.

    X-Controlplane-Timestamp: 1767603600                       seconds since 1970, UTC
    X-Controlplane-Signature: v1=<hex HMAC-SHA256(secret, timestamp + "." + body)>
    X-Controlplane-Delivery:  <outbox id>                      the same for every repeat: idempotency key

The other side checks with `verify_signature` (constant time; five minutes of tolerance against replays) and drops a delivery
id that it knows. 2xx is taken; 429 and 503 are repeated after `Retry-After`; 408, 5xx and a broken connection are repeated;
any other answer, a redirect too, needs a person.

The body: `alert` is what happened now, `alerts` all that this message tells in their newest state (the first is `alert`; at most 100 of
`alerts_total`), `steps` what happened to the incident since the last message, `also` headlines of its other alerts, `note` a word about the delivery.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from alerts.message import DeliveryError, Message, Receipt

TIMESTAMP = "x-controlplane-timestamp"
SIGNATURE = "x-controlplane-signature"
DELIVERY = "x-controlplane-delivery"
TOLERANCE_SECONDS = 300
RETRY_AFTER_MAX = 3_600.0
ALERTS_MAX = 100  # in one body: what a storm has beyond them is counted, not listed


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of the signature header."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify_signature(secret: bytes, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether a delivery is ours and fresh. `headers` has lower-case names or ignores case."""
    timestamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        return False
    fresh = abs(now.timestamp() - int(timestamp)) <= TOLERANCE_SECONDS
    right = hmac.compare_digest(sign(secret, timestamp, body).encode(), given.encode("utf-8", "replace"))
    return fresh and right


def retry_seconds(value: str | None) -> float | None:
    """Seconds of a Retry-After header, within an hour; None where it is absent or not a number."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX) if seconds == seconds else None


@dataclass(frozen=True, slots=True)
class WebhookReceiver:
    """Posts to `url`. `clock` is the real time: the signature's freshness is checked against it on the other side."""

    url: str
    secret: bytes = field(repr=False)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    timeout: float = 5.0
    name: str = "webhook"

    def send(self, message: Message) -> Receipt:
        """One attempt. Raises DeliveryError."""
        body = json.dumps(_payload(message), ensure_ascii=True, separators=(",", ":")).encode()
        timestamp = str(int(self.clock().timestamp()))
        headers = {
            "content-type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: sign(self.secret, timestamp, body),
            DELIVERY: message.outbox_id,
        }
        try:
            answer = httpx.post(self.url, content=body, headers=headers, timeout=self.timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            permanent = isinstance(problem, httpx.UnsupportedProtocol | httpx.InvalidURL)
            raise DeliveryError(f"{self.name}: {type(problem).__name__}: {problem}", permanent=permanent) from problem
        if answer.is_success:
            return {"parent": message.parent is None, "status": answer.status_code}
        temporary = answer.status_code in (408, 425, 429) or answer.status_code >= 500
        wait = retry_seconds(answer.headers.get("retry-after"))
        raise DeliveryError(
            f"{self.name}: the other side answered {answer.status_code}", permanent=not temporary, retry_after=wait
        )


def _payload(message: Message) -> dict[str, object]:
    return {
        "version": 1,
        "delivery_id": message.outbox_id,
        "incident_id": message.incident_id,
        "alert": message.event.to_dict(),
        "alerts": [alert.to_dict() for alert in (message.alerts or (message.event,))[:ALERTS_MAX]],
        "alerts_total": len(message.alerts) or 1,
        "steps": list(message.steps),
        "also": list(message.besides)[:ALERTS_MAX],
        "note": message.note,
    }
