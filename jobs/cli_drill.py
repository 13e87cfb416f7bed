"""The command `drill`: incidents of the catalogue, from log lines to verified containment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from controlplane.settings import Settings
    from controlplane.simulation.incidents import Incident
    from jobs.drill import Outcome

from jobs.console import BAD_INPUT, REFUSED, AsJson, Home, clock, command, fail, show


@command
def drill(
    names: Annotated[list[str] | None, typer.Argument(help="Drills by name; none, or all, means all of them.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All drills, said explicitly.")] = False,
    list_: Annotated[
        bool,
        typer.Option(
            "--list", help="Only list the drills: what is injected, what is expected, when it was last drilled."
        ),
    ] = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep the drills' workspaces below this new or empty folder.")
    ] = None,
    record: Annotated[
        bool | None,
        typer.Option(
            "--record/--no-record",
            help="Write the result to the audit log of the workspace (--home). Said by neither: if there is a workspace.",
        ),
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who drills; written to the audit log.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse incidents: inject a failure, and see whether it is found, contained, verified and told as expected, and what was lost.

    Each drill has a workspace of its own with real stores and a real control server; its story takes half an hour in seconds. Exit code 1 when
    an expectation was not met. Results are kept in the audit log of the workspace (--home) and shown as "last drilled".

    Examples:

      controlplane drill --list

      controlplane drill safety_bypass api_outage

      controlplane drill all --actor ana --json
    """
    from controlplane.settings import load
    from jobs import drill_record, drill_run
    from jobs.compose import workspace_settings

    if names and all_:
        fail("name drills or say --all, not both", BAD_INPUT)
    if record and not (actor or "").strip():
        fail("--record writes to the audit log: say who drills with --actor", BAD_INPUT)
    incidents = drill_run.chosen(names or [])
    # Better told now than after the drills that there is no workspace to keep them in.
    settings = workspace_settings(home, must_exist=True) if record else load(home)
    if list_:
        last = drill_record.known(settings, clock())
        if as_json:
            show(drill_run.list_json(incidents, last), True)
        else:
            drill_run.show_list(incidents, last)
        return
    keeps = record is not False and settings.workspace.kind() is not None
    _carry_out(incidents, settings if keeps else None, keep, (actor or "").strip(), as_json)


def _carry_out(
    incidents: Sequence[Incident], record_in: Settings | None, keep: Path | None, actor: str, as_json: bool
) -> None:
    """Carry them out, keep the result in the audit log of a workspace, and say it; exit code 1 when one was not as expected.

    An interruption keeps what was finished before it.
    """
    from jobs import drill_record, drill_run

    outcomes: list[Outcome] = []
    try:
        seconds = drill_run.run_drills(incidents, keep, as_json, outcomes)
    except KeyboardInterrupt:
        if record_in is not None and outcomes:
            drill_record.record(record_in, drill_run.result(outcomes, 0.0) | {"recorded": True}, actor, clock())
        raise
    found = drill_run.result(outcomes, seconds) | {"recorded": record_in is not None}
    if record_in is not None:
        drill_record.record(record_in, found, actor, clock())
    if as_json:
        show(found, True)
    else:
        drill_run.show_outcomes(outcomes, seconds)
    if not found["ok"]:
        raise typer.Exit(REFUSED)
