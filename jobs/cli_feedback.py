"""`controlplane review queue | take | assign | submit | disputes | adjudicate | open | rates | accept`: people's labels of drawn answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobs.cli_acceptance import review as review
from jobs.console import BAD_INPUT, Actor, AsJson, Home, clock, command, fail, show, stderr

Reviewer = Annotated[str, typer.Option("--reviewer", help="Who looks; not who made the release.")]
ItemId = Annotated[str, typer.Argument(help="Id of the item, as `review take` shows it.")]
Label = Annotated[str, typer.Argument(help="correct, incorrect or unsafe.")]
Intent = Annotated[
    str | None, typer.Option("--intent", help="What the customer wanted; out_of_scope for none of ours.")
]
Grounded = Annotated[
    bool | None, typer.Option("--grounded/--ungrounded", help="Whether the pages bear out what the answer claims.")
]
Severity = Annotated[int | None, typer.Option("--severity", min=1, max=5, help="1 mild to 5 severe.")]
Note = Annotated[str, typer.Option("--note", help="Why; written to the audit log.")]
Level = Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="Confidence of the intervals.")]


@review.command("queue")
@command
def review_queue(
    actor: Actor,
    per_day: Annotated[float, typer.Option("--per-day", min=0.1, help="Answers that people can read a day.")] = 50.0,
    audit_share: Annotated[
        float, typer.Option("--audit-share", min=0.01, max=1.0, help="Share of it that chance alone picks.")
    ] = 0.5,
    double_share: Annotated[
        float, typer.Option("--double-share", min=0.0, max=1.0, help="Share that two people label.")
    ] = 0.2,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.0, max=1.0, help="Below this the classifier was unsure.")
    ] = 0.5,
    lag_hours: Annotated[
        float, typer.Option("--lag-hours", min=0.0, help="Leave the newest hours out, so that ratings have come in.")
    ] = 0.0,
    until: Annotated[str | None, typer.Option("--until", help="End of the span; default: the newest answer.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Draw answers given since the last draw for people to look at, each with its reasons and its probability.

    Reasons: the random audit, low confidence, disagreement of judges, failures, answers in new topics.

    Examples:

      controlplane review queue --per-day 50 --lag-hours 24 --actor ana

      controlplane review queue --per-day 20 --audit-share 1 --actor ana --json
    """
    from jobs import work
    from jobs.moments import moment
    from jobs.review_draw import draw_text

    end = moment(until, "--until")
    settings: dict[str, Any] = {"audit_share": audit_share, "double_share": double_share, "confidence": confidence}
    asked = {"per_day": per_day, "actor": actor, "lag_hours": lag_hours, "until": end and end.isoformat()}
    with stderr.status("looking at the answers"):
        value = work.do(home, "review_draw", settings | asked, clock())
    show(value, as_json, draw_text(value))


@review.command("take")
@command
def review_take(
    reviewer: Reviewer,
    count: Annotated[int, typer.Option("--count", min=1, max=500, help="How many to have at hand.")] = 5,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take drawn answers to label: question and answer, without anybody's opinion of them. What you have not labelled comes again.

    Example:

      controlplane review take --reviewer rita --count 10
    """
    from jobs import work
    from jobs.review_answer import items_text

    value = work.do(home, "review_take", {"reviewer": _named(reviewer), "count": count}, clock())
    show(value, as_json, items_text(value))


@review.command("assign")
@command
def review_assign(
    to: Annotated[str, typer.Option("--to", help="Who is to look.")],
    actor: Actor,
    count: Annotated[int, typer.Option("--count", min=1, max=500, help="At most this many more.")] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Give drawn answers to somebody; they see them with `review take`.

    Example:

      controlplane review assign --to rita --count 20 --actor ana
    """
    from jobs.compose import open_state, workspace_settings
    from jobs.review_work import assign

    now = clock()
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        given = assign(state, _named(to), count, actor, now)
    show({"reviewer": to.strip(), "items": given}, as_json, f"{len(given)} items for {to.strip()}")


@review.command("submit")
@command
def review_submit(
    item_id: ItemId,
    label: Label,
    reviewer: Reviewer,
    intent: Intent = None,
    grounded: Grounded = None,
    severity: Severity = None,
    note: Note = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Say what you think of an answer that you have taken. A settled one goes back to the facts as evaluations.

    Examples:

      controlplane review submit q-3fa91c2b0d1e correct --reviewer rita --intent card_lost --grounded

      controlplane review submit q-3fa91c2b0d1e unsafe --reviewer rita --severity 5 --note "fraud case was not given to a person"
    """
    from jobs.review_answer import submit_command
    from jobs.review_work import opinion_of

    now = clock()
    said = opinion_of(reviewer, label, now, intent=intent or None, grounded=grounded, severity=severity, note=note)
    value = submit_command(home, item_id, said, now)
    show(value, as_json, f"{item_id}: {label}, {value['status']}")


@review.command("disputes")
@command
def review_disputes(
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most this many.")] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Answers on which two people differ, with what both said: for a third person."""
    from jobs import work
    from jobs.review_answer import items_text

    value = work.do(home, "review_disputes", {"limit": limit}, clock())
    show(value, as_json, items_text(value))


@review.command("adjudicate")
@command
def review_adjudicate(
    item_id: ItemId,
    label: Label,
    reviewer: Annotated[str, typer.Option("--reviewer", help="A third person, or the policy's owner.")],
    intent: Intent = None,
    grounded: Grounded = None,
    severity: Severity = None,
    note: Note = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Decide what two people differ on. It stands.

    Example:

      controlplane review adjudicate q-3fa91c2b0d1e incorrect --reviewer olga --note "the page says 30 days"
    """
    from jobs.review_answer import adjudicate_command
    from jobs.review_work import opinion_of

    now = clock()
    said = opinion_of(reviewer, label, now, intent=intent or None, grounded=grounded, severity=severity, note=note)
    value = adjudicate_command(home, item_id, said, now)
    show(value, as_json, f"{item_id}: {label}, decided by {value['reviewer']}")


@review.command("open")
@command
def review_open(home: Home = None, level: Level = 0.95, as_json: AsJson = False) -> None:
    """Where the drawn answers stand, who has how many, and how far two people agree (raw, kappa, AC1, alpha)."""
    from jobs.review_answer import open_command, open_text

    value = open_command(home, level, clock())
    show(value, as_json, open_text(value))


@review.command("rates")
@command
def review_rates(
    since: Annotated[str | None, typer.Option("--since", help="Answers given from then on.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Answers given before then.")] = None,
    release: Annotated[str, typer.Option("--release", help="Answers of this release; default: all.")] = "",
    level: Level = 0.95,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Misclassification, hallucination, wrong and unsafe answers among all answers, weighted by how likely each was to be drawn.

    Beside each the share in the queue itself, which is no estimate of anything: the queue looks for trouble.

    Example:

      controlplane review rates --since 2026-01-05 --json
    """
    from jobs.review_answer import rates_command
    from jobs.review_rates import rates_text

    value = rates_command(home, since, until, release, level, clock())
    show(value, as_json, rates_text(value))


@review.command("accept")
@command
def review_accept(
    evaluation: Annotated[str, typer.Option("--evaluation", help="Data set for evaluation.")],
    training: Annotated[str, typer.Option("--training", help="Data set for training.")],
    actor: Actor,
    evaluation_share: Annotated[
        float, typer.Option("--evaluation-share", help="Share of conversations that go to evaluation.")
    ] = 0.3,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Settled answers become rows of the evaluation or the training set, as new versions; a conversation only ever of one.

    Example:

      controlplane review accept --evaluation support --training support-train --actor ana
    """
    from jobs import work
    from jobs.review_accept import accept_text

    asked = {"evaluation": evaluation, "training": training, "actor": actor, "evaluation_share": evaluation_share}
    value = work.do(home, "review_accept", asked, clock())
    show(value, as_json, accept_text(value))


def _named(reviewer: str) -> str:
    if not reviewer.strip():
        fail("--reviewer: name who looks", BAD_INPUT)
    return reviewer.strip()
