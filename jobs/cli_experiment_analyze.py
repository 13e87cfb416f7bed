"""`controlplane experiment analyze`. Reads options, calls one function and prints; adds its command to the group `experiment`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli_experiment import experiment
from jobs.console import BAD_INPUT, REFUSED, AsJson, Home, can_write, clock, command, fail, show, stderr

if TYPE_CHECKING:
    from controlplane.analysis.experiment_request import Request

Named = list[str] | None
What = Annotated[
    str | None,
    typer.Argument(help="Parquet, csv or JSON-lines file (the last two also .gz); with --rollout the rollout's id."),
]
FromRollout = Annotated[bool, typer.Option("--rollout", help="Compare the arms of a rollout, from the facts.")]
Unit = Annotated[str, typer.Option("--unit", help="Column of what was randomised, for example user_id.")]
Arm = Annotated[str, typer.Option("--arm", help="Column of the arm.")]
Metrics = Annotated[
    Named, typer.Option("--metrics", help="Columns of numbers or true/false, by comma; in a rollout: its metrics.")
]
Ratios = Annotated[Named, typer.Option("--ratio", help="revenue/sessions or name=revenue/sessions; delta method.")]
Covariates = Annotated[
    Named, typer.Option("--covariate", help="CUPED: metric=column of the time before the experiment; by comma.")
]
Cuped = Annotated[str, typer.Option("--cuped", help="The same column before the experiment for every metric.")]
Lower = Annotated[Named, typer.Option("--lower", help="Metrics of which less is better; by comma.")]
Control = Annotated[str, typer.Option("--control", help="The arm to compare with; default: by its name.")]
Shares = Annotated[Named, typer.Option("--shares", help="Configured shares, a=.5,b=.5; default: equal.")]
Segments = Annotated[Named, typer.Option("--segment", help="Columns known before the assignment; a ranked table each.")]
Strata = Annotated[str, typer.Option("--strata", help="Column within which arms are compared, such as a ramp's stage.")]
Time = Annotated[str, typer.Option("--time", help="Column of times: effect by day and weekday, novelty, arrivals.")]
Quantiles = Annotated[Named, typer.Option("--quantiles", help="metric:0.5,0.95; several by semicolon.")]
Mde = Annotated[
    Named, typer.Option("--mde", help="A difference to plan for: 2% of the control, 0.5, or metric=2%; by comma.")
]
Alpha = Annotated[float, typer.Option("--alpha", help="Two-sided level.")]
Power = Annotated[float, typer.Option("--power", help="Chance with which a difference shall be found.")]
Correction = Annotated[str, typer.Option("--correction", help="Over metrics and arms: holm, bh or none.")]
SegmentCorrection = Annotated[str, typer.Option("--segment-correction", help="Over segments: bh, holm or none.")]
PerUnit = Annotated[str, typer.Option("--per-unit", help="Several rows of a unit become: mean, sum, max or min.")]
AnyTime = Annotated[
    bool, typer.Option("--anytime", help="Verdicts by the sequence that may be looked at as often as one likes.")
]
Tightest = Annotated[float, typer.Option("--tightest", help="Units at which the sequence is narrowest.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write the report with pictures to this HTML file.")]
Record = Annotated[bool, typer.Option("--record", help="Keep the analysis in the workspace; needs --actor.")]
Who = Annotated[str, typer.Option("--actor", help="Who keeps it; written to the audit log.")]


__all__ = ["experiment"]


@experiment.command("analyze")
@command
def experiment_analyze(
    what: What = None,
    rollout: FromRollout = False,
    unit: Unit = "",
    arm: Arm = "",
    metrics: Metrics = None,
    ratio: Ratios = None,
    covariate: Covariates = None,
    cuped: Cuped = "",
    lower: Lower = None,
    control: Control = "",
    shares: Shares = None,
    segment: Segments = None,
    strata: Strata = "",
    time: Time = "",
    quantiles: Quantiles = None,
    mde: Mde = None,
    alpha: Alpha = 0.05,
    power: Power = 0.8,
    correction: Correction = "holm",
    segment_correction: SegmentCorrection = "bh",
    per_unit: PerUnit = "mean",
    anytime: AnyTime = False,
    tightest: Tightest = 5000.0,
    out: Out = None,
    record: Record = False,
    actor: Who = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Analyse an experiment: differences with intervals for one look and for any number of looks, and whether they may be trusted.

    Exit codes: 0 analysed, 1 the split is broken (nothing is to be trusted), 2 wrong use or a file that cannot be read.

    Examples:

      controlplane experiment analyze users.parquet --unit user_id --arm variant --metrics revenue,converted --out report.html

      controlplane experiment analyze users.csv --unit user --arm arm --metrics revenue --covariate revenue=before --ratio revenue/sessions --json

      controlplane experiment analyze --rollout --segment intent --metrics escalation_rate,csat
    """
    can_write(out)
    if record and not actor.strip():
        fail("--record needs --actor: a record names who keeps it", BAD_INPUT)
    judged: dict[str, Any] = {"alpha": alpha, "power": power, "correction": correction, "per_unit": per_unit}
    judged |= {"segment_correction": segment_correction, "anytime": anytime, "tightest": tightest}
    names = {"metrics": _split(metrics), "segments": _split(segment), "goals": _split(mde)}
    columns = {"unit": unit, "arm": arm, "strata": strata, "time": time, "control": control}
    if rollout:
        lists = (ratio, covariate, lower, shares, quantiles)
        _refuse_columns(
            [*(name for name, value in columns.items() if value), *filter(None, (cuped, *map(_first, lists)))]
        )
        value = _of_rollout(home, what or "", names, judged)
    else:
        lists_ = {"ratios": _split(ratio), "covariates": _split(covariate), "lower": _split(lower)}
        names |= lists_ | {"shares": _split(shares), "quantiles": list(quantiles or ())}
        value = _of_file(what, columns, names, cuped, judged, record)
    _finish(home, value, out, actor.strip() if record else "", as_json)


def _split(items: Named) -> list[str]:
    return [part.strip() for item in items or () for part in item.split(",") if part.strip()]


def _first(items: Named) -> str:
    return items[0] if items else ""


def _refuse_columns(given: Sequence[str]) -> None:
    if given:
        fail(f"--rollout knows its columns: leave {', '.join(given)} out, or give a file instead", BAD_INPUT)


def _of_file(
    what: str | None,
    columns: dict[str, str],
    names: dict[str, list[str]],
    cuped: str,
    judged: dict[str, Any],
    kept: bool,
) -> dict[str, Any]:
    if what is None:
        fail("name a file to analyse, or --rollout", BAD_INPUT)
    missing = [f"--{name}" for name in ("unit", "arm") if not columns[name]]
    if missing:
        fail(f"{' and '.join(missing)} must name a column of {what}", BAD_INPUT)
    from controlplane.analysis.experiment_request import ExperimentError
    from jobs.experiment_analyze import analyse_file
    from jobs.experiment_record import file_hash

    try:
        request = _request(columns, names, cuped, judged)
        with stderr.status(f"analysing {what}"):
            value = analyse_file(Path(what), request)
            return value | {"file_hash": file_hash(Path(what))} if kept else value
    except ExperimentError as error:
        fail(str(error), BAD_INPUT)


def _request(columns: dict[str, Any], names: dict[str, list[str]], cuped: str, judged: dict[str, Any]) -> Request:
    from controlplane.analysis import experiment_request as ask

    told = {item.rpartition("=")[0] for item in names["covariates"]}
    covariates = [*names["covariates"], *(f"{name}={cuped}" for name in names["metrics"] if cuped and name not in told)]
    return ask.Request(
        **columns,
        **judged,
        measures=ask.measures(names["metrics"], names["ratios"], covariates, names["lower"]),
        shares=ask.shares(names["shares"]),
        segments=tuple(names["segments"]),
        quantiles=ask.quantiles(names["quantiles"]),
        goals=ask.goals(names["goals"]),
    )


def _of_rollout(home: str | None, name: str, names: dict[str, list[str]], judged: dict[str, Any]) -> dict[str, Any]:
    from jobs.work import do

    with stderr.status("analysing the rollout"):
        return do(home, "experiment", {"rollout": name, **names, "judged": judged}, clock())


def _finish(home: str | None, value: dict[str, Any], out: Path | None, actor: str, as_json: bool) -> None:
    """Writes the report, records where an actor is named, and prints."""
    from jobs.experiment_analyze_text import analysis_text

    said = "" if as_json else analysis_text(value)
    if actor:
        from jobs.experiment_record import record

        value["id"] = record(home, value, actor, str(out or ""), clock())
        said += f"\n\nrecorded as {value['id']}"
    if out is not None:
        from jobs.experiment_analyze import write_report

        write_report(value, out)
        value["report"] = str(out)
        said += f"\nreport {out}"
    show(value, as_json, said)
    if not value["trusted"]:
        raise typer.Exit(REFUSED)
