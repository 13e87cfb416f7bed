"""What somebody asks in Slack, read from what Slack sends: a button, a form, a slash command. Pure; the same for Socket Mode and signed HTTP.

`press_id` is made of what Slack repeats when it sends a request again (who, what, when, under which message), not of the envelope or the
connection, so a press that comes twice, by whatever way, is one press. What only serves to answer (`response_url`, `trigger_id`) is a key for
whoever holds it: it is kept in memory, never stored. Free text is masked, as everything a person writes is, before it is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.buttons import ButtonError, Press, read
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.masking import mask

OVERRIDE_FORM = "override_form"  # callback_id of the modal
REASON_BLOCK, REASON_INPUT = "reason", "text"
COMMAND = "command:"
REASON_MAX, TEXT_MAX, ID_MAX = 500, 1_000, 300
REASON_MIN = 3
_CARRIED = ("incident", "rollout", "trigger", "channel")


class RequestError(ValueError):
    """A request that is none of ours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a person asks. `payload`: what acting needs, plain JSON; the last two fields only serve the answer."""

    press_id: str
    user_id: str
    action: str
    subject: str
    payload: dict[str, Any]
    response_url: str = field(default="", repr=False)
    trigger_id: str = field(default="", repr=False)


def asked(kind: str, payload: Mapping[str, Any]) -> tuple[Asked, ...]:
    """What is asked by an "interaction" or a "command"; nothing for what needs no answer (a form that was closed, a kind we do not use).

    Raises RequestError for one without a user, or whose parts are not what they must be.
    """
    if kind == "command":
        return (_command(payload),)
    match payload.get("type"):
        case "block_actions":
            return tuple(_button(payload, action) for action in _objects(payload, "actions"))
        case "view_submission":
            return _form(payload)
        case _:
            return ()


def complaint(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a form is answered whose reason says nothing: it stays open and says so. {} for anything else."""
    if payload.get("type") != "view_submission" or _object(payload, "view").get("callback_id") != OVERRIDE_FORM:
        return {}
    if len(_reason(payload)) >= REASON_MIN:
        return {}
    return {"response_action": "errors", "errors": {REASON_BLOCK: "Say why in a few words: it goes on the record."}}


def reference(press_id: str) -> str:
    """The mark that a press leaves in the reason of whatever is done for it; so a repeat after a crash is recognised."""
    return f"press {press_id[:12]}"


def _button(payload: Mapping[str, Any], action: Mapping[str, Any]) -> Asked:
    user, name, value = _user(payload), _text(action, "action_id"), _text(action, "value", 2_000)
    container, when = _object(payload, "container"), _text(action, "action_ts") or _text(payload, "trigger_id", 500)
    message = _text(container, "message_ts")
    channel = _text(_object(payload, "channel"), "id") or _text(container, "channel_id")
    try:
        incident, rollout, trigger = read(value) if value or name != Press.EVIDENCE else ("", "", "")
        carried = {"incident": incident[:ID_MAX], "rollout": rollout[:ID_MAX], "trigger": trigger[:ID_MAX]}
    except ButtonError as error:
        carried = {"wrong": str(error)}
    return Asked(
        press_id=_identity("button", user, name, value, message, when),
        user_id=user,
        action=name,
        subject=carried.get("incident") or carried.get("rollout") or "",
        payload={**carried, "channel": channel},
        response_url=_text(payload, "response_url", 2_000),
        trigger_id=_text(payload, "trigger_id", 500),
    )


def _form(payload: Mapping[str, Any]) -> tuple[Asked, ...]:
    view, user = _object(payload, "view"), _user(payload)
    if view.get("callback_id") != OVERRIDE_FORM:
        return ()
    carried = _carried(_text(view, "private_metadata", 3_000))
    reason = mask(_reason(payload))[:REASON_MAX]
    subject = carried["incident"] or carried["rollout"]
    identity = _identity("form", user, _text(view, "id"), reason)
    return (Asked(identity, user, OVERRIDE_FORM, subject, {**carried, "reason": reason}),)


def _command(form: Mapping[str, Any]) -> Asked:
    user = _text(form, "user_id")
    if not user:
        raise RequestError("a command of Slack has a user_id")
    text = mask(" ".join(_text(form, "text", 4_000).split()))[:TEXT_MAX]
    word, _, rest = text.partition(" ")
    return Asked(
        press_id=_identity("command", user, _text(form, "command"), text, _text(form, "trigger_id", 500)),
        user_id=user,
        action=COMMAND + (word.lower() or "help")[:40],
        subject="",
        payload={"text": rest, "channel": _text(form, "channel_id")},
        response_url=_text(form, "response_url", 2_000),
        trigger_id=_text(form, "trigger_id", 500),
    )


def carry(payload: Mapping[str, Any]) -> str:
    """What a form takes along from the button that opened it: read back by `_carried`."""
    return canonical({name: str(payload.get(name, "")) for name in _CARRIED})


def _carried(text: str) -> dict[str, str]:
    try:
        plain = json.loads(text)
        return {name: str(plain[name])[:ID_MAX] for name in _CARRIED}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RequestError("the form carries nothing of ours") from None


def _reason(payload: Mapping[str, Any]) -> str:
    values = _object(_object(_object(payload, "view"), "state"), "values")
    return " ".join(_text(_object(_object(values, REASON_BLOCK), REASON_INPUT), "value", 4_000).split())


def _identity(*parts: str) -> str:
    return sha256_text(canonical(list(parts)))[:32]


def _user(payload: Mapping[str, Any]) -> str:
    found = _text(_object(payload, "user"), "id")
    if not found:
        raise RequestError("a request of Slack has a user with an id")
    return found


def _object(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, Mapping) else {}


def _objects(payload: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = payload.get(name)
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise RequestError(f"'{name}' must be a list of objects")
    return found


def _text(payload: Mapping[str, Any], name: str, longest: int = ID_MAX) -> str:
    found = payload.get(name)
    return found[:longest] if isinstance(found, str) else ""
