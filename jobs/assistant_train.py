"""Train, list, recalibrate and evaluate intent classifiers from files: the work behind the commands.

Progress goes to stderr; results are plain values for the command line to print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from controlplane.assistant import intent, intent_registry
from controlplane.assistant.embedding import EmbeddingsMissing
from controlplane.assistant.intent_calibration import CalibrationError
from controlplane.assistant.intent_model import Tier
from controlplane.assistant.intent_recalibration import (
    Recalibration,
    RecalibrationError,
    RecalibrationRefused,
    recalibrate,
)
from controlplane.assistant.intent_store import ModelFileError
from controlplane.evaluation import intents
from controlplane.evaluation.labelled_files import LabelledFile, LabelledFileError, read_labelled
from jobs.console import BAD_INPUT, OUTSIDE, REFUSED, fail, stderr

MIN_ROWS = 10


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold text and label (None: found by name), and the label of out-of-scope rows, if there are any."""

    text: str | None = None
    label: str | None = None
    oos_label: str | None = None


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """Known errors become a message and an exit code."""
    try:
        yield
    except RecalibrationRefused as error:
        fail(str(error), REFUSED)
    except (LabelledFileError, intents.IntentEvaluationError, RecalibrationError, CalibrationError) as error:
        fail(str(error), BAD_INPUT)
    except (ModelFileError, EmbeddingsMissing) as error:
        fail(str(error), OUTSIDE)


def train_model(
    data: Path, out: Path, columns: Columns, tier: Tier, seed: int, now: datetime
) -> tuple[Path, intent_registry.Manifest]:
    """Trains on a labelled file and stores the artefact in the registry `out`."""
    _check_registry(out)
    file = _read(data, columns)
    trained = fit_file(file, columns, tier, seed)
    metrics = validation_metrics(trained)
    return intent_registry.register(trained.model, out, now, metrics, data.name)


def validation_metrics(trained: intent.Trained) -> dict[str, Any]:
    """Held-out figures of the training rows, for the manifest."""
    from controlplane.assistant.intent_calibration import OUT_OF_SCOPE
    from controlplane.evaluation.discrimination import expected_calibration_error

    inside = trained.truth != OUT_OF_SCOPE
    probabilities = trained.model.calibration.probabilities(trained.scores.rows(inside))
    right, top = probabilities.argmax(axis=1) == trained.truth[inside], probabilities.max(axis=1)
    return {
        "held_out_rows": int(inside.sum()),
        "accuracy": round(float(right.mean()), 6),
        "ece": round(expected_calibration_error(right, top), 6),
        "log_loss": round(trained.model.calibration.log_loss, 6),
        "automation_threshold": round(trained.model.automation_threshold, 6),
        "coverage_at_98": round(float((top >= trained.model.automation_threshold).mean()), 6),
        "scope_threshold": round(trained.model.scope_threshold, 6),
    }


def recalibrate_model(
    model: Path, data: Path, out: Path, columns: Columns, now: datetime
) -> tuple[Path, intent_registry.Manifest, Recalibration]:
    """Fits a new calibration on a labelled file and stores the new artefact; `RecalibrationRefused` when it is worse."""
    _check_registry(out)
    loaded, manifest = intent_registry.opened(model)
    file = _read(data, Columns(columns.text, columns.label, loaded.oos_label))
    examples = intents.examples_of(file.rows)
    with progress_bar() as progress, intent.one_thread():
        scores = loaded.scores([example.text for example in examples])
        progress("reading rows", len(examples), len(examples))
        found = recalibrate(loaded, examples, scores)
    metrics = dict(manifest.metrics)
    metrics["recalibration"] = {name: value for name, value in asdict_figures(found).items() if value is not None}
    folder, made = intent_registry.register(found.model, out, now, metrics, data.name)
    return folder, made, found


def asdict_figures(found: Recalibration) -> dict[str, Any]:
    """The recalibration's counts and log losses."""
    return {
        "rows": found.rows,
        "trained_on": found.trained_on,
        "log_loss_before": round(found.loss_before, 6),
        "log_loss_after": round(found.loss_after, 6),
        "stored_log_loss_before": None if found.stored_loss_before is None else round(found.stored_loss_before, 6),
        "stored_log_loss_after": None if found.stored_loss_after is None else round(found.stored_loss_after, 6),
    }


def list_models(registry: Path) -> list[dict[str, Any]]:
    """The manifests of a registry, oldest first."""
    return [asdict(manifest) for manifest in intent_registry.manifests(registry)]


def evaluate_intents(
    train: Path, test: Path, columns: Columns, sensitive: Sequence[str], tier: Tier, seed: int
) -> dict[str, Any]:
    """Trains on one file, measures on another. The first eleven keys are the command's contract."""
    training, testing = _read(train, columns), _read(test, columns)
    known = [label for label in training.labels if label != columns.oos_label]
    intents.check_labels(known, testing.labels, columns.oos_label, sensitive)
    trained = fit_file(training, columns, tier, seed)
    return evaluate_trained(trained, testing, columns.oos_label, sensitive)


def evaluate_trained(
    trained: intent.Trained, testing: LabelledFile, oos_label: str | None, sensitive: Sequence[str]
) -> dict[str, Any]:
    """All figures of a trained classifier on a test file, one message at a time on one thread."""
    mass = intents.sensitive_threshold(trained, sensitive) if sensitive else None
    done = 0
    with progress_bar() as progress, intent.one_thread():

        def tick(more: int) -> None:
            nonlocal done
            done += more
            progress("classifying", done, len(testing.rows))

        measured = intents.measure(trained.model, testing.rows, oos_label, sensitive, tick)
    value = intents.figures(measured, trained.model.automation_threshold, mass)
    return value | {"tier": trained.model.tier, "model": trained.model.digest, "n_train": trained.model.training.rows}


def _check_registry(out: Path) -> None:
    """Says before a long training that its result could not be stored."""
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        fail(f"--out {out}: {nearest} is a file, give a folder", BAD_INPUT)


def _read(path: Path, columns: Columns) -> LabelledFile:
    file = read_labelled(path, columns.text, columns.label)
    if file.left_out():
        stderr.print(file.left_out(), markup=False, highlight=False)
    return file


def fit_file(file: LabelledFile, columns: Columns, tier: Tier, seed: int) -> intent.Trained:
    """Trains on a read file; too few rows or labels are a `LabelledFileError`."""
    if len(file.rows) < MIN_ROWS:
        raise LabelledFileError(f"{file.path} has {len(file.rows)} usable rows, training needs {MIN_ROWS}: add rows")
    recipe = intent.Recipe(tier=tier, oos_label=columns.oos_label)
    with progress_bar() as progress:
        try:
            return intent.fit(intents.examples_of(file.rows), seed, recipe, progress)
        except CalibrationError:
            raise
        except ValueError as error:
            raise LabelledFileError(f"{file.path}: {error}") from None


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per stage on stderr; yields what to call with stage, steps done and steps in all."""
    tasks: dict[str, TaskID] = {}
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=stderr, transient=True) as bar:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        yield show
