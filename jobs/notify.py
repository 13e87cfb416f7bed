"""Tell people what is due: outbox -> alert pipeline -> receivers; then note when an incident was first told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from alerts.deliver import DeliveryResult, Pauses, Receiver, Result, Rules, deliver_due
from alerts.pipeline import Route
from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.slack import SlackReceiver
from controlplane.settings import Settings
from jobs.deps import Deps


def receivers(settings: Settings, stream: TextIO | None = None) -> tuple[Mapping[str, Receiver], Rules]:
    """Slack when it is configured, with the console standing in for it; else the console."""
    console = ConsoleReceiver(stream)
    if settings.slack is None:
        return {"console": console}, Rules(routes=(Route("default", ("console",)),))
    slack = SlackReceiver.connect(settings.slack.token, settings.slack.channel, settings.slack.base_url)
    return {"slack": slack, "console": console}, Rules(routes=(Route("default", ("slack", "console")),))


def run(deps: Deps, now: datetime) -> list[DeliveryResult]:
    """One round of delivery."""
    if deps.rules is None:
        return []
    if deps.pauses is None:
        deps.pauses = Pauses()
    results = deliver_due(deps.state, deps.state, deps.receivers, now, deps.rules, deps.pauses)
    for result in results:
        if result.result in (Result.SENT, Result.FOUND) and result.incident_id is not None:
            deps.state.record_alerted(result.incident_id, result.alerted_at or now)
    return results
