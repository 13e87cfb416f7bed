"""Command group for experiments: replay the looks of real ones from their summary statistics; `analyze` is in `jobs.cli_experiment_analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console import BAD_INPUT, AsJson, can_write, command, fail, show

experiment = typer.Typer(
    help="Experiments: analyse one, or replay what each way of deciding would have said of a real one.",
    no_args_is_help=True,
)


@experiment.command("replay")
@command
def experiment_replay(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines of cumulative summary statistics.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the report with pictures to this HTML file.")] = None,
    alpha: Annotated[
        float,
        typer.Option("--alpha", help="Two-sided level of each comparison, at most 0.5; also the share of false finds."),
    ] = 0.05,
    metric: Annotated[str | None, typer.Option("--metric", help="This metric only.")] = None,
    tightest: Annotated[
        float, typer.Option("--tightest", help="Units at which the asymptotic sequence is narrowest, fixed beforehand.")
    ] = 5000.0,
    as_json: AsJson = False,
) -> None:
    """Replay experiments: how many results that were significant at some look vanish, what valid tests say and when, and which splits were broken.

    The file holds cumulative rows per arm and look: experiment, variant ("control" is compared with), metric, look, n and x (events) or mean and
    variance; share (configured) if you have it. The published files of ASOS and of the Upworthy archive are read as they are.

    Examples:

      controlplane experiment replay asos.parquet --out report.html

      controlplane experiment replay looks.csv --metric conversion --alpha 0.01 --json
    """
    from jobs.experiment_files import ExperimentFileError
    from jobs.experiment_replay import replay_file, replay_text

    if not 1e-9 <= alpha <= 0.5:
        fail(f"--alpha is {alpha}; it must lie between 1e-9 and 0.5", BAD_INPUT)
    if not 0.0 < tightest < float("inf"):
        fail(f"--tightest is {tightest}; give a number of units above 0", BAD_INPUT)
    can_write(out)
    try:
        value = replay_file(file, alpha, metric, tightest, out)
    except ExperimentFileError as error:
        fail(str(error), BAD_INPUT)
    show(value, as_json, replay_text(value))
