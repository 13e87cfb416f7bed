"""Which receivers there are and what goes where: an alerting file and the values of its variables -> receivers and rules.

The incidents channel gets one parent per incident and nothing else; reviews and whatever has no incident go to the review
channel. Every route that ends the search ends at the console, so there is always somebody who is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TextIO

from alerts.config import Alerting, ReceiverSpec
from alerts.deliver import Receiver
from alerts.pipeline import Route
from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.slack import SlackReceiver
from alerts.receivers.webhook import WebhookReceiver

CONSOLE = "console"


class ReceiverError(ValueError):
    """A receiver that has a part of what it needs, or an address that is none; the message names the variable, never its value."""


@dataclass(frozen=True, slots=True)
class Wired:
    """What works together here: the alerting with the rules of the receivers that are configured, and which are not, with what is missing."""

    alerting: Alerting
    receivers: Mapping[str, Receiver]
    left_out: Mapping[str, str] = field(default_factory=dict)


def wire(alerting: Alerting, variables: Mapping[str, str], stream: TextIO | None = None) -> Wired:
    """Connect the file's receivers. `variables`: the environment's values by name ("SLACK_CHANNEL", "CONTROLPLANE_ALERT_...").

    A receiver none of whose variables is set is left out, and so is a route that only had such ones and goes on. Raises ReceiverError.
    """
    found: dict[str, Receiver] = {}
    left_out: dict[str, str] = {}
    for spec in alerting.receivers:
        values, missing = _resolved(spec, variables)
        if missing:
            left_out[spec.name] = missing
        else:
            found[spec.name] = _connect(values, variables, stream)
    last = next((spec.name for spec in alerting.receivers if spec.kind == CONSOLE), CONSOLE)
    found.setdefault(last, ConsoleReceiver(stream))
    routes = (_left(route, found, last) for route in alerting.rules.routes)
    rules = replace(alerting.rules, routes=tuple(route for route in routes if route.receivers))
    return Wired(replace(alerting, rules=rules), found, left_out)


def _left(route: Route, found: Mapping[str, Receiver], last: str) -> Route:
    names = tuple(name for name in route.receivers if name in found)
    ends = not route.continue_ and last not in names
    return replace(route, receivers=(*names, last) if ends else names)


def _resolved(spec: ReceiverSpec, variables: Mapping[str, str]) -> tuple[ReceiverSpec, str]:
    """The spec with its values, and the variables that are missing ("" when it is complete)."""
    missing = []

    def value(text: str) -> str:
        if not text.startswith("$"):
            return text
        if not variables.get(text[1:]):
            missing.append(text[1:])
        return variables.get(text[1:], "")

    found = replace(spec, channel=value(spec.channel), url=value(spec.url), secret=value(spec.secret))
    if spec.kind == "slack" and not variables.get("SLACK_BOT_TOKEN"):
        missing.insert(0, "SLACK_BOT_TOKEN")
    if spec.kind == "webhook" and bool(found.url) != bool(found.secret):
        raise ReceiverError(
            f"receiver '{spec.name}' is configured by half: {missing[0]} is not set; set it, or unset what the receiver has"
        )
    if found.url and not found.url.startswith(("http://", "https://")):
        raise ReceiverError(f"receiver '{spec.name}': {spec.url[1:]} is no address: it begins with http:// or https://")
    return found, ", ".join(missing)


def _connect(spec: ReceiverSpec, variables: Mapping[str, str], stream: TextIO | None) -> Receiver:
    """A receiver of a complete spec."""
    if spec.kind == "slack":
        base = variables.get("SLACK_BASE_URL", "")
        return SlackReceiver.connect(variables["SLACK_BOT_TOKEN"], spec.channel, base, name=spec.name)
    if spec.kind == "webhook":
        return WebhookReceiver(spec.url, spec.secret.encode(), name=spec.name)
    if spec.kind == "alertmanager":
        from alerts.receivers.alertmanager import AlertmanagerReceiver

        return AlertmanagerReceiver(spec.url, name=spec.name)
    return ConsoleReceiver(stream)
