"""Words for Slack: help, status, the form that asks for a reason, and how a silence is written in a slash command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from alerts.buttons import OVERRIDE_HOURS
from alerts.render_blocks import cut, section
from controlplane.store.state import StateReader
from jobs.refused import Refused
from jobs.silences import labels_of
from jobs.slack_request import OVERRIDE_FORM, REASON_BLOCK, REASON_INPUT, REASON_MAX, REASON_MIN, carry

COMMANDS = "status, silence, hold, rollback, help"
HELP = """`/controlplane status`  what is served, and open incidents
`/controlplane hold WHY`  hold the ramp at its share
`/controlplane rollback WHY`  all traffic back at once to what the policy serves instead
`/controlplane silence LABEL=VALUE [LABEL=A,B ...] 2h WHY`  do not tell such alerts for 30m, 2h or 1d; confirmed safety events are told always
What you do here is written to the audit log under your name."""
OPEN_SHOWN = 10
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}
_SPAN = re.compile(r"(\d{1,4})([mhd])")
_SILENCE_FORM = (
    "write `silence LABEL=VALUE 2h why`, such as `silence metric=p95_latency 2h the bank's API is slow, ticket 81`"
)


@dataclass(frozen=True, slots=True)
class SilenceWish:
    """Which alerts (label -> values), for how many hours, and why."""

    matchers: Mapping[str, tuple[str, ...]]
    hours: float
    reason: str

    @property
    def said(self) -> str:
        """The labels as they are typed."""
        return " ".join(f"{name}={','.join(values)}" for name, values in sorted(self.matchers.items()))


def silence_wish(text: str) -> SilenceWish:
    """A silence as it is written in a command: labels first, then how long, then why. Raises Refused with an example."""
    words = text.split()
    labels = list(takewhile(lambda word: "=" in word, words))
    matchers = labels_of(labels)
    if not matchers:
        raise Refused(f"which alerts? {_SILENCE_FORM}")
    words = words[len(labels) :]
    span = _SPAN.fullmatch(words[0]) if words else None
    if span is None or int(span[1]) == 0:
        raise Refused(f"for how long? {_SILENCE_FORM}")
    reason = " ".join(words[1:])
    if not reason:
        raise Refused(f"why? It goes on the record: {_SILENCE_FORM}")
    return SilenceWish(matchers, int(span[1]) * _HOURS[span[2]], reason)


def status(found: Mapping[str, Any], state: StateReader, now: datetime) -> str:
    """What is served now, open incidents with who has them, silences in force."""
    if found["rollout"] is None:
        lines = [f"no release yet: everybody has the {found['served']}"]
    else:
        state_said, since = found["state"].lower().replace("_", " "), found["since"][:16].replace("T", " ")
        lines = [
            f"{found['release']}: {state_said} in {found['phase']} at {found['share']:.0%}, since {since} UTC",
            f"why: {found['reason']}",
        ]
        lines += [] if found["execution_enabled"] else ["workflows are switched off"]
        lines += [f"contained: {', '.join(found['contained'])}"] if found["contained"] else []
        lines += [f"set aside: {', '.join(found['overridden'])}"] if found.get("overridden") else []
    rows = state.open_incidents()
    lines += [
        f"{row.incident_id}: {row.state}, {row.owner or 'nobody has it'}: {row.title}" for row in rows[-OPEN_SHOWN:]
    ]
    lines += [f"and {len(rows) - OPEN_SHOWN} more open incidents"] if len(rows) > OPEN_SHOWN else []
    lines += [] if rows else ["no open incident"]
    quiet = [item for item in state.silences() if item.is_active(now)]
    lines += [f"silenced until {item.expires_at:%Y-%m-%d %H:%M}Z by {item.author}: {item.reason}" for item in quiet]
    return "\n".join(lines)


def override_form(carried: Mapping[str, Any]) -> dict[str, Any]:
    """The modal that asks why a trigger is set aside; it carries along what the button carried."""
    trigger = cut(str(carried.get("trigger", "")), 200)
    told = f"*{trigger}* counts on and pages instead of acting, for {OVERRIDE_HOURS:g} hours. Your name and reason go on the record."
    entry = {"type": "plain_text_input", "action_id": REASON_INPUT, "multiline": True}
    entry |= {"min_length": REASON_MIN, "max_length": REASON_MAX}
    return {
        "type": "modal",
        "callback_id": OVERRIDE_FORM,
        "private_metadata": carry(carried),
        "title": _plain(f"Override {OVERRIDE_HOURS:g} h"),
        "submit": _plain("Override"),
        "close": _plain("Cancel"),
        "blocks": [
            section(told),
            {"type": "input", "block_id": REASON_BLOCK, "label": _plain("Why?"), "element": entry},
        ],
    }


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}
