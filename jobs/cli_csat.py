"""`controlplane csat`. Reads options, calls one function and prints."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.console import BAD_INPUT, REFUSED, AsJson, Home, can_write, clock, command, fail, show, stderr

File = Annotated[
    Path | None, typer.Argument(help="A csv or Parquet file with one row per conversation; default: the workspace.")
]
Arm = Annotated[str, typer.Option("--arm", help="FILE: column with the arm.")]
Rating = Annotated[str, typer.Option("--rating", help="FILE: column with the rating 1..5, empty for silent.")]
Control = Annotated[str, typer.Option("--control", help="FILE: the arm that is compared with.")]
Features = Annotated[
    str, typer.Option("--features", help="FILE: columns known of everybody, for the model of the silent (A,B,C).")
]
Since = Annotated[str | None, typer.Option("--since", help="Begin of the window (ISO-8601, UTC).")]
Until = Annotated[str | None, typer.Option("--until", help="End of the window; default: the newest record.")]
Days = Annotated[float | None, typer.Option("--days", help="The last so many days of the data.")]
Week = Annotated[str, typer.Option("--week", help="An ISO week, for example 2026-W07.")]
Release = Annotated[str, typer.Option("--release", help="This release only.")]
Segment = Annotated[
    str, typer.Option("--segment", help="Split by this column: segment, intent, channel, region, phase; of FILE: any.")
]
Model = Annotated[bool, typer.Option("--model/--no-model", help="Model the silent, beside the ratings.")]
Plausible = Annotated[
    float | None,
    typer.Option(
        "--plausible-gap", help="Points by which one arm's silent may be further from its rated; default .25."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Write the report here (HTML).")]
Record = Annotated[bool, typer.Option("--record", help="Keep it as an artefact with an audit row; needs --actor.")]
Who = Annotated[str, typer.Option("--actor", help="Who records it; written to the audit log.")]


@command
def csat(
    file: File = None,
    arm: Arm = "",
    rating: Rating = "",
    control: Control = "",
    features: Features = "",
    since: Since = None,
    until: Until = None,
    days: Days = None,
    week: Week = "",
    release: Release = "",
    segment: Segment = "",
    model: Model = True,
    plausible: Plausible = None,
    out: Out = None,
    record: Record = False,
    actor: Who = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """CSAT told honestly: who answers, how the arms differ, and how far the silent customers could change that.

    A modelled mean of the silent stands beside the ratings, where it can be believed. Exit codes: 0 answered, 1 unknown or worse, 2 wrong use.

    Examples:

      controlplane csat --week 2026-W07 --out csat.html

      controlplane csat --days 28 --segment intent --record --actor ana

      controlplane csat ratings.csv --arm arm --rating stars --features turns,escalated --json
    """
    if record and not actor.strip():
        fail("--record needs --actor: the record names who made it", BAD_INPUT)
    if plausible is not None and not (isfinite(plausible) and plausible >= 0.0):
        fail(f"--plausible-gap is {plausible}; give rating points, 0 or more", BAD_INPUT)
    can_write(out)
    gap = {} if plausible is None else {"plausible": plausible}
    if file is not None:
        if record or since or until or days is not None or week or release:
            fail(
                "a FILE has no window, release or record: leave --since, --until, --days, --week, --release, --record out",
                BAD_INPUT,
            )
        found = _of_file(file, arm, rating, {"control": control, "segment": segment, "model": model, **gap}, features)
    else:
        if arm or rating or control or features:
            fail("--arm, --rating, --control and --features go with a FILE", BAD_INPUT)
        asked = {**_window(since, until, days, week), "release": release, "segment": segment, "model": model, **gap}
        found = _of_workspace(home, asked)
    _finish(home, found, out, actor.strip() if record else "", as_json)


def _of_file(file: Path, arm: str, rating: str, asked: dict[str, Any], features: str) -> dict[str, Any]:
    if not arm or not rating:
        fail("a FILE needs --arm and --rating: the columns with the arm and with the rating", BAD_INPUT)
    from jobs.csat_file import measure_file

    with stderr.status("counting the ratings"):
        return measure_file(
            file, arm, rating, features=[name.strip() for name in features.split(",") if name.strip()], **asked
        )


def _of_workspace(home: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    from jobs.work import do

    with stderr.status("counting the ratings and modelling the silent" if asked["model"] else "counting the ratings"):
        return do(home, "csat", asked, clock())


def _window(since: str | None, until: str | None, days: float | None, week: str) -> dict[str, Any]:
    """One way to say the window; times as ISO text."""
    if sum((since is not None or until is not None, days is not None, bool(week))) > 1:
        fail("give --since and --until, or --days, or --week, not several of them", BAD_INPUT)
    if days is not None and not (isfinite(days) and 0.0 < days <= 36_500.0):
        fail(f"--days is {days}; give a number of days above 0", BAD_INPUT)
    if week:
        from jobs.moments import week_bounds

        start, end = week_bounds(week)
        return {"since": start.isoformat(), "until": end.isoformat()}
    from jobs.moments import moment

    begin, end_ = moment(since, "--since"), moment(until, "--until")
    return {
        "since": None if begin is None else begin.isoformat(),
        "until": None if end_ is None else end_.isoformat(),
        "days": days,
    }


def _finish(home: str | None, found: dict[str, Any], out: Path | None, actor: str, as_json: bool) -> None:
    """Writes the report, records where an actor is named, and prints."""
    from jobs.csat_text import text

    said = text(found)
    if out is not None:
        from controlplane.analysis.csat_html import report

        out.write_text(report(found), encoding="utf-8")
        found["report"] = str(out.absolute())
        said += f"\n\nreport {out}"
    if actor:
        from jobs.csat import record

        found["id"] = record(home, found, actor, str(found.get("report", "")), clock())
        said += f"\n\nrecorded as {found['id']}"
    show(found, as_json, said)
    if found["csat"]["movement"] in ("unknown", "worse"):
        raise typer.Exit(REFUSED)
