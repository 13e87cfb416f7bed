"""`controlplane drift`. Reads options, calls one function and prints."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.console import BAD_INPUT, Actor, AsJson, Home, Reason, clock, command, fail, show, stderr

drift = typer.Typer(
    help="Has the traffic changed? Gate numbers per column on all rows, between files or windows.", no_args_is_help=True
)
windows = typer.Typer(help="Named, versioned reference windows.", no_args_is_help=True)
drift.add_typer(windows, name="reference")

Hours = Annotated[
    float | None, typer.Option("--hours", min=0.1, max=100_000, help="Length of the current window in hours.")
]
Days = Annotated[
    float | None,
    typer.Option("--days", min=0.1, max=4_000, help="Length in days; default: the policy's drift.window_days."),
]
Since = Annotated[
    str | None, typer.Option("--since", help="Begin of the current window (ISO time, UTC unless it says).")
]
Until = Annotated[str | None, typer.Option("--until", help="Its end; default: the newest interaction.")]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        help="With --current: file with the rows of the past (CSV, Parquet or JSON lines, .gz). Else the window to compare with: "
        "accepted, previous, year, or NAME[@VERSION] of `drift reference list`; default: the policy's drift.reference.",
    ),
]
Current = Annotated[Path | None, typer.Option("--current", help="File with the rows of now.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for summary.json and report.html; made when it is not there.")
]
Report = Annotated[
    bool, typer.Option("--report/--no-report", help="Draw Evidently's report, too (some ten seconds more).")
]
Weight = Annotated[
    str | None,
    typer.Option("--weight", help="Column of both files that says how many rows a row stands for (histograms)."),
]
Numeric = Annotated[
    float | None,
    typer.Option("--numeric", help="Files: Wasserstein distance / sd from which numbers are drifted; default .1."),
]
Categorical = Annotated[
    float | None,
    typer.Option("--categorical", help="Files: Jensen-Shannon distance from which categories are drifted; default .1."),
]
Alpha = Annotated[
    float | None, typer.Option("--alpha", help="Files: chance of a false alarm over all columns together; default .05.")
]
Release = Annotated[str | None, typer.Option("--release", help="Only interactions of this release.")]
Against = Annotated[
    str | None, typer.Option("--against", help="Compare --release with this other one, each over its own time.")
]
Arm = Annotated[
    str | None,
    typer.Option("--arm", help="Only this arm; default: the assistant where there is enough of it, else all rows."),
]
AgainstArm = Annotated[str | None, typer.Option("--against-arm", help="Compare --arm with this one, at the same time.")]


@drift.command("run")
@command
def run(
    reference: Reference = None,
    current: Current = None,
    out: Out = None,
    report: Report = True,
    weight: Weight = None,
    numeric: Numeric = None,
    categorical: Categorical = None,
    alpha: Alpha = None,
    home: Home = None,
    hours: Hours = None,
    days: Days = None,
    since: Since = None,
    until: Until = None,
    release: Release = None,
    against: Against = None,
    arm: Arm = None,
    against_arm: AgainstArm = None,
    as_json: AsJson = False,
) -> None:
    """Compare two files, or two windows, releases or arms of the workspace; also while `up` runs.

    Examples:

      controlplane drift run --reference january.parquet --current february.csv.gz --out drift --json

      controlplane drift run --reference a.csv --current b.csv --numeric 0.2 --categorical 0.15 --alpha 0.01

      controlplane drift run

      controlplane drift run --days 7 --reference year

      controlplane drift run --release v1.1 --against v1.0

      controlplane drift run --arm assistant --against-arm baseline --hours 24
    """
    asked = {"hours": hours, "days": days, "since": since, "until": until, "release": release, "against": against}
    asked |= {"arm": arm, "against_arm": against_arm}
    thresholds = {"numeric": numeric, "categorical": categorical, "alpha": alpha}
    if current is not None:
        if reference is None:
            fail("--current names a file: name the file it is compared with by --reference", BAD_INPUT)
        if given := [f"--{name.replace('_', '-')}" for name, value in asked.items() if value is not None]:
            fail(f"{', '.join(given)} choose windows of the workspace: leave them out to compare files", BAD_INPUT)
        _files(Path(reference), current, out, report, weight, thresholds, as_json)
        return
    if weight is not None:
        fail("--weight is for files: every interaction of the workspace counts once", BAD_INPUT)
    if given := [f"--{name}" for name, value in thresholds.items() if value is not None]:
        fail(f"{', '.join(given)}: for files; the workspace is judged by drift.* of the policy", BAD_INPUT)
    if out is not None:
        fail("--out is for files: an analysis of the workspace is kept in it, under reports/drift", BAD_INPUT)
    from jobs import drift_command

    with stderr.status("comparing windows" + (" (Evidently takes about ten seconds to load)" if report else "")):
        found = drift_command.windows(home, asked | {"reference": reference, "report": report}, clock())
    show(found, as_json, drift_command.text(found))


def _files(
    reference: Path,
    current: Path,
    out: Path | None,
    report: bool,
    weight: str | None,
    thresholds: dict[str, float | None],
    as_json: bool,
) -> None:
    from controlplane.analysis.drift_model import DriftSettings
    from jobs.drift_files import drift_files
    from jobs.drift_table import text

    if report and out is None:
        report = False  # there is no place for it; the help of --out says so
    for name, above in thresholds.items():
        if above is not None and not 0 < above < (inf if name == "numeric" else 1):
            fail(f"--{name} {above:g}: it has to be above 0{'' if name == 'numeric' else ' and below 1'}", BAD_INPUT)
    chosen: dict[str, Any] = {name: above for name, above in thresholds.items() if above is not None}
    settings = DriftSettings(**chosen)
    try:
        with stderr.status("comparing files") as status:
            value = drift_files(reference, current, out, report, settings, weight=weight, progress=status.update)
    except ValueError as error:
        fail(str(error), BAD_INPUT)
    show(value, as_json, text(value))


@drift.command("list")
@command
def list_(
    home: Home = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most this many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Recorded analyses, newest first.

    Example:

      controlplane drift list --limit 5
    """
    from jobs import drift_command

    found = drift_command.analyses(home, clock(), limit)
    show({"analyses": found}, as_json, drift_command.list_text(found))


@drift.command("show")
@command
def show_(
    analysis: Annotated[str, typer.Argument(help="Id of an analysis, its beginning, or `latest`.")],
    home: Home = None,
    every: Annotated[bool, typer.Option("--all", help="Also the columns that did not move.")] = False,
    as_json: AsJson = False,
) -> None:
    """One recorded analysis: what moved, since when, and what came with it.

    Example:

      controlplane drift show latest --json
    """
    from jobs import drift_command

    found = drift_command.analysis(home, analysis, clock())
    show(found, as_json, drift_command.text(found, every))


@drift.command("timeline")
@command
def timeline(
    column: Annotated[str | None, typer.Option("--column", help="Only this column.")] = None,
    days: Days = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="accepted, previous, year or NAME[@VERSION]; default: the policy's."),
    ] = None,
    arm: Arm = None,
    release: Release = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """How far each column was from the reference, day by day (short spans: hour by hour), and when it drifted.

    Examples:

      controlplane drift timeline --days 28

      controlplane drift timeline --column intent_pred --reference launch --json
    """
    from jobs import drift_command

    asked = {"column": column, "days": days, "reference": reference, "arm": arm, "release": release}
    with stderr.status("reading the days that are new"):
        found = drift_command.timeline(home, asked, clock())
    show(found, as_json, drift_command.timeline_text(found))


@windows.command("add")
@command
def add(
    name: Annotated[str, typer.Argument(help="Its name; one that exists gets a new version.")],
    since: Annotated[str, typer.Option("--since", help="Begin (ISO time, UTC unless it says).")],
    until: Annotated[str, typer.Option("--until", help="End, not included.")],
    actor: Actor,
    reason: Reason,
    release: Release = None,
    arm: Arm = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Keep a reference window under a name; the policy's drift.reference may name it.

    Example:

      controlplane drift reference add launch --since 2026-03-01 --until 2026-03-29 --actor ana --reason "first quiet month"
    """
    from jobs import drift_command

    asked = {"name": name, "since": since, "until": until, "release": release, "arm": arm}
    found = drift_command.add_reference(home, asked | {"actor": actor, "reason": reason}, clock())
    show(found, as_json, f"{found['name']}@{found['version']}: {found['interactions']:,} interactions")


@windows.command("list")
@command
def references(home: Home = None, as_json: AsJson = False) -> None:
    """Named reference windows with their versions, oldest first.

    Example:

      controlplane drift reference list
    """
    from jobs import drift_command

    found = drift_command.references(home, clock())
    lines = [
        f"{row['name']}@{row['version']}  {row['since']} to {row['until']}  {row['interactions']:,} interactions; "
        f"{row['actor']}: {row['reason']}"
        for row in found
    ]
    show({"references": found}, as_json, "\n".join(lines) or "none: `controlplane drift reference add` keeps one")
