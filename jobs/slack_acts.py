"""From a press to what is done: person -> permission -> action through the same functions as the command line -> what the person is told.

Denied by default: who is not in the table of people, or whose role lacks the permission, is refused in words that say whom to ask. A press acts
on the rollout it was made for, and only on that: one that is older than a restart is refused. What is done carries the press's reference in the
reason of its audit row, in the same transaction; so a press that is taken up again after a crash is recognised as done and only answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.buttons import OVERRIDE_HOURS
from alerts.buttons import Press as Button
from alerts.people import Person, of_slack
from controlplane.core import overrides
from controlplane.core.model import RolloutState
from controlplane.core.roles import Permission, able
from controlplane.core.rollout import Event
from controlplane.store.state_incidents import Press
from controlplane.store.state_rows import to_text
from jobs import actions, governing, incidents, silences, slack_text
from jobs.compose import follow_policy
from jobs.deps import Deps
from jobs.refused import Refused
from jobs.slack_request import COMMAND, OVERRIDE_FORM, reference

DONE, REFUSED = "done", "refused"
FRESH = timedelta(
    minutes=15
)  # a press that was not carried out by then still makes safer, but grows or silences nothing

NEEDS: Mapping[str, Permission] = {
    Button.ACKNOWLEDGE: Permission.RESPOND,
    Button.HOLD: Permission.CONTAIN,
    Button.ROLLBACK: Permission.CONTAIN,
    Button.OVERRIDE: Permission.GROW,
    OVERRIDE_FORM: Permission.GROW,
    f"{COMMAND}status": Permission.LOOK,
    f"{COMMAND}silence": Permission.RESPOND,
    f"{COMMAND}hold": Permission.CONTAIN,
    f"{COMMAND}rollback": Permission.CONTAIN,
}
_FREE = frozenset({Button.EVIDENCE, f"{COMMAND}help"})  # nothing is done or told
_AGES = frozenset({Button.OVERRIDE, OVERRIDE_FORM, f"{COMMAND}silence"})
_ROLLOUT_EVENTS = {
    Button.HOLD: Event.HOLD,
    Button.ROLLBACK: Event.ROLLBACK,
    f"{COMMAND}hold": Event.HOLD,
    f"{COMMAND}rollback": Event.ROLLBACK,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a press. `form`: a modal is to be opened with what the press carries, and the answer follows when it is sent off."""

    status: str
    answer: str
    actor: str
    form: bool = False


def carry_out(deps: Deps, press: Press, now: datetime) -> Outcome:
    """Do what was pressed, or say why not. Doing it twice is doing it once."""
    person, actor = _person(deps, press), actor_of(deps, press)
    before = deps.state.events_with(reference(press.press_id))
    try:
        if press.action in _FREE:
            return Outcome(DONE, slack_text.HELP if press.action.startswith(COMMAND) else "", actor)
        if person is None and before:
            return Outcome(DONE, "this was done before the control process started again", actor)
        allowed = _allowed(press, person) if person is None or not before else person
        if press.action in _AGES and not before and now - press.received_at > FRESH:
            raise Refused(
                f"this was pressed at {to_text(press.received_at)} and could not be done until now: press again"
            )
        if press.action == Button.OVERRIDE:
            return _override_asked(deps, press, allowed)
        return Outcome(DONE, _act(deps, press, allowed, now, before), actor)
    except Refused as refused:
        return Outcome(REFUSED, str(refused), actor)


def actor_of(deps: Deps, press: Press) -> str:
    """Who the record says it was: the person's name; the id in Slack for somebody who is not in the table alone, as there is no other."""
    person = _person(deps, press)
    return f"slack:{press.user_id}" if person is None else person.name


def _person(deps: Deps, press: Press) -> Person | None:
    return of_slack(() if deps.alerting is None else deps.alerting.people, press.user_id)


def _allowed(press: Press, person: Person | None) -> Person:
    """Who presses. Raises Refused, politely, for somebody unknown, or without the permission, and for what cannot be pressed."""
    needed = NEEDS.get(press.action)
    if needed is None and press.action.startswith(COMMAND):
        raise Refused(f"'{press.action.removeprefix(COMMAND)}' is no command: {slack_text.COMMANDS}")
    if needed is None:
        raise Refused("this button is none of ours: nothing was done")
    if person is None:
        raise Refused(
            f"sorry, your Slack user {press.user_id} is not in the table of people, so nothing was done: "
            "ask whoever keeps the alerting file to add you with your role"
        )
    if not person.may(needed):
        enough = " or ".join(able(needed))
        raise Refused(
            f"sorry, {person.name}: to {needed} takes the role {enough}, yours is {person.role}. Nothing was done; "
            "please ask somebody with that role"
        )
    return person


def _act(deps: Deps, press: Press, person: Person, now: datetime, before: frozenset[str]) -> str:
    """Do it; what to tell. `before`: events that the audit log has of this very press, from before a crash."""
    if (wrong := press.payload.get("wrong")) is not None:
        raise Refused(f"{wrong}: nothing was done")
    if press.action == f"{COMMAND}status":
        return slack_text.status(actions.status(deps.state, deps.policy, now), deps.state, now)
    if press.action in _ROLLOUT_EVENTS:
        return _on_rollout(deps, press, person, now, before)
    if press.action == Button.ACKNOWLEDGE:
        return _acknowledge(deps, press, person, now, before)
    if press.action == OVERRIDE_FORM:
        return _override(deps, press, person, now, before)
    return _silence(deps, press, person, now, before)


def _on_rollout(deps: Deps, press: Press, person: Person, now: datetime, before: frozenset[str]) -> str:
    event, incident = _ROLLOUT_EVENTS[press.action], str(press.payload.get("incident", ""))
    reason = _reason(press)
    if event not in before:
        follow_policy(deps)
        of_rollout = str(press.payload.get("rollout", ""))
        if not of_rollout:
            raise Refused("there is no rollout yet: start one with `controlplane release start`")
        known = incident if deps.state.incident(incident) is not None else ""
        try:
            actions.act(
                deps.state, deps.policy, event, person.name, reason, now, incident_id=known, of_rollout=of_rollout
            )
        except Refused as refused:
            raise Refused(_already(deps, of_rollout, event) or str(refused)) from None
    did = "the ramp is held" if event is Event.HOLD else "everybody is rolled back; the cut is being verified"
    return f"done: {did}"


def _already(deps: Deps, of_rollout: str, event: Event) -> str:
    """What to tell somebody who comes second, or for what is over; "" where it is something else that is in the way."""
    rollout = deps.state.rollout()
    if rollout is None or rollout.rollout_id != of_rollout:
        return ""
    since = f"{rollout.updated_at:%H:%M} UTC: {rollout.reason}"
    if rollout.state is RolloutState.ROLLED_BACK:
        return f"{rollout.release} is rolled back already, since {since}"
    held = rollout.state is RolloutState.HELD and event is Event.HOLD
    return f"the ramp of {rollout.release} is held already, since {since}" if held else ""


def _acknowledge(deps: Deps, press: Press, person: Person, now: datetime, before: frozenset[str]) -> str:
    incident = str(press.payload.get("incident", ""))
    if not incident:
        raise Refused("there is no incident behind this message: nothing to acknowledge")
    if "incident_acknowledge" not in before:
        incidents.act(deps.state, incident, "acknowledge", person.name, _reason(press), now)
    return f"thank you, {person.name}: {incident} is yours"


def _override_asked(deps: Deps, press: Press, person: Person) -> Outcome:
    """The form is only opened for an override that would be taken."""
    _need_override(deps, press, person)
    return Outcome(DONE, "", person.name, form=True)


def _need_override(deps: Deps, press: Press, person: Person) -> None:
    if (wrong := press.payload.get("wrong")) is not None:
        raise Refused(f"{wrong}: nothing was done")
    follow_policy(deps)
    rollout, trigger = deps.state.rollout(), str(press.payload["trigger"])
    if rollout is None or rollout.rollout_id != press.payload["rollout"]:
        raise Refused(
            f"this message is of {press.payload['rollout'] or 'no rollout'}, which is not the running one any more: nothing was done"
        )
    if rollout.state is RolloutState.ROLLED_BACK:
        raise Refused(f"{rollout.release} is rolled back: there is nothing left to set aside")
    if (problem := overrides.problem(deps.policy, trigger, person.name, OVERRIDE_HOURS)) is not None:
        raise Refused(problem)


def _override(deps: Deps, press: Press, person: Person, now: datetime, before: frozenset[str]) -> str:
    trigger, incident = str(press.payload["trigger"]), str(press.payload["incident"])
    if "override_added" not in before:
        _need_override(deps, press, person)
        governing.add_override(deps.state, deps.policy, trigger, OVERRIDE_HOURS, person.name, _reason(press), now)
    told = f"trigger '{trigger}' is set aside for {OVERRIDE_HOURS:g} h: it pages instead of acting"
    if incident and deps.state.incident(incident) is not None and "incident_note" not in before:
        incidents.act(deps.state, incident, incidents.NOTE, person.name, f"{told}: {_reason(press)}", now)
    return f"done: {told}"


def _silence(deps: Deps, press: Press, person: Person, now: datetime, before: frozenset[str]) -> str:
    wish = slack_text.silence_wish(str(press.payload.get("text", "")))
    if "silence_added" not in before:
        reason = f"{wish.reason} (in Slack, {reference(press.press_id)})"
        silences.add(deps.state, wish.matchers, wish.hours, person.name, reason, now)
    return f"done: alerts with {wish.said} are not told for {wish.hours:g} h; confirmed safety events always are"


def _reason(press: Press) -> str:
    own = str(press.payload.get("reason") or press.payload.get("text") or "")
    how = f"in Slack, {reference(press.press_id)}"
    return f"{own} ({how})" if own else how
