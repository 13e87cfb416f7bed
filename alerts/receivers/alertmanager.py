"""Prometheus' Alertmanager, by its v2 API: every alert of a message, which it groups, silences and passes on to PagerDuty, e-mail and the rest.

Labels identify there as here, so posting the same alert again is no second alert: nothing has to be looked up after a crash. Two things differ:

- An alert that is not posted again ends by itself (`resolve_timeout`), unless it says when: a firing alert says "not before three repeat intervals",
  so that one that is missed changes nothing, and an incident that nobody tells of any more does not fire for ever. Its end is told at once.
- `severity` is a label there, by which people route. So an alert that became graver is another alert: with every further message of an incident the
  same alert in its other severities is told as over; one that it never saw notifies nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from alerts.message import DeliveryError, Message, Receipt
from alerts.model import Alert, Severity, Status
from alerts.receivers.webhook import retry_seconds
from alerts.wording import clean, containment, one_line

PATH = "/api/v2/alerts"
REPEATS = 3  # Prometheus itself says four times its resend delay
_NAME = re.compile(r"[^a-zA-Z0-9_]")
_HTTP = re.compile(r"https?://[^\s]+")


@dataclass(frozen=True, slots=True)
class AlertmanagerReceiver:
    """Posts to the Alertmanager at `url` ("http://127.0.0.1:9093", with its prefix where it has one). `clock`: the real time, for `endsAt`."""

    url: str
    name: str = "alertmanager"
    timeout: float = 5.0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def send(self, message: Message) -> Receipt:
        """One attempt. Raises DeliveryError."""
        alerts = list(_posted(message, self.clock()))
        try:
            answer = httpx.post(f"{self.url.rstrip('/')}{PATH}", json=alerts, timeout=self.timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            permanent = isinstance(problem, httpx.UnsupportedProtocol | httpx.InvalidURL)
            raise DeliveryError(f"{self.name}: {type(problem).__name__}: {problem}", permanent=permanent) from problem
        if answer.is_success:
            return {"parent": message.parent is None, "status": answer.status_code, "alerts": len(alerts)}
        temporary = answer.status_code in (408, 425, 429) or answer.status_code >= 500
        raise DeliveryError(
            f"{self.name}: the other side answered {answer.status_code}: {one_line(answer.text)[:200]}",
            permanent=not temporary,
            retry_after=retry_seconds(answer.headers.get("retry-after")),
        )


def _posted(message: Message, now: datetime) -> Iterator[dict[str, object]]:
    for alert in message.alerts or (message.event,):
        yield _one(alert, message, alert.severity, _ends(alert, message, now), now)
        if message.parent is not None:
            yield from (_one(alert, message, other, now, now) for other in Severity if other is not alert.severity)


def _ends(alert: Alert, message: Message, now: datetime) -> datetime:
    if alert.status is Status.RESOLVED:
        return min(alert.ends_at or now, now)
    return now + REPEATS * message.repeat


def _one(alert: Alert, message: Message, severity: Severity, ends: datetime, now: datetime) -> dict[str, object]:
    labels = {_name(name): one_line(value) for name, value in alert.labels.items()}
    labels |= {"severity": str(severity)} | ({"incident_id": alert.incident_id} if alert.incident_id else {})
    texts = {name: alert.annotations.get(name, "") for name in ("title", "summary", "runbook")}
    texts |= {"containment": containment(alert), "promise": alert.promise, "done": "\n".join(alert.done)}
    texts |= {"steps": "\n".join(message.steps), "note": message.note}
    texts |= {_name(f"incident_{name}"): value for name, value in alert.standing.items()}
    link = next((link.url for link in alert.links if _HTTP.fullmatch(link.url)), "")
    # It refuses an end before the start: what was over before it began here began when it ended.
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, text in texts.items() if (value := clean(text).strip())},
        "startsAt": _iso(min(alert.starts_at, ends, now)),
        "endsAt": _iso(ends),
        **({"generatorURL": link} if link else {}),
    }


def _name(text: str) -> str:
    """A label name as it takes one: letters, digits and underscores, no digit first, never empty."""
    name = _NAME.sub("_", text)
    return name if name and not name[0].isdigit() else f"_{name}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
