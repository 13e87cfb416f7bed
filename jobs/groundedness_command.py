"""`controlplane eval groundedness` and `calibrate-groundedness`: a file of labelled answers in, figures or a calibration file out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from controlplane.assistant.groundedness_calibration import (
    Calibration,
    CalibrationError,
    parse_calibration,
    read_calibration,
    shipped_calibration,
)
from controlplane.evaluation.discrimination import BoolArray, FloatArray
from controlplane.evaluation.labelled_answers import LabelledAnswers, read_labelled_answers
from controlplane.evaluation.labelled_files import LabelledFileError
from jobs.console import BAD_INPUT, REFUSED, fail


class WorseCalibration(Exception):
    """A new calibration predicts people's labels worse than the one there is."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a file keeps what, and what its labels mean."""

    context: str = "context"
    answer: str = "answer"
    grounded: str = "grounded"
    grounded_labels: Sequence[str] = ()
    ignored_labels: Sequence[str] = ()

    def read(self, path: Path) -> LabelledAnswers:
        """The rows of a file; `LabelledFileError` says what is wrong with it."""
        return read_labelled_answers(
            path, self.context, self.answer, self.grounded, self.grounded_labels, self.ignored_labels
        )


def evaluate(path: Path, columns: Columns, calibration: Path | None = None) -> dict[str, Any]:
    """Figures of the detector on a file, with the shipped calibration unless another is named; says so where they are in-sample."""
    from controlplane.assistant.groundedness import calibration as shipped
    from controlplane.evaluation.groundedness import measure

    data = columns.read(path)
    used = read_calibration(calibration) if calibration else shipped()
    return {**measure(data, used), "fitted_on_these_rows": used.source.get("rows_sha256") == _rows_sha256(data)}


def calibrate(path: Path, columns: Columns, out: Path, name: str, licence: str) -> dict[str, Any]:
    """Fits a calibration on the labelled rows of a file and writes it to `out`, which must not exist. Returns its content.

    Raises `WorseCalibration`, and writes nothing, where the shipped calibration predicts these labels at least as well as the new one does
    held-out. Needs no shipped one: this is also how it is made anew after the defects changed.
    """
    from controlplane.evaluation.groundedness_fit import context_keys, fit, vectors

    if out.exists():
        raise FileExistsError(
            f"{out} exists: a calibration is never overwritten, write a new one, compare their metrics and choose"
        )
    data = columns.read(path).labelled
    source = {
        "name": name,
        "licence": licence,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows_sha256": _rows_sha256(data),
        "rows": len(data),
        "grounded_labels": list(columns.grounded_labels),
        "ignored_labels": list(columns.ignored_labels),
    }
    found, grounded = vectors(data), np.array(data.grounded, dtype=bool)
    try:
        content = fit(found, grounded, context_keys(data), source)
    except ValueError as error:
        raise LabelledFileError(f"{path.name}: {error}") from error
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    _refuse_worse(parse_calibration(text, str(out)), found, grounded)
    out.write_text(text, encoding="utf-8")
    return content


def _refuse_worse(new: Calibration, found: FloatArray, grounded: BoolArray) -> None:
    """Compares with the shipped calibration, unless that is unreadable, of other defects, or was itself fitted on these rows."""
    from controlplane.evaluation.groundedness_fit import log_loss_of

    try:
        shipped = shipped_calibration()
    except CalibrationError:
        return
    if shipped.fingerprint != new.fingerprint or shipped.source.get("rows_sha256") == new.source["rows_sha256"]:
        return
    theirs, ours = log_loss_of(shipped, found, grounded), float(new.metrics["log_loss"])
    if ours >= theirs:
        raise WorseCalibration(
            f"the new calibration predicts these labels no better (log loss {ours:.3f}) than the shipped one ({theirs:.3f}): "
            f"keep the shipped one, or label more answers"
        )


def _rows_sha256(data: LabelledAnswers) -> str:
    """Hash of the labelled rows in any order and file format: the same rows under another name are still the same."""
    rows = sorted(zip(data.contexts, data.answers, data.grounded, strict=True), key=repr)
    return hashlib.sha256(repr([row for row in rows if row[2] is not None]).encode()).hexdigest()


@contextmanager
def input_errors() -> Iterator[None]:
    """What is wrong with a file is a message and exit code 2; a worse calibration is refused with 1."""
    try:
        yield
    except (LabelledFileError, CalibrationError) as error:
        fail(str(error), BAD_INPUT)
    except WorseCalibration as error:
        fail(str(error), REFUSED)


def describe(figures: dict[str, Any]) -> str:
    """The figures for people, one line each."""

    def share(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.1%}"

    def between(ends: list[float] | None) -> str:
        return "" if ends is None else f" [{ends[0]:.1%}, {ends[1]:.1%}]"

    area = figures["auroc"]
    ends = figures["auroc_interval"]
    lines = [
        f"{figures['n']} answers on {figures['contexts']} contexts; of {figures['labelled']} labelled ones {share(figures['prevalence'])} ungrounded",
        "AUROC unknown: both grounded and ungrounded labels are needed"
        if area is None
        else f"AUROC {area:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""),
        f"calibration error {share(figures['ece'])}, threshold {figures['threshold']:.2f}",
        f"sensitivity {share(figures['sensitivity'])}{between(figures['sensitivity_interval'])}, specificity {share(figures['specificity'])}"
        f"{between(figures['specificity_interval'])}",
        f"hallucination rate reported {share(figures['hallucination_rate_reported'])} on {figures['rate_rows']} rows ({figures['rate_sample']})",
        f"corrected {share(figures['hallucination_rate_corrected'])}{between(figures['interval'])}"
        + (f": {figures['corrected_unknown']}" if figures["corrected_unknown"] else ""),
    ]
    if figures["fitted_on_these_rows"]:
        lines.insert(
            0,
            "IN-SAMPLE: the calibration was fitted on these very rows and the figures flatter it; its held-out ones are in its file",
        )
    if figures["hallucination_rate_human"] is not None:
        lines.append(f"people said {share(figures['hallucination_rate_human'])} on the same rows")
    return "\n".join(lines)
