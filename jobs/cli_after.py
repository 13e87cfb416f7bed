"""What comes after an incident on the command line: `incident learn | report | action`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli_incident import incident
from jobs.console import BAD_INPUT, Actor, AsJson, Home, Reason, can_write, clock, command, fail, show

action = typer.Typer(help="What is to be done after an incident, by whom and until when.", no_args_is_help=True)
incident.add_typer(action, name="action")

IncidentId = Annotated[str, typer.Argument(help="The incident's id; `incident list` shows them.")]
Kind = Annotated[
    str, typer.Option("--kind", help="prompt, classifier, guardrail, threshold, knowledge, monitoring or other.")
]
Evidence = Annotated[
    str, typer.Option("--evidence", help="What shows it: an evaluation run, a data-set version, a commit, a reason.")
]


@incident.command("learn")
@command
def incident_learn(
    incident_id: IncidentId,
    actor: Actor,
    data: Annotated[str | None, typer.Option("--data", help="Data set that the failed conversations join.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="At most this many conversations, earliest first.")
    ] = 200,
    nothing: Annotated[
        bool, typer.Option("--nothing", help="It left no conversation to learn from; needs --reason.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="With --nothing: why; written to the audit log.")] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Put the incident's failed conversations, with what people said about them, into a data set; a restart needs this.

    Examples:

      controlplane incident learn v2-1f3a-v7 --data support --actor ada

      controlplane incident learn v2-1f3a-v7 --nothing --reason "the provider was down; no answer was wrong" --actor ada
    """
    from jobs import after_learn, work
    from jobs.compose import open_state, workspace_settings

    if nothing == (data is not None) or (nothing and not reason.strip()):
        fail("give either --data NAME, or --nothing with --reason", BAD_INPUT)
    now = clock()
    if nothing:
        settings = workspace_settings(home, must_exist=True)
        with open_state(settings, now) as state:
            value = dict(after_learn.nothing(state, incident_id, actor, reason.strip(), now))
        show(value, as_json, f"{value['incident']}: nothing to learn by rows, on record as said by {actor}")
        return
    asked = {"incident": incident_id, "data": data, "limit": limit, "actor": actor}
    value = dict(work.do(home, "incident_learn", asked, now))
    show(
        value,
        as_json,
        f"{value['added']} of {value['failed']} failed conversations joined {value['dataset']}@{value['version'][:12]} ({value['rows']} rows), "
        + (f"{known} were in it already, " if (known := value["found"] - value["added"]) else "")
        + f"{value['labelled']} with what a person said"
        + (f"; the first {value['found']} were taken (--limit)" if value["found"] < value["failed"] else "")
        + "; register the criteria for this version: `controlplane eval register FILE --reason ...`",
    )


@incident.command("report")
@command
def incident_report(
    incident_id: IncidentId,
    actor: Actor,
    out: Annotated[Path | None, typer.Option("--out", help="Copy of the page (.html) or of the text (.md).")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write the post-incident report from the record: a page and Markdown, filed under reports/incidents in the workspace.

    Examples:

      controlplane incident report v2-1f3a-v7 --actor ada

      controlplane incident report v2-1f3a-v7 --actor ada --out incident.md
    """
    from jobs import work

    can_write(out)
    if out is not None and out.suffix not in (".html", ".md"):
        fail(f"{out}: name a file that ends in .html or .md", BAD_INPUT)
    value = dict(work.do(home, "incident_report", {"incident": incident_id, "actor": actor}, clock()))
    if out is not None:
        source = Path(value["html"] if out.suffix == ".html" else value["markdown"])
        out.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    show(value, as_json, f"{value['html']}\n{value['markdown']}" + (f"\n{out}" if out is not None else ""))


@action.command("add")
@command
def action_add(
    incident_id: IncidentId,
    text: Annotated[str, typer.Argument(help="What is to be done.")],
    kind: Kind,
    owner: Annotated[str, typer.Option("--owner", help="Who does it.")],
    actor: Actor,
    due: Annotated[str | None, typer.Option("--due", help="Until when, ISO-8601.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write down something to be done.

    Example:

      controlplane incident action add v2-1f3a-v7 "Cite the fee table before answering" --kind prompt --owner sam --due 2026-06-01 --actor ada
    """
    from jobs import after_actions
    from jobs.compose import open_state, workspace_settings
    from jobs.moments import moment

    settings, now = workspace_settings(home, must_exist=True), clock()
    with open_state(settings, now) as state:
        item = after_actions.add(state, incident_id, kind, text, owner, moment(due, "--due"), actor, now)
    show(_plain(item), as_json, f"{item.action_id}: {item.text} ({item.owner})")


@action.command("done")
@command
def action_done(action_id: str, evidence: Evidence, actor: Actor, home: Home = None, as_json: AsJson = False) -> None:
    """Say that it is done, and what shows it."""
    _close(home, action_id, "done", evidence, actor, as_json)


@action.command("drop")
@command
def action_drop(action_id: str, actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False) -> None:
    """Say that it will not be done, and why."""
    _close(home, action_id, "dropped", reason, actor, as_json)


@action.command("list")
@command
def action_list(
    incident_id: Annotated[str | None, typer.Argument(help="Only those of this incident.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Only those that are still to be done.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """All action items, oldest first; open ones whose time has passed are marked."""
    from jobs.compose import open_state, workspace_settings

    settings, now = workspace_settings(home, must_exist=True), clock()
    with open_state(settings, now) as state:
        items = [item for item in state.action_items(incident_id) if item.is_open or not open_]
    rows = [
        _plain(item) | {"overdue": item.is_open and item.due_at is not None and item.due_at < now} for item in items
    ]
    lines = [
        f"{row['action_id']}  {'OVERDUE' if row['overdue'] else row['outcome'] or 'open':8} {row['kind']:10} {row['owner']:12} {row['text']}"
        for row in rows
    ]
    show({"actions": rows}, as_json, "\n".join(lines) or "no action items")


def _close(home: str | None, action_id: str, outcome: str, evidence: str, actor: str, as_json: bool) -> None:
    from jobs import after_actions
    from jobs.compose import open_state, workspace_settings

    settings, now = workspace_settings(home, must_exist=True), clock()
    with open_state(settings, now) as state:
        item = after_actions.close(state, action_id, outcome, evidence, actor, now)
    show(_plain(item), as_json, f"{item.action_id}: {item.outcome}")


def _plain(item: Any) -> dict[str, Any]:
    return asdict(item) | {"open": item.is_open}
