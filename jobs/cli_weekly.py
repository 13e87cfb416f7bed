"""`controlplane review weekly | show | pinned | verify | sign | correct`: the weekly review for leadership. Options in, one call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli_feedback import review as review  # with the commands of the group that are there already
from jobs.console import BAD_INPUT, REFUSED, Actor, AsJson, Home, Reason, can_write, clock, command, fail, show, stderr

Out = Annotated[Path | None, typer.Option("--out", help="Write it as FILE.html, FILE.pdf or FILE.json, too.")]
ReviewId = Annotated[str, typer.Argument(help="Id (2026-W46-v1), week (2026-W46: its newest version) or latest.")]


@review.command("weekly")
@command
def review_weekly(
    week: Annotated[
        str | None, typer.Option("--week", help="ISO week, 2026-W46; default: the last one that has ended.")
    ] = None,
    pin: Annotated[
        bool, typer.Option("--pin/--no-pin", help="Pin it and keep it, or only look: nothing is recorded.")
    ] = True,
    post: Annotated[
        bool, typer.Option("--post", help="Post its summary, too, as the Monday job does; only once per review.")
    ] = False,
    actor: Actor = "review",
    out: Out = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Review a week (Monday to Monday, UTC): the five success measures, may we grow, what changed. A pinned review never changes.

    A week that is pinned already is shown as it was pinned; `review correct` makes a new version.

    Examples:

      controlplane review weekly

      controlplane review weekly --week 2026-W46 --out review.html

      controlplane review weekly --post

      controlplane review weekly --no-pin --json
    """
    from jobs import weekly_command as job

    _check_out(out)
    if post and not pin:
        fail("--post tells people of a pinned review: leave --no-pin out", BAD_INPUT)
    with stderr.status("reading the week"):
        value = job.weekly(home, week, actor, clock(), pin=pin, post=post)
    _write(out, value)
    show(value, as_json, job.text(value))


@review.command("show")
@command
def review_show(review_id: ReviewId = "latest", out: Out = None, home: Home = None, as_json: AsJson = False) -> None:
    """Show a pinned review with its signatures, checked against the audit log. Exit code 1 when it is not what was pinned.

    Examples:

      controlplane review show latest

      controlplane review show 2026-W46 --out review.html
    """
    from jobs import weekly_command as job

    _check_out(out)
    value = job.shown(home, review_id, clock())
    _write(out, value)
    show(value, as_json, job.text(value))
    if not value["vouched"]:
        raise typer.Exit(REFUSED)


@review.command("pinned")
@command
def review_pinned(home: Home = None, as_json: AsJson = False) -> None:
    """All pinned weekly reviews with their signatures, oldest week first."""
    from jobs import weekly_command as job

    value = job.listed(home, clock())
    text = "\n".join(job.line(item) for item in value["reviews"]) or "no review is pinned yet"
    show(value, as_json, text)


@review.command("verify")
@command
def review_verify(review_id: ReviewId, home: Home = None, as_json: AsJson = False) -> None:
    """Make a pinned review again from the facts and the record as of its pin. Exit code 1 when it differs; names the sections.

    Example:

      controlplane review verify 2026-W46-v1
    """
    from jobs import weekly_command as job

    with stderr.status("making the review again"):
        value = job.verify(home, review_id, clock())
    same = f"{value['review_id']} comes out again as it was pinned ({value['document_hash'][:12]})"
    text = same if value["same"] else f"{value['review_id']} differs: " + ", ".join(value["differs"])
    show(value, as_json, text)
    if not value["same"]:
        raise typer.Exit(REFUSED)


@review.command("sign")
@command
def review_sign(
    review_id: ReviewId,
    actor: Actor,
    note: Annotated[str, typer.Option("--note", help="What the signer has to say; written to the audit log.")],
    verdict: Annotated[str, typer.Option("--verdict", help="agree or object.")] = "agree",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Sign a review with name and time. The signature names the hash of the document; the document does not change.

    The policy may name who signs ([programme] owners).

    Examples:

      controlplane review sign latest --actor mira --note "read with operations"

      controlplane review sign 2026-W46-v1 --actor jon --verdict object --note "CSAT of the app is missing"
    """
    from jobs import weekly_command as job

    if verdict not in ("agree", "object"):
        fail(f"--verdict {verdict}: there are agree and object", BAD_INPUT)
    value = job.signed(home, review_id, actor, verdict, note, clock())
    show(value, as_json, f"{value['review_id']} signed by {actor} ({verdict}), document {value['document_hash'][:12]}")


@review.command("correct")
@command
def review_correct(
    review_id: ReviewId, actor: Actor, reason: Reason, out: Out = None, home: Home = None, as_json: AsJson = False
) -> None:
    """Pin a new version of a review from what is known now; it names the one that it corrects, why, and what changed.

    Example:

      controlplane review correct 2026-W46-v1 --actor ana --reason "a late file of the call centre"
    """
    from jobs import weekly_command as job

    _check_out(out)
    with stderr.status("reading the week"):
        value = job.corrected(home, review_id, actor, reason, clock())
    _write(out, value)
    show(value, as_json, job.text(value))


def _check_out(out: Path | None) -> None:
    """Say before the work what could not be written after it."""
    if out is not None and out.suffix.lower() not in (".html", ".pdf", ".json"):
        fail(f"--out {out}: name a file that ends in .html, .pdf or .json", BAD_INPUT)
    can_write(out)


def _write(out: Path | None, value: dict[str, Any]) -> None:
    if out is not None:
        from jobs.weekly_command import file_bytes

        out.write_bytes(file_bytes(value, out.suffix.lower()))
