"""Command group `incident`: what happened, who is on it, and each step of its life."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from jobs.console import BAD_INPUT, Actor, AsJson, Home, Reason, clock, command, fail, show

incident = typer.Typer(
    help="Incidents: what happened, who is on it, acknowledge, resolve, review.", no_args_is_help=True
)

IncidentId = Annotated[
    str, typer.Argument(help="The incident's id, or its unique beginning; `incident list` shows them.")
]


@incident.command("list")
@command
def incident_list(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that nobody has resolved.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """All incidents, oldest first.

    Examples:

      controlplane incident list --open
    """
    from jobs import incident_view
    from jobs.compose import open_state, workspace_settings

    settings, now = workspace_settings(home, must_exist=True), clock()
    with open_state(settings, now) as state:
        rows = incident_view.listed(state, now, only_open=only_open)
    lines = [_line(row) for row in rows]
    show({"incidents": rows}, as_json, "\n".join(lines) or "no incidents")


def _line(row: dict[str, Any]) -> str:
    report = f"  (report {row['report']})" if row["report"] in ("soon", "overdue") else ""
    return (
        f"{row['incident_id']}  {row['state']:12} {row['severity']:9} {row['detected_at']:%Y-%m-%d %H:%M}Z  "
        f"{row['owner'] or '-':10}  {row['title']}{report}"
    )


@incident.command("show")
@command
def incident_show(incident_id: IncidentId, home: Home = None, as_json: AsJson = False) -> None:
    """Where an incident stands, its times, and one timeline of everything that was done and told.

    Examples:

      controlplane incident show v1.4-3fa91c2b-v9
    """
    from jobs import incident_view
    from jobs.compose import open_state, workspace_settings

    settings, now = workspace_settings(home, must_exist=True), clock()
    with open_state(settings, now) as state:
        value = incident_view.shown(state, incident_id, now)
    show(value, as_json, incident_view.text(value))


def _act(
    home: str | None, incident_id: str, event: str, actor: str, reason: str, as_json: bool, owner: str = ""
) -> None:
    from jobs import incident_view, incidents
    from jobs.compose import open_state, workspace_settings

    settings, now = workspace_settings(home, must_exist=True), clock()
    with open_state(settings, now) as state:
        found = incident_view.find(state, incident_id).incident_id
        after = incidents.act(state, found, event, actor, reason, now, owner=owner)
    show(asdict(after), as_json, f"{found}: {after.state}{f', owned by {after.owner}' if after.owner else ''}")


@incident.command("ack")
@command
def incident_ack(
    incident_id: IncidentId, actor: Actor, reason: Reason = "on it", home: Home = None, as_json: AsJson = False
) -> None:
    """Say that you are on it: the ladder stops, and an incident that nobody owns is yours.

    Examples:

      controlplane incident ack v1.4-3fa91c2b-v9 --actor kim
    """
    _act(home, incident_id, "acknowledge", actor, reason, as_json)


@incident.command("own")
@command
def incident_own(
    incident_id: IncidentId,
    actor: Actor,
    reason: Reason = "taking over",
    to: Annotated[str, typer.Option("--to", help="Who owns it from now on; default: the actor.")] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take an incident, or hand it to somebody.

    Examples:

      controlplane incident own v1.4-3fa91c2b-v9 --actor kim

      controlplane incident own v1.4-3fa91c2b-v9 --to ben --actor kim --reason "end of my shift"
    """
    _act(home, incident_id, "own", actor, reason, as_json, to.strip())


@incident.command("note")
@command
def incident_note(
    incident_id: IncidentId,
    text: Annotated[str, typer.Argument(help="What is to be known; no personal data.")],
    actor: Actor,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Add a line to the timeline and the thread.

    Examples:

      controlplane incident note v1.4-3fa91c2b-v9 "the provider has confirmed an outage" --actor kim
    """
    if not text.strip():
        fail("the note is empty: say what is to be known", BAD_INPUT)
    _act(home, incident_id, "note", actor, text.strip(), as_json)


@incident.command("resolve")
@command
def incident_resolve(
    incident_id: IncidentId, actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False
) -> None:
    """Say that its cause is gone; a restart needs this.

    Examples:

      controlplane incident resolve v1.4-3fa91c2b-v9 --actor kim --reason "knowledge base restored"
    """
    _act(home, incident_id, "resolve", actor, reason, as_json)


@incident.command("review")
@command
def incident_review(
    incident_id: IncidentId, actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False
) -> None:
    """Close the review with its conclusion.

    Examples:

      controlplane incident review v1.4-3fa91c2b-v9 --actor ana --reason "index was built from a stale export; a check was added"
    """
    _act(home, incident_id, "review", actor, reason, as_json)


@incident.command("reopen")
@command
def incident_reopen(
    incident_id: IncidentId, actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False
) -> None:
    """Say that it was resolved or reviewed too early: it is open again, in the same thread.

    Examples:

      controlplane incident reopen v1.4-3fa91c2b-v9 --actor kim --reason "the old index is still served in one region"
    """
    _act(home, incident_id, "reopen", actor, reason, as_json)


@incident.command("serious")
@command
def incident_serious(
    incident_id: IncidentId,
    actor: Actor,
    kind: Annotated[
        str,
        typer.Option(
            "--kind", help="death, health, infrastructure, widespread, rights or property (EU AI Act, Art. 3(49))."
        ),
    ] = "",
    aware: Annotated[
        str, typer.Option("--aware", help="Since when you have been aware of it (UTC); default: now.")
    ] = "",
    reported: Annotated[str, typer.Option("--reported", help="The report was made: its reference.")] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="It is no serious incident after all.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; written to the audit log.")] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Start the clock of a serious incident, record that it was reported, or withdraw the word.

    The report is due within the time of its kind (EU AI Act, Art. 73) or of the policy (`incidents.serious_days`), whichever ends first. People are
    reminded at half of it and paged when it is over.

    Examples:

      controlplane incident serious v1.4-3fa91c2b-v9 --kind rights --actor ana --reason "refunds were refused by origin"

      controlplane incident serious v1.4-3fa91c2b-v9 --reported MSA-2026-0117 --actor ana
    """
    from jobs import incident_serious as job
    from jobs import incident_view
    from jobs.compose import open_state, policy_in_force, workspace_settings

    if sum((bool(kind), bool(reported.strip()), withdraw)) != 1:
        fail("name one of --kind, --reported and --withdraw", BAD_INPUT)
    if not reported and not reason.strip():
        fail("--reason is missing: say why; it is written to the audit log", BAD_INPUT)
    settings, now = workspace_settings(home, must_exist=True), clock()
    since = _moment(aware)
    with open_state(settings, now) as state:
        incident_id = incident_view.find(state, incident_id).incident_id
        if kind:
            policy_ = policy_in_force(settings, state)
            after = job.mark(state, policy_, incident_id, kind, actor, reason.strip(), now, since)
        elif reported:
            after = job.reported(state, incident_id, reported.strip(), actor, now)
        else:
            after = job.withdraw(state, incident_id, actor, reason.strip(), now)
    due = after.serious.get("due_at")
    line = (
        f"report due by {due[:16].replace('T', ' ')} UTC"
        if due and not after.serious.get("reported_at")
        else "no report is due"
    )
    show(asdict(after), as_json, f"{incident_id}: {line}")


def _moment(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        fail(f"--aware {text}: write a time such as 2026-01-31T14:30", BAD_INPUT)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
