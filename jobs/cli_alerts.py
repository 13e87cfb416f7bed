"""Commands of alerting: check and show the file, where an alert goes, silences, what was told and what was not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console import REFUSED, Actor, AsJson, Home, Reason, clock, command, show, stderr

alerts = typer.Typer(
    help="Who is told what: lint, show, route-test, silence, log of what was told and withheld.", no_args_is_help=True
)
silence = typer.Typer(help="Ask not to be told of some alerts for a while: add, list, end.", no_args_is_help=True)
alerts.add_typer(silence, name="silence")

File = Annotated[
    Path | None, typer.Option("--file", help="An alerting file (TOML) instead of the workspace's; asks no silences.")
]
Labels = Annotated[
    list[str],
    typer.Argument(help="NAME=VALUE, such as metric=csat severity=warning incident=yes.", metavar="LABELS..."),
]


@alerts.command("lint")
@command
def alerts_lint(
    file: Annotated[Path | None, typer.Argument(help="Alerting file (TOML); default: the workspace's.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Check an alerting file: errors and warnings with line, key and remedy, and which receivers are not configured here.

    Exit code 1 when it cannot be used.

    Examples:

      controlplane alerts lint alerting.toml

      CONTROLPLANE_ALERTING=alerting.toml controlplane alerts lint --json
    """
    from jobs import alerts_command as job

    value = job.lint(home, file)
    show(value, as_json, job.lint_text(value))
    if not value["ok"]:
        raise typer.Exit(REFUSED)


@alerts.command("show")
@command
def alerts_show(file: File = None, home: Home = None, as_json: AsJson = False) -> None:
    """The alerting file in words: routes in the order in which they are asked, what holds alerts back, the ladder and who is on call now.

    Examples:

      controlplane alerts show

      controlplane alerts show --file alerting.toml --json
    """
    from jobs import alerts_command as job

    value = job.show(home, file, clock())
    show(value, as_json, "\n".join(value["lines"]))


@alerts.command("route-test")
@command
def alerts_route_test(
    labels: Labels,
    at: Annotated[
        str | None, typer.Option("--at", help="At this time (ISO 8601, UTC), for quiet hours and silences.")
    ] = None,
    file: File = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Which routes take an alert with these labels, whom they tell and why, which do not, and whether it is silenced or inhibited now.

    `severity`, `status`, `kind` and `incident=yes|no` are asked like labels. Exit code 1 when the alert would not be told.

    Examples:

      controlplane alerts route-test metric=csat severity=warning incident=yes

      controlplane alerts route-test metric=api_error_rate severity=critical --at 2026-01-05T23:00Z --json
    """
    from alerts.config_words import verdict_text
    from jobs import alerts_command as job

    value = job.route_test(home, file, labels, at, clock())
    show(value, as_json, verdict_text(value))
    if not value["told"]:
        raise typer.Exit(REFUSED)


@alerts.command("log")
@command
def alerts_log(
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="At most this many messages, the newest.")
    ] = 50,
    status: Annotated[
        str | None, typer.Option("--status", help="Only pending, sending, sent, suppressed or dead ones.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What was told, by which receiver, and what was withheld (silenced, inhibited, told already) or failed, with the reason.

    Examples:

      controlplane alerts log --limit 20

      controlplane alerts log --status suppressed --json
    """
    from jobs import alerts_command as job

    value = job.log(home, limit, status, clock())
    show(value, as_json, job.log_text(value))


@silence.command("add")
@command
def silence_add(
    labels: Annotated[
        list[str], typer.Argument(help="NAME=VALUE or NAME=VALUE,VALUE; all must match.", metavar="LABELS...")
    ],
    hours: Annotated[
        float, typer.Option("--hours", help="For how long; a silence always ends, after 30 days at most.")
    ],
    actor: Actor,
    reason: Reason,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Do not tell alerts that have all these labels, for some hours; on record.

    What the machine does is done all the same: a rollback that matches is told when the silence ends, if nobody has acknowledged it by then.
    Confirmed safety events, and whatever else is told of their incidents, are told at once.

    Example:

      controlplane alerts silence add metric=csat phase=ramp --hours 4 --actor ana --reason "survey is being changed"
    """
    from jobs import alerts_command, silences
    from jobs.compose import open_state, workspace_settings

    now, wanted = clock(), alerts_command.labels(labels)
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        row = silences.add(state, wanted, hours, actor, reason, now)
    for name in silences.unknown(wanted):
        stderr.print(
            f"no alert of ours has the label '{name}': check the spelling; this silence keeps nothing of ours back"
        )
    value = silences.as_json(row, now)
    show(value, as_json, f"silenced until {value['expires_at']}: {row.silence_id}")


@silence.command("list")
@command
def silence_list(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The silences in force: what they match, who asked for them and why, and until when.

    Example:

      controlplane alerts silence list --all
    """
    from jobs import silences
    from jobs.compose import open_state, workspace_settings

    now = clock()
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        rows = [silences.as_json(row, now) for row in state.silences() if everything or row.is_active(now)]
    show({"silences": rows}, as_json, "\n".join(map(silences.line, rows)) or "no silences")


@silence.command("end")
@command
def silence_end(
    silence_id: Annotated[str, typer.Argument(help="Name of the silence, from `alerts silence list`.")],
    actor: Actor,
    reason: Reason,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now.

    Example:

      controlplane alerts silence end s-1a2b3c4d --actor ana --reason "the survey is back"
    """
    from jobs import silences
    from jobs.compose import open_state, workspace_settings

    now = clock()
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        row = silences.end(state, silence_id, actor, reason, now)
    show(silences.as_json(row, now), as_json, f"{silence_id} ended")
