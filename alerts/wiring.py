"""Which receivers there are and what goes where: the defaults, from plain settings.

The incidents channel gets one parent per incident and nothing else; reviews and whatever has no incident go to the review
channel. Every route ends at the console, so there is always somebody who is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TextIO

from alerts.deliver import Receiver, Rules
from alerts.pipeline import Route, match
from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.slack import SlackReceiver
from alerts.receivers.webhook import WebhookReceiver

SLACK, REVIEW, WEBHOOK, CONSOLE = "slack", "slack-review", "webhook", "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Where alerts may go; an empty text means not configured. The names are those of the environment variables."""

    slack_bot_token: str = field(default="", repr=False)
    slack_channel: str = ""
    slack_review_channel: str = ""
    slack_base_url: str = ""
    webhook_url: str = ""
    webhook_secret: str = field(default="", repr=False)


def problems_of(channels: Channels) -> tuple[str, ...]:
    """What is configured by half, and so not used; one sentence each, for whoever starts the process."""
    pairs = (
        ("SLACK_BOT_TOKEN", channels.slack_bot_token, "SLACK_CHANNEL", channels.slack_channel),
        ("the webhook's address", channels.webhook_url, "the webhook's secret", channels.webhook_secret),
    )
    return tuple(_half(*pair) for pair in pairs if bool(pair[1]) != bool(pair[3]))


def _half(first: str, one: str, second: str, _other: str) -> str:
    given, missing = (first, second) if one else (second, first)
    return f"{given} is set but {missing} is not: no alert goes there until both are"


def receivers_of(channels: Channels, stream: TextIO | None = None) -> dict[str, Receiver]:
    """The configured receivers by name; the console is always one. What is configured by half is left out (`problems_of`)."""
    found: dict[str, Receiver] = {CONSOLE: ConsoleReceiver(stream)}
    token, base = channels.slack_bot_token, channels.slack_base_url
    for name, channel in ((SLACK, channels.slack_channel), (REVIEW, channels.slack_review_channel)):
        if token and channel:
            found[name] = SlackReceiver.connect(token, channel, base, name=name)
    if channels.webhook_url and channels.webhook_secret:
        found[WEBHOOK] = WebhookReceiver(channels.webhook_url, channels.webhook_secret.encode(), name=WEBHOOK)
    return found


def default_rules(receivers: Iterable[str]) -> Rules:
    """Incidents to Slack, the rest to the review channel; the webhook and the console stand in, in that order."""
    known = set(receivers)

    def route(name: str, *names: str, **labels: str) -> Route:
        return Route(name, tuple(n for n in names if n in known), match(**labels))

    incidents = route("incidents", SLACK, WEBHOOK, CONSOLE, incident="yes")
    return Rules(routes=(incidents, route("everything else", REVIEW, WEBHOOK, CONSOLE)))
