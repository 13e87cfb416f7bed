"""What is handed to a receiver, and what it answers. A receiver tries once and never waits: the outbox repeats.

A receiver is anything with a `name` and `send(message) -> receipt` (the protocol is declared in `alerts.deliver`). The receipt
is a small JSON object that is stored; a parent message says so in it (`"parent": true`), so that the next message of the
incident is sent beneath it. To add one: write `send`, raise `DeliveryError` when the message was not taken, look the message
up first when `in_doubt` is set and the other side can be asked, and name it in a route.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from alerts.model import Alert
from alerts.wording import headline

Receipt = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing to tell.

    `event` is what happened now; `view` is the incident's gravest present state, for a message that is kept up to date, with
    `also` naming its other alerts. `parent` is the receipt of the incident's first message by this receiver. `in_doubt`: an
    earlier attempt of this very message may have arrived; `parent_in_doubt`: some attempt of this incident may have, without
    a receipt. `told` are the alert keys that this message tells, oldest first (stored with it, so a looked-up message says what it told).
    `alerts` are all alerts of the message in their newest state, the event first; `steps` what happened since the last one, line by line, oldest
    first (the event's own step among them). `repeat`: after how long the message comes again while its alert fires.
    """

    outbox_id: str
    event: Alert
    view: Alert
    incident_id: str | None = None
    also: tuple[str, ...] = ()
    note: str = ""
    parent: Mapping[str, Any] | None = None
    in_doubt: bool = False
    parent_in_doubt: bool = False
    told: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    repeat: timedelta = timedelta(hours=4)

    @property
    def besides(self) -> tuple[str, ...]:
        """Headlines of the incident's other alerts, for a receiver that tells the event alone."""
        own = headline(self.event)
        return tuple(other for other in (headline(self.view), *self.also) if other != own)


class DeliveryError(Exception):
    """The message was not taken, or nobody knows.

    `permanent`: trying again cannot help until a person changes something. `retry_after`: seconds the other side asked for.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
