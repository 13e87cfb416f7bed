"""Command group for the evidence of decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.console import BAD_INPUT, REFUSED, AsJson, Home, command, fail, show

evidence = typer.Typer(help="The evidence behind the decisions: recompute it from the record.", no_args_is_help=True)


@evidence.command("replay")
@command
def evidence_replay(
    rollout: Annotated[str | None, typer.Option("--rollout", help="Only this rollout; default: all of them.")] = None,
    facts_only: Annotated[bool, typer.Option("--facts-only", help="Only count the facts again.")] = False,
    ledger_only: Annotated[
        bool, typer.Option("--ledger-only", help="Only take the ledger's evidence and decisions again; needs no facts.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the counts of every closed block, the evidence and the automatic decisions, and compare with the record.

    Reads only. Counts must be equal, or differ by rows that arrived later or were forgotten; evidence must agree to 1e-9, decisions exactly. Exit
    code 1 when something does not come out again. The facts have one writer: while `up` runs, use --ledger-only.

    Examples:

      controlplane evidence replay

      controlplane evidence replay --rollout v1.0-0797026a --ledger-only --json
    """
    from jobs import evidence_replay as replay

    if facts_only and ledger_only:
        fail("--facts-only and --ledger-only leave nothing to do: give one of them, or neither for both", BAD_INPUT)
    value = replay.run(home, rollout, facts=not ledger_only, ledger=not facts_only)
    show(value, as_json, replay.text(value))
    if not value["ok"]:
        raise typer.Exit(REFUSED)
