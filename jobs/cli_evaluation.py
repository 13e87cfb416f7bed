"""`controlplane eval ...` and `controlplane dataset ...`. Commands read options, call one function and print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console import AsJson, command, show

evaluation = typer.Typer(help="Offline evaluation with acceptance criteria fixed beforehand.", no_args_is_help=True)
dataset = typer.Typer(help="Data sets, versioned by content.", no_args_is_help=True)


DataFile = Annotated[Path, typer.Option("--data", help="Labelled answers: csv, tsv, jsonl (also .gz) or parquet.")]
ContextColumn = Annotated[str, typer.Option("--context-column", help="Column with the passages an answer rests on.")]
AnswerColumn = Annotated[str, typer.Option("--answer-column", help="Column with the answer.")]
GroundedColumn = Annotated[
    str, typer.Option("--grounded-column", help="Column with people's label; empty = unlabelled.")
]
GroundedLabels = Annotated[
    list[str] | None,
    typer.Option("--grounded-label", help="A label that means grounded, every other then does not (repeat)."),
]
IgnoredLabels = Annotated[
    list[str] | None, typer.Option("--ignore-label", help="Leave rows with this label out (repeat).")
]


@evaluation.command("groundedness")
@command
def eval_groundedness(
    data: DataFile,
    context_column: ContextColumn = "context",
    answer_column: AnswerColumn = "answer",
    grounded_column: GroundedColumn = "grounded",
    grounded_label: GroundedLabels = None,
    ignore_label: IgnoredLabels = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Another calibration than the shipped one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How well the groundedness score agrees with people, and the hallucination rate corrected for its errors.

    Examples:

      controlplane eval groundedness --data answers.csv --json

      controlplane eval groundedness --data begin.tsv.gz --context-column knowledge --answer-column response
      --grounded-column begin_label --grounded-label "Fully attributable"
    """
    from jobs import groundedness_command as job

    columns = job.Columns(context_column, answer_column, grounded_column, grounded_label or (), ignore_label or ())
    with job.input_errors():
        figures = job.evaluate(data, columns, calibration)
    show(figures, as_json, job.describe(figures))


@evaluation.command("calibrate-groundedness")
@command
def calibrate_groundedness(
    data: DataFile,
    out: Annotated[Path, typer.Option("--out", help="Calibration file to write; must not exist.")],
    source: Annotated[str, typer.Option("--source", help="Where the labels come from; kept in the file.")],
    licence: Annotated[str, typer.Option("--licence", help="Licence of the labels; kept in the file.")] = "",
    context_column: ContextColumn = "context",
    answer_column: AnswerColumn = "answer",
    grounded_column: GroundedColumn = "grounded",
    grounded_label: GroundedLabels = None,
    ignore_label: IgnoredLabels = None,
    as_json: AsJson = False,
) -> None:
    """Fit the groundedness score to your own labels; the file has its held-out figures and its hash inside.

    Examples:

      controlplane eval calibrate-groundedness --data audit.csv --out calibration.json --source "audit of May"
    """
    from jobs import groundedness_command as job

    columns = job.Columns(context_column, answer_column, grounded_column, grounded_label or (), ignore_label or ())
    with job.input_errors():
        content = job.calibrate(data, columns, out, source, licence)
    show(
        content, as_json, f"wrote {out}: held-out AUROC {content['metrics']['auroc']}, ECE {content['metrics']['ece']}"
    )


@evaluation.command("intents")
@command
def eval_intents(
    train: Annotated[Path, typer.Option("--train", help="Labelled texts to train on: csv, tsv, jsonl, .gz, parquet.")],
    test: Annotated[Path, typer.Option("--test", help="Labelled texts to measure on.")],
    text_column: Annotated[
        str | None, typer.Option("--text-column", help="Column with the text; found by name.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", help="Column with the intent; found by name.")
    ] = None,
    oos_label: Annotated[
        str | None, typer.Option("--oos-label", help="Label of the rows that are about no known intent.")
    ] = None,
    sensitive: Annotated[
        str, typer.Option("--sensitive", help="Intents that must reach a person, separated by commas.")
    ] = "",
    tier: Annotated[str, typer.Option("--tier", help="default or embeddings (extra needed).")] = "default",
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same figures, times excepted.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a classifier on one labelled file and measure it on another: accuracy, calibration, scope, routing, time.

    Examples:

      controlplane eval intents --train train.csv --test test.csv --sensitive lost_card,fraud --json

      controlplane eval intents --train a.jsonl.gz --test b.parquet --oos-label oos --tier embeddings
    """
    from jobs import assistant_train as job
    from jobs.cli_assistant import tier_of

    names = [name.strip() for name in sensitive.split(",") if name.strip()]
    with job.errors_as_exits():
        columns = job.Columns(text_column, label_column, oos_label)
        value = job.evaluate_intents(train, test, columns, names, tier_of(tier), seed)
    show(value, as_json, "\n".join(f"{key:26} {item}" for key, item in value.items() if key != "reliability"))
