"""The command `controlplane`. Commands only read options, call one function and print; groups live in `jobs.cli_*`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import cli_after as cli_after  # adds to the group of incidents
from jobs import cli_cause as cli_cause  # likewise
from jobs.cli_alerts import alerts
from jobs.cli_assistant import assistant
from jobs.cli_csat import csat
from jobs.cli_decide import containment, disable_execution, enable_execution, override, tick
from jobs.cli_drift import drift
from jobs.cli_drill import drill
from jobs.cli_evaluation import dataset, evaluation
from jobs.cli_evidence import evidence
from jobs.cli_experiment_analyze import experiment
from jobs.cli_govern import audit, release
from jobs.cli_incident import incident
from jobs.cli_metric import metric
from jobs.cli_policy import policy
from jobs.cli_topics import retrain, topics
from jobs.cli_tradeoff import tradeoff
from jobs.cli_weekly import review  # with it cli_feedback and cli_acceptance: review, eval and dataset
from jobs.console import Actor, AsJson, Home, Reason, clock, command, show

app = typer.Typer(
    name="controlplane",
    help="Put an LLM support assistant into production safely: watch, compare, cut, grow with evidence, keep the record.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(audit, name="audit")
app.add_typer(policy, name="policy")
app.add_typer(metric, name="metric")
app.add_typer(release, name="release")
app.add_typer(incident, name="incident")
app.add_typer(alerts, name="alerts")
app.add_typer(assistant, name="assistant")
app.add_typer(evaluation, name="eval")
app.add_typer(dataset, name="dataset")
app.add_typer(review, name="review")
app.add_typer(evidence, name="evidence")
app.add_typer(override, name="override")
app.add_typer(containment, name="containment")
app.command("tick")(tick)
app.command("drill")(drill)
app.command("disable-execution")(disable_execution)
app.command("enable-execution")(enable_execution)
app.add_typer(drift, name="drift")
app.add_typer(experiment, name="experiment")
app.command()(tradeoff)
app.command("topics")(topics)
app.add_typer(retrain, name="retrain")
app.command()(csat)

PIPE_WIDTH = 100_000  # of a table that no person looks at: nothing is folded
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random; the same seed gives the same decisions.")]


@app.command()
@command
def demo(
    home: Home = None,
    seed: Seed = 7,
    healthy: Annotated[bool, typer.Option("--healthy", help="The same traffic without the bad change.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve dashboards and keep traffic running afterwards.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Tell the story of a rollout in about a minute: a bad change goes in, is found, cut, verified and told.

    Examples:

      controlplane demo

      controlplane demo --no-serve --json --seed 11

      controlplane demo --healthy --no-serve
    """
    from jobs.demo import run_demo

    run_demo(home, seed=seed, healthy=healthy, serve=serve, as_json=as_json)


@app.command()
@command
def up(
    home: Home = None,
    policy_file: Annotated[
        str | None, typer.Option("--policy", help="Policy file (TOML); default: the rollout's, else the shipped one.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port of the control API (0 = any free one).")] = None,
    dashboards: Annotated[bool, typer.Option("--dashboards/--no-dashboards", help="Start the dashboards too.")] = True,
) -> None:
    """Run the control process (jobs and control API) and the dashboards until Ctrl-C. A restart continues.

    Example:

      controlplane up --home ./work --policy policy.toml
    """
    from jobs.up import run_up

    run_up(home, policy_file, port, dashboards=dashboards)


@app.command()
@command
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files (JSON lines, CSV, Parquet, .gz) or folders.")],
    map_file: Annotated[
        str | None, typer.Option("--map", help="Column map: a TOML file or the name of a shipped one (tau_bench).")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take finished logs into the facts, exactly once; bad rows go to quarantine with file, line and reason.

    Examples:

      controlplane ingest logs.jsonl --json

      controlplane ingest --map tau_bench gpt4o_airline.jsonl.gz
    """
    from jobs.ingest_command import ingest_command

    counts = ingest_command(home, paths, map_file, clock())
    text = "read {read}, stored {stored}, duplicates {duplicates}, quarantined {quarantined}".format(**counts)
    show(counts, as_json, text)


@app.command()
@command
def replay(
    file: Annotated[
        Path, typer.Argument(help="Real customer messages: CSV, JSON lines or Parquet with a text column.")
    ],
    text_column: Annotated[
        str | None, typer.Option("--text-column", help="Column with the message; found by name when not given.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most this many messages.")] = None,
    home: Home = None,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Send real customer messages through the assistant and the menu and log them like live traffic.

    Example:

      controlplane replay train.csv.gz --limit 500
    """
    from jobs.replay_command import replay_command

    counts = replay_command(home, file, text_column, limit, seed, clock())
    show(counts, as_json, ", ".join(f"{key} {value}" for key, value in counts.items()))


@app.command()
@command
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over facts and rollups.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Read facts and rollups, read-only; while `up` runs, the control process answers.

    Example:

      controlplane sql "SELECT arm, count(*) AS n FROM conversations GROUP BY arm" --json
    """
    from jobs.sql_command import run_sql

    columns, rows = run_sql(home, query)
    if as_json:
        show({"columns": columns, "rows": rows}, True)
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


@app.command()
@command
def status(home: Home = None, as_json: AsJson = False) -> None:
    """Who is served what now, and why; and when the incidents were last rehearsed."""
    from jobs import actions, drill_record
    from jobs.compose import open_state, policy_in_force, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    now = clock()
    with open_state(settings, now) as state:
        value = actions.status(state, policy_in_force(settings, state), now)
        value["last_drilled"] = drill_record.standing(state)
    lines = [f"{key:20} {item}" for key, item in value.items()]
    show(value, as_json, "\n".join(lines))


@app.command()
@command
def explain(home: Home = None, as_json: AsJson = False) -> None:
    """Why the rollout is where it is: the last decisions with their evidence, and what the gate still asks."""
    from jobs.explain import explanation, explanation_text

    value = explanation(home, clock())
    show(value, as_json, explanation_text(value))


def _person(home: str | None, event: str, actor: str, reason: str, as_json: bool) -> None:
    from controlplane.core.rollout import Event
    from jobs.person_command import person_command

    value = person_command(home, Event(event), actor, reason, clock())
    show(
        value,
        as_json,
        f"{value['release']}: {value['state']} in {value['phase']} at {value['share']:.0%}; {value['reason']}",
    )


@app.command()
@command
def hold(actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False) -> None:
    """Hold the ramp: nothing grows until a person resumes."""
    _person(home, "hold", actor, reason, as_json)


@app.command()
@command
def resume(actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False) -> None:
    """Go on after a hold; streams that had fired begin again from no evidence."""
    _person(home, "resume", actor, reason, as_json)


@app.command()
@command
def rollback(actor: Actor, reason: Reason, home: Home = None, as_json: AsJson = False) -> None:
    """Cut all traffic to the baseline now; the running control process verifies the cut."""
    _person(home, "rollback", actor, reason, as_json)


@app.command()
@command
def promote(actor: Actor, reason: Reason = "promoted", home: Home = None, as_json: AsJson = False) -> None:
    """Approve as ACTOR and grow to the next stage, if the gate passes; else say what is missing."""
    from jobs.promote_command import promote_command

    value: dict[str, Any] = promote_command(home, actor, reason, clock())
    show(value, as_json, f"{value['release']}: {value['phase']} at {value['share']:.0%}")


@app.command()
@command
def quarantine(
    home: Home = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most this many rows, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Rows that were refused, with file, line and reason."""
    from controlplane.store.queries import load
    from jobs.sql_command import run_sql

    columns, rows = run_sql(home, load("views/quarantine_latest"))
    shown = rows[:limit]
    show(
        {"columns": columns, "rows": shown},
        as_json,
        "\n".join(f"{row[0]}:{row[1]}: {row[2]} {row[3] or ''} {row[4] or ''}" for row in shown) or "none",
    )


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
