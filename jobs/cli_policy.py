"""Command group for policy as code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console import BAD_INPUT, REFUSED, Actor, AsJson, Home, can_write, clock, command, show

policy = typer.Typer(
    help="Policy as code: lint, explain, compare and forecast a policy file, show the one in force.",
    no_args_is_help=True,
)

Named = Annotated[
    str | None, typer.Argument(help="Policy file (TOML); left out or `in-force`: the workspace's policy.")
]


@policy.command("lint")
@command
def policy_lint(
    file: Annotated[Path, typer.Argument(help="Policy file (TOML).")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    history: Annotated[
        str | None,
        typer.Option(
            "--history", help="Workspace folder whose labels tell how long they take; maturities must cover 95 %."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a policy file; every problem with line, key and remedy. Exit code 2 when one is an error.

    Examples:

      controlplane policy lint policy.toml

      controlplane policy lint policy.toml --strict --history ./work --json
    """
    from jobs.policy_lint import lint_file

    value, text = lint_file(file, history, strict=strict)
    show(value, as_json, text)
    if not value["ok"]:
        raise typer.Exit(BAD_INPUT)


@policy.command("show")
@command
def policy_show(home: Home = None) -> None:
    """Print the text of the policy in force.

    Example:

      controlplane policy show --home ./work
    """
    from jobs.policy_files import named_policy

    print(named_policy(None, home, clock()).text, end="")


@policy.command("explain")
@command
def policy_explain(file: Named = None, home: Home = None, as_json: AsJson = False) -> None:
    """Say in plain words who is exposed when, what stops it with which promise, what a gate asks, what nobody may do.

    Examples:

      controlplane policy explain policy.toml

      controlplane policy explain --home ./work
    """
    from controlplane.core.policy_words import explain
    from jobs.policy_files import named_policy

    found = named_policy(file, home, clock())
    sections = explain(found)
    text = "\n\n".join("\n".join([part.title, *(f"  - {line}" for line in part.lines)]) for part in sections)
    plain = [{"title": part.title, "lines": list(part.lines)} for part in sections]
    show({"policy": found.name, "hash": found.hash, "sections": plain}, as_json, text)


@policy.command("diff")
@command
def policy_diff(
    old: Annotated[str, typer.Argument(help="Policy file (TOML), or `in-force` for the workspace's policy.")],
    new: Annotated[str, typer.Argument(help="The same, to compare with.")],
    home: Home = None,
    forbid_weaker: Annotated[
        bool, typer.Option("--forbid-weaker", help="Exit code 1 when a change weakens what the policy guarantees.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two policies by meaning: what each change weakens or tightens, and what it does to evidence that is being gathered.

    Examples:

      controlplane policy diff in-force policy.toml

      controlplane policy diff old.toml new.toml --forbid-weaker --json
    """
    from jobs.policy_diff import compare
    from jobs.policy_files import named_policy

    value, text = compare(named_policy(old, home, clock()), named_policy(new, home, clock()))
    show(value, as_json, text)
    if forbid_weaker and value["summary"]["weakens"]:
        raise typer.Exit(REFUSED)


@policy.command("plan")
@command
def policy_plan(
    file: Named = None,
    traffic: Annotated[
        float | None,
        typer.Option(
            "--traffic",
            min=0.001,
            max=1e7,
            help="Eligible conversations a minute; default: measured in the workspace, else [traffic] of the policy.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the picture as an HTML file that needs nothing else.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Forecast the blind spots before launch: how long each trigger takes per stage and size of harm, and what gates need.

    Examples:

      controlplane policy plan policy.toml --traffic 40

      controlplane policy plan policy.toml --home ./work --out plan.html --json
    """
    from jobs.policy_files import named_policy
    from jobs.policy_plan import forecast, print_plan, write_picture
    from jobs.policy_traffic import expected_traffic

    can_write(out)
    found = named_policy(file, home, clock())
    planned, value = forecast(found, expected_traffic(found, traffic, home))
    if out is not None:
        write_picture(found, planned, out)
        value["picture"] = str(out)
    if as_json:
        show(value, True)
        return
    print_plan(found, planned)
    if out is not None:
        print(f"picture: {out}")


@policy.command("backtest")
@command
def policy_backtest(
    file: Annotated[str, typer.Argument(metavar="POLICY", help="Policy file (TOML), or `in-force`.")],
    history: Annotated[
        Path | None,
        typer.Option(
            "--history", help="Facts file (.duckdb), workspace, or files of records; default: the workspace's facts."
        ),
    ] = None,
    replays: Annotated[int, typer.Option("--replays", min=20, help="Harmless replays; the others are fewer.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")] = 7,
    arm: Annotated[
        str, typer.Option("--arm", help="Which conversations are relabelled: baseline, assistant or all.")
    ] = "baseline",
    incidents: Annotated[
        Path | None, typer.Option("--incidents", help="Labelled windows: TOML [[incidents]] or CSV name,start,end.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the HTML report goes.")] = None,
    actor: Actor = "backtest",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Try a policy on history: false rollbacks of harmless releases, time to detect harm, other tools' rules, stress.

    Exit code 1 when the policy breaks its own promise, 2 when the history is too little to tell.

    Examples:

      controlplane policy backtest policy.toml

      controlplane policy backtest policy.toml --history logs.jsonl --out report.html --json

      controlplane policy backtest in-force --home ./work --incidents incidents.toml
    """
    from jobs.backtest_command import Options, backtest_command, text

    options = Options(home, file, history, replays, seed, arm, out, incidents, actor)
    result = backtest_command(options, clock())
    show(result, as_json, text(result))
    if not result["ok"]:
        raise typer.Exit(REFUSED)
