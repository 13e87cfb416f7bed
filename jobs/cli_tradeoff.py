"""`controlplane tradeoff`. Reads options, calls one function and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.console import BAD_INPUT, REFUSED, AsJson, Home, can_write, clock, command, fail, show

Since = Annotated[
    str | None, typer.Option("--since", help="Begin of the window (ISO-8601, UTC); default: of the release.")
]
Until = Annotated[str | None, typer.Option("--until", help="End of the window; default: the newest record.")]
Release = Annotated[str, typer.Option("--release", help="Which release; default: the current rollout's.")]
Target = Annotated[
    float | None,
    typer.Option(
        "--target-cost", min=0, max=1e9, help="US dollars a resolved conversation may cost; default: the control's."
    ),
]
Person = Annotated[
    float,
    typer.Option(
        "--person-cost", min=0, max=1e9, help="US dollars for a conversation handed to a person, in both arms."
    ),
]
Slo = Annotated[int | None, typer.Option("--slo-ms", min=1, help="Latency objective; default: the policy's.")]
CacheHours = Annotated[
    float, typer.Option("--cache-hours", min=0.01, max=8760, help="How long a cached answer lives after its last use.")
]
SmallModel = Annotated[str, typer.Option("--small-model", help="A smaller model, looked up in --prices.")]
Prices = Annotated[Path | None, typer.Option("--prices", help="Price table (JSON in the layout of Langfuse's).")]
SmallRatio = Annotated[
    float | None,
    typer.Option("--small-ratio", min=0, max=1, help="Cost of a small model as a share of the logged one."),
]
Labels = Annotated[int | None, typer.Option("--labels-needed", min=1, help="Labelled rows that fine-tuning asks for.")]
Hosting = Annotated[
    float | None, typer.Option("--hosting-month", min=0, help="US dollars a month to host a tuned model.")
]
GpuHour = Annotated[float | None, typer.Option("--gpu-hour", min=0.001, help="US dollars an hour for one GPU.")]
GpuTokens = Annotated[float | None, typer.Option("--gpu-tokens", min=1, help="Tokens a second that one GPU serves.")]
GpuUse = Annotated[
    float | None,
    typer.Option("--gpu-utilisation", min=0.01, max=1, help="How full a GPU may be in the busiest hour."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Write the report here (HTML).")]
Record = Annotated[bool, typer.Option("--record", help="Keep it as a recorded decision; needs --actor.")]
Who = Annotated[str, typer.Option("--actor", help="Who decides this; written to the audit log.")]
Verify = Annotated[str, typer.Option("--verify", help="Make a recorded trade-off again (its id) and compare.")]


@command
def tradeoff(
    since: Since = None,
    until: Until = None,
    release: Release = "",
    target: Target = None,
    person: Person = 0.0,
    slo_ms: Slo = None,
    cache_hours: CacheHours = 24.0,
    small_model: SmallModel = "",
    prices: Prices = None,
    small_ratio: SmallRatio = None,
    labels_needed: Labels = None,
    hosting: Hosting = None,
    gpu_hour: GpuHour = None,
    gpu_tokens: GpuTokens = None,
    gpu_use: GpuUse = None,
    out: Out = None,
    record: Record = False,
    actor: Who = "",
    verify: Verify = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What to do next with a release: grow, optimise infrastructure, roll back, or hold; with what-if savings.

    Satisfaction (certified or not) x latency (within its objective or not) x cost of a resolved conversation. It changes no rollout.
    Exit codes: 0 answered from data, 1 no data (the answer is hold) or --verify found a difference, 2 wrong use.

    Examples:

      controlplane tradeoff --target-cost 0.05 --out tradeoff.html

      controlplane tradeoff --person-cost 4 --record --actor ana

      controlplane tradeoff --verify tradeoff-1f2e3d4c5b6a
    """
    if verify:
        _verify(home, verify, as_json)
        return
    if record and not actor.strip():
        fail("--record needs --actor: a decision on record names who made it", BAD_INPUT)
    can_write(out)
    from jobs import tradeoff_record as job

    given = {"small_ratio": small_ratio, "labels_needed": labels_needed, "hosting_usd_month": hosting}
    given |= {"gpu_usd_hour": gpu_hour, "gpu_tokens_second": gpu_tokens, "gpu_utilisation": gpu_use}
    stated = {name: value for name, value in given.items() if value is not None}
    more = {"target_cost": target, "person_cost": person, "slo_ms": slo_ms, "cache_hours": cache_hours}
    from jobs.moments import moment

    asked = job.Asked(moment(since, "--since"), moment(until, "--until"), release)
    found = job.tradeoff(home, asked, job.assume({**more, **stated}, small_model, prices), clock())
    found["left_at_default"] = job.left_at_default(found["question"]["assumptions"], set(stated))
    _finish(home, found, out, actor.strip() if record else "", as_json)


def _verify(home: str | None, name: str, as_json: bool) -> None:
    from jobs.tradeoff_record import verify

    checked = verify(home, name, clock())
    differs = "; ".join(checked["differs"])
    show(checked, as_json, f"{name}: the same" if checked["same"] else f"{name} differs: {differs}")
    if not checked["same"]:
        raise typer.Exit(REFUSED)


def _finish(home: str | None, found: dict[str, Any], out: Path | None, actor: str, as_json: bool) -> None:
    """Writes the report, records where an actor is named, and prints."""
    from jobs.tradeoff_record import record
    from jobs.tradeoff_text import text

    said = text(found)
    if actor:
        found["id"] = record(home, found, actor, str(out or ""), clock())
        said += f"\n\nrecorded as {found['id']}"
    if out is not None:
        from controlplane.analysis.tradeoff_report import report

        out.write_text(report(found, found["left_at_default"]), encoding="utf-8")
        found["report"] = str(out)
        said += f"\nreport {out}"
    show(found, as_json, said)
    if not found["data"]:
        raise typer.Exit(REFUSED)
