"""Reads a criteria file (TOML): every problem with line, key and remedy, a value only when there is none.

schema = 1
name = "support-release"
owner = "support-quality"
datasets = ["support"]            # optional; a name is pinned to its version when the file is registered

[[criteria]]
metric = "hallucination_rate"
comparison = "at_most"
limit = 0.05
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from math import isfinite
from typing import Any

from controlplane.core.acceptance import EVALUATION_METRICS, HIGHER, Comparison, Criteria, Criterion
from controlplane.core.policy import Problem
from controlplane.core.toml_lines import Path, line_index, line_of

SCHEMA = 1
SLICES = ("topic", "channel", "segment", "region", "source", "origin")
_TOP = ("schema", "name", "owner", "datasets", "criteria")
_KEYS = tuple(item.name for item in fields(Criterion))
_DATASET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(@[0-9a-f]{8,64})?$")


class CriteriaError(ValueError):
    """A criteria file that must not be used; `problems` has every reason."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.text(source) for problem in problems))


def parse_criteria(text: str, source: str = "criteria") -> Criteria:
    """The criteria in `text`. Raises `CriteriaError` with every problem, each naming `source`, line, key and remedy."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found.group(1)) if found else text.count("\n") + 1
        raise CriteriaError(source, (Problem(line, "TOML", str(error), "mend the syntax"),)) from None
    reader = _Reader(line_index(text))
    found_criteria = reader.criteria(raw, text)
    if reader.problems:
        raise CriteriaError(source, tuple(sorted(reader.problems, key=lambda problem: problem.line)))
    return found_criteria


class _Reader:
    """Collects problems while tables become values; what it returns is only good when there is none."""

    def __init__(self, index: dict[Path, int]) -> None:
        self._index = index
        self.problems: list[Problem] = []

    def problem(self, path: Path, message: str, remedy: str) -> None:
        key = ".".join(str(part) for part in path) or "criteria"
        self.problems.append(Problem(line_of(self._index, path), key, message, remedy))

    def criteria(self, raw: dict[str, Any], text: str) -> Criteria:
        for key in raw:
            if key not in _TOP:
                self.problem((key,), "unknown key", f"known here: {', '.join(_TOP)}")
        if raw.get("schema") != SCHEMA:
            self.problem(("schema",), f"{raw.get('schema')!r} is not a known schema", f"write schema = {SCHEMA}")
        for key in ("name", "owner"):
            if not isinstance(raw.get(key), str) or not raw[key]:
                self.problem((key,), "is missing or not a text", f'write {key} = "..."')
        tables = raw.get("criteria", [])
        if not isinstance(tables, list) or not tables:
            self.problem(("criteria",), "there is no criterion", "write at least one [[criteria]] table")
            tables = []
        found = [self.criterion(table, ("criteria", position)) for position, table in enumerate(tables)]
        whole = tuple(item for item in found if item is not None)
        self.names(whole)
        datasets = self.datasets(raw.get("datasets", []))
        return Criteria(str(raw.get("name")), str(raw.get("owner")), datasets, whole, text)

    def datasets(self, raw: object) -> tuple[str, ...]:
        if not isinstance(raw, list) or not all(isinstance(item, str) and _DATASET.match(item) for item in raw):
            self.problem(
                ("datasets",),
                f"{raw!r} is no list of data sets",
                'write ["NAME"] or ["NAME@VERSION"], 8 digits or more',
            )
            return ()
        names = [item.partition("@")[0] for item in raw]
        if len(set(names)) < len(names):
            self.problem(("datasets",), "names a data set twice", "write each name once")
        return tuple(raw)

    def names(self, found: tuple[Criterion, ...]) -> None:
        seen: set[str] = set()
        for position, item in enumerate(found):
            if item.label in seen:
                self.problem(("criteria", position), f"'{item.label}' stands there twice", "give it a name of its own")
            seen.add(item.label)

    def criterion(self, raw: object, path: Path) -> Criterion | None:
        if not isinstance(raw, dict):
            self.problem(path, "is not a table", "write [[criteria]]")
            return None
        before = len(self.problems)
        for key in raw:
            if key not in _KEYS:
                self.problem((*path, key), "unknown key", f"known here: {', '.join(_KEYS)}")
        clean = {key: self.value(key, raw[key], (*path, key)) for key in _KEYS if key in raw}
        for key in ("metric", "comparison"):
            if key not in raw:
                self.problem(path, f"is incomplete, missing '{key}'", "add it")
        if len(self.problems) > before:
            return None
        found = Criterion(**clean)
        self.rules(found, path)
        return found

    def value(self, key: str, value: Any, path: Path) -> Any:
        match key:
            case "metric" if value in EVALUATION_METRICS:
                return value
            case "metric":
                self.problem(
                    path, f"{value!r} is not a metric of an evaluation", f"one of {', '.join(EVALUATION_METRICS)}"
                )
            case "comparison" if value in tuple(Comparison):
                return Comparison(value)
            case "comparison":
                self.problem(path, f"{value!r} is not known", f"one of {', '.join(Comparison)}")
            case "without_baseline" if value in ("no_data", "skip"):
                return value
            case "without_baseline":
                self.problem(path, f"{value!r} is not known", "write no_data or skip")
            case "slices" if isinstance(value, list) and set(value) <= set(SLICES):
                return tuple(value)
            case "slices":
                self.problem(path, f"{value!r} is no list of slices", f"of {', '.join(SLICES)}")
            case "name" if isinstance(value, str) and value:
                return value
            case "min_n" | "min_slice_n" if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
                return value
            case "limit" | "margin" | "confidence" if _is_number(value):
                return float(value)
            case _:
                self.problem(
                    path, f"{value!r} cannot be used", "a text for name, whole numbers from 1 for min_n, else a number"
                )
        return None

    def rules(self, item: Criterion, path: Path) -> None:
        """What may not be said although every value has the right type."""
        metric = EVALUATION_METRICS[item.metric]
        fitting = Comparison.AT_LEAST if metric.better == HIGHER else Comparison.AT_MOST
        if not 0.5 < item.confidence < 1.0:
            self.problem(
                (*path, "confidence"), f"{item.confidence} is no confidence", "write a number between 0.5 and 1"
            )
        if item.comparison is Comparison.NOT_WORSE:
            self._not_worse(item, path, metric.paired)
            return
        if item.comparison is not fitting:
            remedy = f"{item.metric} is better when {metric.better}: write {fitting}"
            self.problem((*path, "comparison"), f"{item.comparison} would take harm for good", remedy)
        if item.limit is None:
            self.problem(path, "has no limit", f"write limit = ... ({metric.unit})")
        elif metric.unit == "share" and not 0.0 <= item.limit <= 1.0:
            self.problem((*path, "limit"), f"{item.limit} is no share", "write a number from 0 to 1")
        elif item.limit < 0:
            self.problem((*path, "limit"), f"{item.limit} is negative", f"write a positive number ({metric.unit})")
        elif metric.unit == "share" and item.limit == (1.0 if metric.better == HIGHER else 0.0):
            self.problem(
                (*path, "limit"),
                f"no number of rows can show {item.metric} {item.comparison} {item.limit:g}",
                f"write {'0.99' if metric.better == HIGHER else '0.01'} or another share that an interval can keep",
            )
        if item.margin is not None:
            self.problem((*path, "margin"), "belongs to not_worse", 'write limit, or comparison = "not_worse"')

    def _not_worse(self, item: Criterion, path: Path, paired: bool) -> None:
        if not paired:
            can = ", ".join(name for name, metric in EVALUATION_METRICS.items() if metric.paired)
            self.problem((*path, "comparison"), f"{item.metric} is not compared row by row", f"not_worse takes {can}")
        if item.margin is None or item.margin <= 0:
            self.problem(
                (*path, "margin"),
                "not_worse needs a positive margin",
                "write margin = ...: no worse at all cannot be shown",
            )
        if item.limit is not None:
            self.problem((*path, "limit"), "belongs to at_most and at_least", "write margin")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
