"""`controlplane assistant ...`: train, recalibrate and talk to the assistant. Commands read options, call one function and print."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.console import BAD_INPUT, AsJson, Home, clock, command, fail, show

assistant = typer.Typer(help="Train, recalibrate and talk to the assistant.", no_args_is_help=True)


@assistant.command("chat")
@command
def chat(
    home: Home = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what each step saw and did.")] = False,
    menu: Annotated[bool, typer.Option("--menu", help="Talk to the rule-based menu instead.")] = False,
    tier: Annotated[str, typer.Option("--tier", help="Classifier: default or embeddings.")] = "default",
    classifier: Annotated[
        Path | None,
        typer.Option("--classifier", help="Folder of a model made by `assistant train`; default: the shipped one."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Remote model that writes the answers; default: extraction.")
    ] = None,
    small_model: Annotated[
        str | None, typer.Option("--small-model", help="Cheaper remote model for plain questions.")
    ] = None,
    model_url: Annotated[
        str, typer.Option("--model-url", envvar="OPENAI_BASE_URL", help="Address of the OpenAI-compatible endpoint.")
    ] = "https://api.openai.com/v1",
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the model before falling back.")
    ] = 20.0,
    prices: Annotated[
        Path | None, typer.Option("--prices", help="Price table (JSON as Langfuse keeps it, .gz too).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a reply, a line each.")] = False,
) -> None:
    """Talk to the assistant in the terminal or through a pipe, one message a line; /new, /quit.

    Without --model no model is asked: answers are sentences of the knowledge base. The key comes from OPENAI_API_KEY.

    Examples:

      controlplane assistant chat --explain

      echo "how long does a refund take" | controlplane assistant chat --json

      controlplane assistant chat --model tiny --model-url http://127.0.0.1:8080/v1
    """
    from controlplane.assistant.embedding import EmbeddingsMissing
    from controlplane.assistant.intent_store import ModelFileError
    from controlplane.assistant.pricing import PriceTableError
    from jobs.assistant_chat import ChatOptions, ModelOptions, key_from_environment, standard_streams
    from jobs.assistant_chat import chat as talk
    from jobs.compose import workspace_settings

    if tier not in ("default", "embeddings"):
        fail(f"--tier {tier}: there are default and embeddings", BAD_INPUT)
    if small_model is not None and model is None:
        fail(f"--small-model {small_model}: name the large one too, with --model", BAD_INPUT)
    if model is not None and not model_url.startswith(("http://", "https://")):
        fail(f"--model-url {model_url}: give an address that begins with http:// or https://", BAD_INPUT)
    remote = ModelOptions(model, small_model, model_url, key_from_environment(), timeout, prices)
    models = workspace_settings(home).workspace.models
    options = ChatOptions(models, menu, explain, as_json, tier_of(tier), model=remote, classifier=classifier)
    try:
        talk(options, clock, *standard_streams())
    except (PriceTableError, EmbeddingsMissing, ModelFileError) as error:
        fail(str(error), BAD_INPUT)


TextColumn = Annotated[str | None, typer.Option("--text-column", help="Column with the text; default: found by name.")]
LabelColumn = Annotated[
    str | None, typer.Option("--label-column", help="Column with the intent; default: found by name.")
]
OosLabel = Annotated[str | None, typer.Option("--oos-label", help="Label of the rows that are about no known intent.")]
TierName = Annotated[str, typer.Option("--tier", help="default (words and characters) or embeddings (extra needed).")]
TrainSeed = Annotated[int, typer.Option("--seed", help="The same seed and data give the same artefact.")]


def tier_of(name: str) -> Literal["default", "embeddings"]:
    """The tier of that name; anything else ends with exit code 2."""
    if name not in ("default", "embeddings"):
        fail(f"--tier {name}: there are default and embeddings", BAD_INPUT)
    return "embeddings" if name == "embeddings" else "default"


@assistant.command("train")
@command
def train(
    data: Annotated[Path, typer.Option("--data", help="Labelled texts: csv, tsv, jsonl (also .gz) or parquet.")],
    out: Annotated[Path, typer.Option("--out", help="Model registry: a folder, made if absent; a sub-folder a model.")],
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    oos_label: OosLabel = None,
    tier: TierName = "default",
    seed: TrainSeed = 1,
    as_json: AsJson = False,
) -> None:
    """Train and calibrate an intent classifier on your own labelled texts, and store it as a versioned artefact.

    Examples:

      controlplane assistant train --data tickets.csv --out models

      controlplane assistant train --data tickets.parquet --label-column topic --oos-label other --tier embeddings --out models
    """
    from jobs import assistant_train as job

    columns = job.Columns(text_column, label_column, oos_label)
    with job.errors_as_exits():
        folder, manifest = job.train_model(data, out, columns, tier_of(tier), seed, clock())
    value = {"model": str(folder), **asdict(manifest)}
    text = "{model}: held-out accuracy {accuracy:.3f}, ECE {ece:.3f}, coverage at 98 % {coverage_at_98:.2f}"
    show(value, as_json, text.format(model=folder, **manifest.metrics))


@assistant.command("models")
@command
def models(
    registry: Annotated[Path, typer.Option("--dir", help="Model registry: the folder given to `train --out`.")],
    as_json: AsJson = False,
) -> None:
    """List the classifiers of a registry with content hash, tier, training data version and held-out figures.

    Example:

      controlplane assistant models --dir models
    """
    from jobs import assistant_train as job

    with job.errors_as_exits():
        found = job.list_models(registry)
    lines = [
        f"{row['digest'][:12]}  {row['created']}  {row['tier']:10}  {row['training_data']['rows']:6} rows "
        f"{row['training_data']['sha256'][:12]}  accuracy {row['metrics'].get('accuracy', float('nan')):.3f}"
        + (f"  from {row['parent'][:12]}" if row["parent"] else "")
        for row in found
    ]
    show({"models": found}, as_json, "\n".join(lines) or "no models")


@assistant.command("recalibrate")
@command
def recalibrate(
    model: Annotated[Path, typer.Option("--model", help="Folder of a model, or a registry that holds only one.")],
    data: Annotated[Path, typer.Option("--data", help="Labelled texts the model was not trained on.")],
    out: Annotated[Path, typer.Option("--out", help="Model registry for the new artefact.")],
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    as_json: AsJson = False,
) -> None:
    """Fit a new calibration and store it as a new artefact; exit code 1 when validation likelihood would get worse.

    Example:

      controlplane assistant recalibrate --model models/0123456789ab --data reviewed.csv --out models
    """
    from jobs import assistant_train as job

    with job.errors_as_exits():
        folder, manifest, found = job.recalibrate_model(
            model, data, out, job.Columns(text_column, label_column), clock()
        )
    value = {"model": str(folder), **job.asdict_figures(found), **asdict(manifest)}
    show(value, as_json, f"{folder}: held-out log loss {found.loss_before:.4f} -> {found.loss_after:.4f} a row")
