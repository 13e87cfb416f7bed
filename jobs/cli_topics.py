"""`controlplane topics` and `controlplane retrain propose`: what production says should be written, and learned, next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.console import REFUSED, Actor, AsJson, Home, clock, command, show, stderr

retrain = typer.Typer(help="Propose a classifier trained on what people have labelled since.", no_args_is_help=True)


@command
def topics(
    since: Annotated[str | None, typer.Option("--since", help="Begin of the span (ISO-8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option("--until", help="End; default: the newest conversation.")] = None,
    days: Annotated[float, typer.Option("--days", min=0.01, max=3660, help="Length, where no --since is given.")] = 7.0,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.0, max=1.0, help="Below this the classifier was unsure.")
    ] = 0.5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the grouping.")] = 7,
    actor: Annotated[str, typer.Option("--actor", help="Who asks; written to the audit log.")] = "controlplane",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What to write into the knowledge base next: topics of unresolved or out-of-scope questions, by customers affected.

    Compared with the span of the same length before; a topic is NEW when a test that is corrected for their number says so.

    Examples:

      controlplane topics

      controlplane topics --days 28 --json
    """
    from jobs import work
    from jobs.moments import moment
    from jobs.topics import topics_text

    start, end = moment(since, "--since"), moment(until, "--until")
    asked: dict[str, Any] = {"days": days, "confidence": confidence, "seed": seed, "actor": actor}
    span = {"since": start and start.isoformat(), "until": end and end.isoformat()}
    with stderr.status("grouping questions"):
        value = work.do(home, "topics", asked | span, clock())
    show(value, as_json, topics_text(value))


@retrain.command("propose")
@command
def retrain_propose(
    evaluation: Annotated[str, typer.Option("--evaluation", help="Data set NAME[@VERSION] to measure on.")],
    training: Annotated[
        str, typer.Option("--training", help="Data set NAME[@VERSION] with the rows that people have labelled.")
    ],
    actor: Actor,
    criteria: Annotated[
        str, typer.Option("--criteria", help="Hash (8 digits or more) or name of registered criteria.")
    ],
    release: Annotated[
        Path | None, typer.Option("--release", help="Running release (TOML); default: the shipped one.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Labelled file that a classifier of the release's own learned from.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of training and evaluation.")] = 7,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Train a candidate with the labelled rows added, measure it beside the running one, and write a proposal. It deploys nothing.

    Exit code 1 unless the proposal says yes.

    Example:

      controlplane retrain propose --evaluation support --training support-train --criteria quality --actor ana
    """
    from jobs.retrain import Asked, proposal_text, propose_command

    asked = Asked(evaluation, training, criteria, release, data, seed)
    with stderr.status("training and measuring"):
        value = propose_command(home, asked, actor, clock)
    show(value, as_json, proposal_text(value))
    if value["recommendation"] != "yes":
        raise typer.Exit(REFUSED)
