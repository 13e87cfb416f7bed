"""Root cause on the command line: `incident causes | disagree`. Reads options, calls one function and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli_incident import incident
from jobs.console import REFUSED, Actor, AsJson, Home, Reason, can_write, clock, command, show, stderr

IncidentId = Annotated[str, typer.Argument(help="The incident's id; `incident list` shows them.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write the page here (HTML).")]
Onset = Annotated[
    str | None, typer.Option("--onset", help="When it began (ISO time, UTC); default: what the detector recorded.")
]
Every = Annotated[bool, typer.Option("--all", help="The evidence of every kind of cause, not of the first three.")]
Which = Annotated[
    str,
    typer.Option(
        "--cause",
        help="What you hold for the cause: release, prompt, model, knowledge, classifier, policy, traffic, dependency, "
        "infrastructure, logging or unknown.",
    ),
]


@incident.command("causes")
@command
def incident_causes(
    incident_id: IncidentId,
    out: Out = None,
    onset: Onset = None,
    every: Every = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What explains an incident: kinds of causes ranked, with the evidence for and against each; also while `up` runs.

    Exit code 1 where the numbers name no cause. It ranks explanations and proves none; `incident disagree` records another opinion.

    Examples:

      controlplane incident causes v1.4-3fa91c2b-v9 --out causes.html

      controlplane incident causes v1.4-3fa91c2b-v9 --onset 2026-03-02T09:40 --json
    """
    from jobs.cause_text import text
    from jobs.moments import moment
    from jobs.work import do

    can_write(out)
    began = moment(onset, "--onset")
    asked = {"incident_id": incident_id, "onset": None if began is None else began.isoformat()}
    with stderr.status("comparing before and after the onset"):
        found: dict[str, Any] = do(home, "incident_causes", asked, clock())
    said = text(found, every)
    if out is not None:
        from controlplane.analysis.cause_html import page

        out.write_text(page(found), encoding="utf-8")
        found["page"] = str(out.absolute())
        said += f"\n\npage {out}"
    show(found, as_json, said)
    if found["standing"] == "unknown":
        raise typer.Exit(REFUSED)


@incident.command("disagree")
@command
def incident_disagree(
    incident_id: IncidentId, cause: Which, actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False
) -> None:
    """Record that you hold another cause for the right one: in the audit log, as an artefact, in the incident's timeline and on its page.

    Examples:

      controlplane incident disagree v1.4-3fa91c2b-v9 --cause dependency --actor ana --reason "their status page says 09:38"
    """
    from jobs.cause import disagree
    from jobs.compose import open_state, workspace_settings

    settings, now = workspace_settings(home, must_exist=True), clock()
    with open_state(settings, now) as state:
        found = disagree(state, incident_id, cause, actor, reason, now)
    show(found, as_json, f"{found['incident']}: {actor} holds {cause} for the cause; recorded as {found['id']}")
