"""What the reader of an alert does first, and where its runbook is: one row for each `alertname`. Pure; plain text.

The runbooks are the sections of the same name in docs/how-to/on-call.md. Annotation `runbook` replaces the place (a URL becomes a link).
"""

from __future__ import annotations

from collections.abc import Mapping

from alerts.model import Alert
from alerts.wording_incident import is_acknowledged

PLACE = "docs/how-to/on-call.md"

FIRST: Mapping[str, str] = {
    "rollback": "Nothing is left to stop: customers have the fallback. Look for the cause: controlplane incident causes {incident}",
    "hold": "Nothing is urgent: the share cannot grow. Read what held it (controlplane explain), then resume or roll back.",
    "execution_disabled": "The assistant answers but executes nothing. Look at the tool or API that failed; then controlplane enable-execution",
    "contained_category": "The category goes to people already. Find why it was routed wrongly, then controlplane containment release INTENT",
    "rollback_not_verified": "The cut is decided, not seen. Restart the flag server that is named, or stop the assistant at its own edge, now.",
    "containment_not_verified": "The measure is decided, not seen. Do at the assistant's own edge, now, what the message says was not seen.",
    "stale_data": "No verdict is possible without data. Look at the producer and at what has landed: controlplane status",
    "trigger": "The machine has changed nothing: hold or roll back is yours to decide. Read the evidence below first.",
    "incident": "Read the incident first: controlplane incident show {incident}",
    "serious_incident_report": "A report to the authority may be due by the time that is shown: controlplane incident serious {incident} --help",
    "drift": "Nothing is urgent. Open the analysis and say whether the change is known: controlplane drift --help",
    "delivery_failed": "Alerts did not reach the receiver that is named. Mend its token, channel or address; nothing was lost.",
    "unreadable_alert": "An alert is stored that this version cannot read: it is shown as it is. Tell whoever writes it.",
}


# A cut that nobody has seen yet is not said to have helped.
UNSEEN = "The cut is being verified; if that fails, you are called again. Look for the cause: controlplane incident causes {incident}"


def first_step(alert: Alert) -> str:
    """What to do first; "" where the alert has no runbook of ours."""
    name = alert.labels.get("alertname", "")
    words = UNSEEN if name == "rollback" and alert.times.verified is None else FIRST.get(name, "")
    asked = "Acknowledge. " if words and alert.incident_id and not is_acknowledged(alert) else ""
    return asked + words.replace("{incident}", alert.incident_id or "ID")


def runbook(alert: Alert) -> str:
    """Where the runbook is: the annotation, else the section of the handbook; "" for an alert that has none."""
    name = alert.labels.get("alertname", "")
    return alert.annotations.get("runbook", "") or (f"{PLACE}, section {name}" if name in FIRST else "")
