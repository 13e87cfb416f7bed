"""`controlplane metric ...`: what every number means, in which version, who changed it and why. Options in, one call, print."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobs.console import REFUSED, Actor, AsJson, Home, Reason, clock, command, show

metric = typer.Typer(help="Definitions of the metrics, versioned: who, why, and what it did.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a metric, such as contact_rate.")]


@metric.command("list")
@command
def metric_list(home: Home = None, as_json: AsJson = False) -> None:
    """Every metric with the hash of its definition, and every registered version of the catalogue with who and why.

    Example:

      controlplane metric list --json
    """
    from jobs import metric_command as job

    value = job.list_command(home, clock())
    show(value, as_json, job.list_text(value))


@metric.command("show")
@command
def metric_show(name: Name, home: Home = None, as_json: AsJson = False) -> None:
    """One metric: its definition, the queries that count it, and the versions that changed it, with last month's numbers then.

    Example:

      controlplane metric show contact_rate
    """
    from jobs import metric_command as job

    value = job.show_command(home, name, clock())
    show(value, as_json, job.show_text(value))


@metric.command("diff")
@command
def metric_diff(home: Home = None, as_json: AsJson = False) -> None:
    """What differs between the program's definitions and the newest registered ones. Exit code 1 when something does.

    Example:

      controlplane metric diff
    """
    from jobs import metric_command as job

    value = job.diff_command(home, clock())
    show(value, as_json, job.diff_text(value))
    if not value["ok"]:
        raise typer.Exit(REFUSED)


@metric.command("register")
@command
def metric_register(actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False) -> None:
    """Register the program's definitions as they are: who, why, and last month's numbers under the old and the new ones.

    Example:

      controlplane metric register --actor ana --reason "contact within 48 hours, as the contract says"
    """
    from jobs import metric_command as job

    value: dict[str, Any] = job.register_command(home, actor, reason, clock())
    show(value, as_json, job.register_text(value))
