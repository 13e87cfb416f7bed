"""Tell people what is due: outbox -> alert pipeline -> receivers; then note when an incident was first told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from alerts.deliver import DeliveryResult, Pauses, Receiver, Rules, deliver_due
from alerts.wiring import Channels, default_rules, receivers_of
from controlplane.settings import Settings
from jobs.deps import Deps


def receivers(settings: Settings, stream: TextIO | None = None) -> tuple[Mapping[str, Receiver], Rules]:
    """Slack when it is configured, with the console standing in for it; else the console."""
    slack = settings.slack
    channels = Channels()
    if slack is not None:
        channels = Channels(
            slack_bot_token=slack.token,
            slack_channel=slack.channel,
            slack_review_channel=slack.review_channel,
            slack_base_url=slack.base_url,
        )
    found = receivers_of(channels, stream)
    return found, default_rules(found)


def run(deps: Deps, now: datetime) -> list[DeliveryResult]:
    """One round of delivery."""
    if deps.rules is None:
        return []
    if deps.pauses is None:
        deps.pauses = Pauses()
    results = deliver_due(deps.state, deps.state, deps.receivers, now, deps.rules, deps.pauses)
    for result in results:
        if result.alerted_at is not None and result.incident_id is not None:
            deps.state.record_alerted(result.incident_id, result.alerted_at)
    return results
