"""Reads answers that people labelled: context, answer, and whether the answer is grounded in the context.

Rules
- Formats are those of `labelled_files`. A list of passages in one cell becomes one context.
- A label is 1/0, true/false, yes/no or grounded/ungrounded; any other word needs `grounded_labels`. An empty label means "nobody looked": the row
  is kept, because a rate is estimated for it. A row whose label is in `ignored_labels`, and an empty line, are left out.
- A mistake names the file, the column and the row, and says what to do.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from controlplane.evaluation.labelled_files import LabelledFileError, read_table

TRUE = frozenset({"1", "1.0", "true", "yes", "y", "grounded"})
FALSE = frozenset({"0", "0.0", "false", "no", "n", "ungrounded"})


@dataclass(frozen=True, slots=True)
class LabelledAnswers:
    """Parallel columns; `grounded` is None where nobody labelled the row."""

    contexts: tuple[str, ...]
    answers: tuple[str, ...]
    grounded: tuple[bool | None, ...]

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def labelled(self) -> "LabelledAnswers":
        """Only the rows with a label."""
        return self.where([label is not None for label in self.grounded])

    def where(self, keep: Sequence[bool]) -> "LabelledAnswers":
        """Only the rows marked in `keep`."""
        rows = [
            row
            for row, kept in zip(zip(self.contexts, self.answers, self.grounded, strict=True), keep, strict=True)
            if kept
        ]
        return LabelledAnswers(tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(r[2] for r in rows))


def read_labelled_answers(
    path: Path,
    context_column: str = "context",
    answer_column: str = "answer",
    grounded_column: str = "grounded",
    grounded_labels: Collection[str] = (),
    ignored_labels: Collection[str] = (),
) -> LabelledAnswers:
    """The rows of a file. Raises `LabelledFileError`."""
    frame = read_table(path)
    for column in (context_column, answer_column, grounded_column):
        if column not in frame.columns:
            raise LabelledFileError(
                f"{path.name} has no column {column!r}, only {', '.join(frame.columns)}: name it with --context-column, --answer-column or "
                f"--grounded-column"
            )
    columns = [_texts(frame, column) for column in (context_column, answer_column, grounded_column)]
    accept, ignore = ({label.strip().lower() for label in labels} for labels in (grounded_labels, ignored_labels))
    contexts, answers, grounded = [], [], []
    for row, (context, answer, label) in enumerate(zip(*columns, strict=True), 1):
        word = label.strip().lower()
        if not (context or answer or word) or (word and word in ignore):
            continue
        if not answer.strip():
            raise LabelledFileError(
                f"{path.name}, row {row}: column {answer_column!r} is empty: an answer without words cannot be judged, remove the row"
            )
        contexts.append(context)
        answers.append(answer)
        grounded.append(_label(word, accept, f"{path.name}, row {row}, column {grounded_column!r}"))
    if not answers:
        raise LabelledFileError(f"{path.name} has no rows to evaluate")
    return LabelledAnswers(tuple(contexts), tuple(answers), tuple(grounded))


def _texts(frame: pl.DataFrame, column: str) -> list[str]:
    """A column as text; several passages in one cell become paragraphs of it."""
    series = frame[column]
    if series.dtype == pl.List(pl.String):
        return ["\n\n".join(part for part in cell or () if part) for cell in series.to_list()]
    try:
        return [_paragraphs(cell) for cell in series.cast(pl.String).fill_null("").to_list()]
    except pl.exceptions.PolarsError:
        raise LabelledFileError(
            f"column {column!r} holds {series.dtype}, expected text, numbers or true/false"
        ) from None


def _paragraphs(cell: str) -> str:
    """The texts of a JSON list, which is how a list in a line of JSON arrives; anything else as it is."""
    if cell.startswith("["):
        try:
            parts = json.loads(cell)
        except json.JSONDecodeError:
            return cell
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return "\n\n".join(parts)
    return cell


def _label(word: str, accept: Collection[str], place: str) -> bool | None:
    if not word:
        return None
    if accept:
        return word in accept
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise LabelledFileError(
        f"{place}: label {word!r} is neither 1/0, true/false, yes/no nor grounded/ungrounded: say what it means with --grounded-label"
    )
