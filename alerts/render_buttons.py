"""Which buttons stand under an alert: only those that make sense for where its incident and its rollout are. Pure.

What a press may do is decided again when it comes: a message may be old, and the person may not have the role.
"""

from __future__ import annotations

from alerts.buttons import OVERRIDE_HOURS, Press, value
from alerts.model import Alert
from alerts.render_blocks import BUTTON_VALUE_MAX, Button, linkable, units
from alerts.wording_incident import is_acknowledged, is_over
from controlplane.core.overrides import SAFETY_METRIC

_ROLLED_BACK = frozenset({"rollback", "rollback_not_verified"})
_OVERRIDABLE = frozenset({"hold", "disable_execution"})  # who only pages has nothing to be set aside


def buttons_of(alert: Alert, listens: bool = True) -> tuple[Button, ...]:
    """Acknowledge, Hold ramp, Roll back now, Override, Open evidence.

    Only the last one, a link, where the incident is over, or where no process of ours hears a press (`listens` is false).
    """
    evidence = _evidence(alert)
    if is_over(alert) or not listens:
        return evidence
    rollout, trigger = alert.labels.get("rollout_id", ""), alert.labels.get("trigger", "")
    carried = value(alert.incident_id or "", rollout, trigger)
    if units(carried) > BUTTON_VALUE_MAX:  # no id of ours is so long; a message without buttons is better than none
        return evidence
    found: list[Button] = []
    if alert.incident_id and not is_acknowledged(alert):
        found.append(Button(Press.ACKNOWLEDGE, "Acknowledge", carried, "primary"))
    if rollout:
        found += _on_rollout(alert, carried)
    return (*found, *evidence)


def _on_rollout(alert: Alert, carried: str) -> list[Button]:
    action, name = alert.labels.get("action", ""), alert.labels.get("alertname", "")
    release = alert.labels.get("release", "") or "the release"
    if not action:
        return []  # it stands beside an incident (a report that is due) and says nothing of the rollout
    if name in _ROLLED_BACK or (action == "rollback" and name != "trigger"):  # a `trigger` only tells: nothing was cut
        return []
    found = []
    if action != "hold":
        found.append(Button(Press.HOLD, "Hold ramp", carried))
    found.append(
        Button(
            Press.ROLLBACK,
            "Roll back now",
            carried,
            "danger",
            confirm=f"All customers of {release[:100]} go back at once to what the policy serves instead. Only a person can start "
            "again, with another release and the evidence for it.",
        )
    )
    safety = alert.labels.get("metric") == SAFETY_METRIC
    if action in _OVERRIDABLE and alert.labels.get("category") == "metric" and not safety:
        found.append(Button(Press.OVERRIDE, f"Override {OVERRIDE_HOURS:g} h", carried))
    return found


def _evidence(alert: Alert) -> tuple[Button, ...]:
    if not (alert.incident_id or alert.labels.get("rollout_id")):
        return ()  # a review has links, and no evidence against anybody
    link = next((link for link in alert.links if linkable(link.url)), None)
    if link is None:
        return ()
    return (Button(Press.EVIDENCE, "Open evidence", url=link.url),)
