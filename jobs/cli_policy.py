"""Command group for policy as code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.console import BAD_INPUT, AsJson, Home, clock, command, fail, show

policy = typer.Typer(help="Policy as code: lint a policy file, show the one in force.", no_args_is_help=True)


@policy.command("lint")
@command
def policy_lint(file: Annotated[Path, typer.Argument(help="Policy file (TOML).")], as_json: AsJson = False) -> None:
    """Check a policy file; every problem with line, key and remedy. Exit code 2 when there is one."""
    from controlplane.core.policy import PolicyError, parse

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"policy {file} cannot be read: {error.strerror if isinstance(error, OSError) else error}", BAD_INPUT)
    try:
        found = parse(text, str(file))
    except PolicyError as error:
        show({"ok": False, "problems": [asdict(problem) for problem in error.problems]}, as_json, str(error))
        raise typer.Exit(BAD_INPUT) from None
    value = {
        "ok": True,
        "name": found.name,
        "hash": found.hash,
        "triggers": len(found.triggers),
        "stages": len(found.stages),
    }
    show(
        value,
        as_json,
        f"{file}: ok, {len(found.triggers)} triggers, {len(found.stages)} stages, sha256 {found.hash[:12]}",
    )


@policy.command("show")
@command
def policy_show(home: Home = None) -> None:
    """Print the text of the policy in force."""
    from jobs.compose import open_state, policy_in_force, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, clock()) as state:
        print(policy_in_force(settings, state).text, end="")
