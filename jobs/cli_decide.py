"""Commands of the decision engine: one heartbeat, overrides, containments, a change of policy while a release runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli_policy import policy
from jobs.console import Actor, AsJson, Home, Reason, clock, command, show

override = typer.Typer(help="Set a trigger aside for a while, on record: add, list, end.", no_args_is_help=True)
containment = typer.Typer(
    help="Categories that go to people after a severe misrouting: list, release.", no_args_is_help=True
)


@command
def tick(
    at: Annotated[
        str | None, typer.Option("--at", help="Take this as the time (ISO 8601 with zone), for replays of the past.")
    ] = None,
    policy_file: Annotated[
        str | None, typer.Option("--policy", help="Policy file (TOML) while there is no rollout.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """One heartbeat without `up`: store what landed, close blocks, judge, verify a cut, tell people, publish the snapshot.

    Examples:

      controlplane tick

      controlplane tick --at 2026-01-05T09:30:00Z --json
    """
    from jobs.tick_command import text, tick_command

    value = tick_command(home, policy_file, at)
    show(value, as_json, text(value))


def _switch(home: str | None, event: str, actor: str, reason: str, as_json: bool) -> None:
    from controlplane.core.rollout import Event
    from jobs.person_command import person_command

    value = person_command(home, Event(event), actor, reason, clock())
    show(value, as_json, f"{value['release']}: execution of workflows {'on' if value['execution_enabled'] else 'off'}")


@command
def disable_execution(actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False) -> None:
    """Switch execution of workflows off; answers go on."""
    _switch(home, "disable_execution", actor, reason, as_json)


@command
def enable_execution(actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False) -> None:
    """Switch execution of workflows on again; triggers that had switched it off begin again from no evidence."""
    _switch(home, "enable_execution", actor, reason, as_json)


@override.command("add")
@command
def override_add(
    trigger: Annotated[str, typer.Argument(help="Name of a trigger of the policy in force.")],
    hours: Annotated[float, typer.Option("--hours", help="For how long; at most what the policy allows.")],
    actor: Actor,
    reason: Reason,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Let a trigger page instead of acting for a while; what it finds counts again at the end. Never safety.

    Example:

      controlplane override add latency_slo_breach --hours 4 --actor ana --reason "planned load test"
    """
    from jobs import governing
    from jobs.compose import open_state, policy_in_force, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    now = clock()
    with open_state(settings, now) as state:
        item = governing.add_override(state, policy_in_force(settings, state), trigger, hours, actor, reason, now)
    value = governing.override_json(item, item.started_at)
    show(value, as_json, f"{value['override_id']}: {trigger} pages instead of acting until {value['until']}")


@override.command("list")
@command
def override_list(home: Home = None, as_json: AsJson = False) -> None:
    """All overrides, oldest first, and which are in force."""
    from jobs import governing
    from jobs.compose import open_state, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    now = clock()
    with open_state(settings, now) as state:
        rows = [governing.override_json(item, now) for item in state.overrides()]
    lines = [
        f"{r['override_id']}  {'in force' if r['active'] else 'ended':8}  {r['trigger']}  until {r['until']}  {r['actor']}: {r['reason']}"
        for r in rows
    ]
    show({"overrides": rows}, as_json, "\n".join(lines) or "no overrides")


@override.command("end")
@command
def override_end(
    override_id: Annotated[str, typer.Argument(help="Its id, from `override list`.")],
    actor: Actor,
    reason: Reason,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """End an override before its time: what the trigger has found acts at the next heartbeat."""
    from jobs import governing
    from jobs.compose import open_state, policy_in_force, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    now = clock()
    with open_state(settings, now) as state:
        item = governing.end_override(state, policy_in_force(settings, state), override_id, actor, reason, now)
    show(governing.override_json(item, now), as_json, f"{override_id}: ended, {item.trigger} acts again")


@containment.command("list")
@command
def containment_list(home: Home = None, as_json: AsJson = False) -> None:
    """Every confirmed severe misrouting that sent a category to people, and whether it still does."""
    from jobs import governing
    from jobs.compose import open_state, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, clock()) as state:
        rows = governing.containments_json(state)
    lines = [
        f"{r['contained_at']}  {'contained' if r['contained'] else 'released':9}  {r['what']}  {r['evaluator']}, evaluation {r['evaluation_id']}"
        for r in rows
    ]
    show({"containments": rows}, as_json, "\n".join(lines) or "no category was ever contained")


@containment.command("release")
@command
def containment_release(
    category: Annotated[str, typer.Argument(help='The intent; "" for conversations whose intent is not told.')],
    actor: Actor,
    reason: Reason,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Let a contained category be served again. Execution of workflows stays off until `controlplane enable-execution`.

    Example:

      controlplane containment release card_stolen --actor ana --reason "routing rule restored, 200 replays correct"
    """
    from jobs import actions, governing
    from jobs.compose import open_state, policy_in_force, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    now = clock()
    with open_state(settings, now) as state:
        policy_ = policy_in_force(settings, state)
        governing.release_category(state, policy_, category, actor, reason, now)
        value = actions.status(state, policy_, now)
    show(value, as_json, f"released; still contained: {', '.join(value['contained']) or 'nothing'}")


@policy.command("apply")
@command
def policy_apply(
    file: Annotated[Path, typer.Argument(help="Policy file (TOML).")],
    actor: Actor,
    reason: Reason,
    override_backtest: Annotated[
        str,
        typer.Option("--override-backtest", help="Go on although its backtest is missing or broke its promise: why."),
    ] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Judge the running rollout by another policy from now on. The stages already passed and the salt must stay as they are.

    Certificates restart. `controlplane policy diff` shows beforehand what changes.

    Example:

      controlplane policy apply tighter.toml --actor ana --reason "one trigger more after the review"
    """
    from jobs import actions, governing
    from jobs.compose import open_state, policy_in_force, read_policy, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    new = read_policy(workspace_settings(home, str(file)))
    now = clock()
    with open_state(settings, now) as state:
        old = policy_in_force(settings, state)
        governing.apply_policy(state, old, new, actor, reason, now, override_backtest.strip())
        value = actions.status(state, new, now)
    show(value, as_json, f"{value['rollout']}: judged by {new.name} {new.hash[:12]} now, before by {old.hash[:12]}")
