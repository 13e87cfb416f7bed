"""The command `drill`: incidents of the catalogue, from log lines to verified containment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console import BAD_INPUT, REFUSED, AsJson, Home, clock, command, fail, show


@command
def drill(
    names: Annotated[list[str] | None, typer.Argument(help="Drills by name; none means all of them.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All drills, said explicitly.")] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="Only list the drills: what is injected, what is expected.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep the drills' workspaces below this new or empty folder.")
    ] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="Write the result to the audit log of the workspace (--home); needs --actor."),
    ] = False,
    actor: Annotated[str | None, typer.Option("--actor", help="Who drills; written to the audit log.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse incidents: inject log lines, and see whether they are found, cut, verified and told as expected.

    Each drill has a workspace of its own with real stores and a real control server; its story takes half an hour in seconds. Exit code 1 when
    an expectation was not met.

    Examples:

      controlplane drill --list

      controlplane drill safety_bypass api_outage

      controlplane drill --all --record --actor ana --json
    """
    from jobs import drill_run

    if names and all_:
        fail("name drills or say --all, not both", BAD_INPUT)
    if record and not (actor or "").strip():
        fail("--record writes to the audit log: say who drills with --actor", BAD_INPUT)
    incidents = drill_run.chosen(names or [])
    if list_:
        if as_json:
            show(drill_run.list_json(incidents), True)
        else:
            drill_run.show_list(incidents)
        return
    if record:
        from jobs.compose import workspace_settings

        workspace_settings(home, must_exist=True)  # better told now than after the drills
    outcomes, seconds = drill_run.run_drills(incidents, keep, as_json)
    found = drill_run.result(outcomes, seconds)
    if record:
        drill_run.record(home, found, (actor or "").strip(), clock())
    if not as_json:
        drill_run.show_outcomes(outcomes, seconds)
    else:
        show(found, True)
    if not found["ok"]:
        raise typer.Exit(REFUSED)
