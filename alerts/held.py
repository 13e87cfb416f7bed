"""Whether something holds an alert back now: the inhibitions and silences of delivery, asked for one alert alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from alerts.deliver import Rules
from alerts.model import Alert
from alerts.pipeline import Candidate, Context, Group
from alerts.stages import inhibit_stage, silence_stage


def held_back(alert: Alert, kind: str, rules: Rules, now: datetime, active: Sequence[Alert] = ()) -> str:
    """Why the alert would not be told at `now`: by which inhibition or silence; "" when nothing holds it back. `active`: what fires beside it."""
    context = Context(
        now=now, routes=rules.routes, active=tuple(active), inhibitions=rules.inhibitions, silences=rules.silences
    )
    group = Group(alert.alert_id, (Candidate(alert.alert_id, kind, now, alert),))
    for stage in (inhibit_stage, silence_stage):
        for withheld in stage((group,), context).withheld:
            return f"{withheld.reason} ({withheld.detail})"
    return ""
