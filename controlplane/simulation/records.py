"""Landing records that the world writes itself: exposures and feedback. Replies are logged by the assistant's own recorder."""

from __future__ import annotations

from datetime import datetime

from controlplane.assistant.model import Message
from controlplane.assistant.record import Record, iso
from controlplane.core.assignment import Exposure

FLAG_KEY = "arm"


def exposure_record(message: Message, exposure: Exposure, intent: str) -> Record:
    """What the conversation that begins with `message` was served, and why."""
    return {
        "record": "exposure",
        "exposure_id": f"{message.conversation_id}:exposure",
        "ts": iso(message.ts),
        "conversation_id": message.conversation_id,
        "user_id": message.user_id,
        "flag_key": FLAG_KEY,
        "variant": str(exposure.arm),
        "reason": str(exposure.reason),
        "flag_version": exposure.flag_version,
        "rollout_id": exposure.rollout_id or None,
        "release": exposure.release or None,
        "phase": exposure.phase or None,
        "share": exposure.share,
        "eligible": exposure.eligible,
        "ineligible_reason": exposure.ineligible_reason,
        "segment": message.segment,
        "region": message.region,
        "channel": message.channel,
        "intent_first": intent,
    }


def feedback_record(conversation_id: str, csat: int, resolved: bool, comment: str | None, when: datetime) -> Record:
    """A customer's answer to the rating request."""
    return {
        "record": "feedback",
        "feedback_id": f"{conversation_id}:feedback",
        "ts": iso(when),
        "conversation_id": conversation_id,
        "csat": csat,
        "resolved": resolved,
        "comment": comment,
    }
