"""Command groups for governance: audit, release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console import BAD_INPUT, REFUSED, Actor, AsJson, Home, clock, command, fail, show

audit = typer.Typer(help="The record: verify its hash chains, export it, show what happened.", no_args_is_help=True)
release = typer.Typer(help="Start a release, record a change of the running one.", no_args_is_help=True)

Artefacts = Annotated[
    list[str], typer.Option("--artefact", help="NAME=HASH of what the release is made of; repeat it.")
]


@audit.command("verify")
@command
def audit_verify(
    pack: Annotated[
        Path | None,
        typer.Argument(help="An evidence pack (folder or .zip), verified by itself; default: the workspace's record."),
    ] = None,
    home: Home = None,
    anchor: Annotated[
        Path | None,
        typer.Option(
            "--anchor",
            help="Output of an earlier `audit verify --json` or `audit export --json`, kept elsewhere: must agree.",
        ),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Of a pack: recompute evidence and automatic decisions from its counts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash of the audit log and the evidence ledger; name the first broken row.

    A chain whose last rows were cut off is whole in itself. Keep the heads outside the workspace, and compare. A pack is verified offline: its
    files, chains, and every record against the log that vouches for it.

    Examples:

      controlplane audit verify --json > heads-monday.json

      controlplane audit verify --anchor heads-monday.json

      controlplane audit verify pack-2026-q1.zip --replay
    """
    from jobs.audit_command import audit_check, pack_check

    if replay and pack is None:
        fail(
            "--replay is for an evidence pack: name it, or use `controlplane evidence replay` on the workspace",
            BAD_INPUT,
        )
    value, lines = audit_check(home, anchor, clock()) if pack is None else pack_check(pack, anchor, replay=replay)
    show(value, as_json, "\n".join(lines))
    if not value["ok"]:
        raise typer.Exit(REFUSED)


@audit.command("export")
@command
def audit_export(
    since: Annotated[str, typer.Option("--from", help="First day of the period, or a time (UTC).")],
    until: Annotated[str, typer.Option("--to", help="Last day of the period, or the time at which it ends (UTC).")],
    out: Annotated[Path, typer.Option("--out", help="New folder, or new .zip file.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write the evidence pack of a period: every record as JSON lines, its manifest, and the table of what governance asks for.

    It changes nothing; the same period of the same state gives the same bytes. Exit code 1 when a chain of the workspace is broken.

    Examples:

      controlplane audit export --from 2026-01-01 --to 2026-03-31 --out pack-2026-q1.zip --json > pack-2026-q1.json

      controlplane audit verify pack-2026-q1.zip --anchor pack-2026-q1.json
    """
    from jobs import evidence_pack as job
    from jobs.compose import workspace_settings

    begin, end = job.period(since, until)
    job.refuse_pack_in_workspace(out, workspace_settings(home, must_exist=True).workspace.home)
    value = job.export(home, begin, end, out, clock())
    show(value, as_json, job.text(value))
    if not value["ok"]:
        raise typer.Exit(REFUSED)


@audit.command("log")
@command
def audit_log(
    home: Home = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many rows, the last ones.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The last rows of the audit log."""
    from jobs.compose import open_state, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, clock()) as state:
        rows = state.audit_rows()[-limit:]
    show(
        {"rows": rows},
        as_json,
        "\n".join(f"{r['at']}  {r['actor']:14} {r['event']:18} {r['subject']}: {r['reason']}" for r in rows),
    )


def _artefacts(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong or not pairs:
        fail(
            f"--artefact {wrong[0] if wrong else ''}: write NAME=HASH, at least one, such as --artefact model=sha256:...",
            BAD_INPUT,
        )
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


@release.command("start")
@command
def release_start(
    label: Annotated[str, typer.Argument(help="Name of the release, such as v1.4.")],
    actor: Actor,
    artefact: Artefacts = [],  # noqa: B006 - typer reads the default, nobody changes it
    author: Annotated[
        str | None,
        typer.Option("--author", help="Who made the release; default: the actor. Their approval never counts."),
    ] = None,
    policy_file: Annotated[
        str | None, typer.Option("--policy", help="Policy file (TOML); default: the shipped one.")
    ] = None,
    evaluated: Annotated[
        str | None, typer.Option("--evaluated", help="Take the artefacts of this evaluation run instead of --artefact.")
    ] = None,
    override_backtest: Annotated[
        str,
        typer.Option("--override-backtest", help="Start although the backtest is missing or broke its promise: why."),
    ] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Start a release at the first stage: the first one, another after a rollback, or the next after one that is COMPLETE.

    Where the policy asks for it, exactly these artefacts need a passing evaluation (`controlplane eval run`), and the policy a backtest.

    Examples:

      controlplane release start v1.4 --artefact model=sha256:ab12 --actor ana --author ben

      controlplane release start v1.4 --evaluated ev-12ab34cd56 --actor ana --author ben
    """
    from jobs import actions
    from jobs.compose import open_state, read_policy, workspace_settings
    from jobs.evaluation_command import find_run

    if evaluated is not None and artefact:
        fail("--artefact and --evaluated: name one of both", BAD_INPUT)
    settings = workspace_settings(home, policy_file)
    now = clock()
    with open_state(settings, now) as state:
        policy_ = read_policy(settings)
        hashes = _artefacts(artefact) if evaluated is None else find_run(state, evaluated).artefacts
        actions.start_release(state, policy_, label, hashes, author or actor, actor, now, override_backtest.strip())
        value = actions.status(state, policy_, now)
    show(value, as_json, f"{value['release']}: {value['state']} in {value['phase']} at {value['share']:.0%}")


@release.command("changed")
@command
def release_changed(
    what: Annotated[str, typer.Argument(help="What was changed: a knowledge base, a prompt, a setting.")],
    actor: Actor,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Record a known change of the running release: certificates restart, detectors get fresh weight."""
    from jobs import actions
    from jobs.compose import open_state, policy_in_force, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    now = clock()
    with open_state(settings, now) as state:
        policy_ = policy_in_force(settings, state)
        actions.deploy(state, policy_, what, actor, now)
        value = actions.status(state, policy_, now)
    show(value, as_json, f"recorded: {what}")
