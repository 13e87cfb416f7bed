"""The policy of a rollout: one TOML text, validated as a whole, identified by its sha256.

A policy says who may be exposed and when (phases and their stages), what must never happen (triggers, which share one error
budget), what must be shown before growing (certificates and gates), and how a cut is verified. `parse` reports every problem
it finds, each with line, key and remedy, and returns a `Policy` only when there is none. Unknown keys are problems: a
misspelt limit must not silently be no limit.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from math import isfinite
from types import MappingProxyType
from typing import Any, TypeVar

from controlplane.core.audit import sha256_text
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy_lint import LabelDelay, lint
from controlplane.core.policy_model import Assignment as Assignment
from controlplane.core.policy_model import Budget as Budget
from controlplane.core.policy_model import Certificate as Certificate
from controlplane.core.policy_model import Decisions as Decisions
from controlplane.core.policy_model import Drift as Drift
from controlplane.core.policy_model import Evaluation as Evaluation
from controlplane.core.policy_model import Incidents as Incidents
from controlplane.core.policy_model import Judge as Judge
from controlplane.core.policy_model import Overrides as Overrides
from controlplane.core.policy_model import Phase as Phase
from controlplane.core.policy_model import Policy as Policy
from controlplane.core.policy_model import PolicyError as PolicyError
from controlplane.core.policy_model import Problem as Problem
from controlplane.core.policy_model import Programme as Programme
from controlplane.core.policy_model import Review as Review
from controlplane.core.policy_model import Serving as Serving
from controlplane.core.policy_model import Stage as Stage
from controlplane.core.policy_model import Traffic as Traffic
from controlplane.core.policy_model import Trigger as Trigger
from controlplane.core.policy_model import Validity as Validity
from controlplane.core.policy_model import Watch as Watch
from controlplane.core.toml_lines import Path, line_index, line_of

T = TypeVar("T")

SCHEMA = 1


def parse(text: str, source: str = "policy", *, in_force: bool = False) -> Policy:
    """The policy in `text`. Raises `PolicyError` with every error, each naming `source`, line, key and remedy; warnings do not raise.

    `in_force`: the text was accepted when its rollout began and must stay readable, even where a newer linter would refuse it today; only a
    text that cannot be read raises.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))  # absent at the end of the text
        line = int(found.group(1)) if found else text.count("\n") + 1
        raise PolicyError(source, (Problem(line, "TOML", str(error), "mend the syntax"),)) from None
    reader = _Reader(line_index(text))
    policy = _read(reader, raw, text)
    if policy is not None and not reader.problems and not in_force:
        lint(reader, policy)
    errors = [problem for problem in reader.problems if problem.severity == "error"]
    if policy is None or errors:
        raise PolicyError(source, tuple(sorted(errors, key=lambda problem: problem.line)))
    return policy


def check(policy: Policy, history: Mapping[str, LabelDelay] = MappingProxyType({})) -> tuple[Problem, ...]:
    """Errors and warnings of a policy, in the order of its lines.

    `history`: per metric how late its labels came so far; with it, a maturity that loses more than 5 % of them is an error.
    """
    reader = _Reader(line_index(policy.text))
    lint(reader, policy, history)
    return tuple(sorted(reader.problems, key=lambda problem: problem.line))


def warnings(policy: Policy) -> tuple[Problem, ...]:
    """What can be run, and will disappoint."""
    return tuple(problem for problem in check(policy) if problem.severity != "error")


class _Reader:
    """Collects problems while tables become frozen values."""

    def __init__(self, index: dict[Path, int]) -> None:
        self.index = index
        self.problems: list[Problem] = []

    def problem(self, path: Path, message: str, remedy: str, severity: str = "error") -> None:
        key = ".".join(str(part) for part in path) or "policy"
        self.problems.append(Problem(line_of(self.index, path), key, message, remedy, severity))

    def table(self, kind: Callable[..., T], raw: object, path: Path, names: tuple[str, ...]) -> T | None:
        """`kind(**raw)` with every field checked against the type of the dataclass."""
        if not isinstance(raw, dict):
            self.problem(path, "is not a table", f"write [{'.'.join(str(p) for p in path)}]")
            return None
        before = len(self.problems)
        for key in raw:
            if key not in names:
                self.problem((*path, key), "unknown key", f"known here: {', '.join(names)}")
        values = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
        clean: dict[str, object] = {}
        for name in names:
            if name in raw:
                clean[name] = self._value(str(values[name].type), raw[name], (*path, name))
        if len(self.problems) > before:
            return None
        try:
            return kind(**clean)
        except TypeError as error:
            missing = str(error).rsplit(":", maxsplit=1)[-1].strip()
            self.problem(path, f"is incomplete, missing {missing}", "add it")
            return None

    def _value(self, kind: str, value: Any, path: Path) -> object:
        match kind:
            case "float" | "float | None" if _is_number(value):
                return float(value)
            case "int" if isinstance(value, int) and _is_number(value):
                return value
            case "str" if isinstance(value, str):
                return value
            case "bool" if isinstance(value, bool):
                return value
            case "tuple[str, ...]" if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return tuple(value)
            case "tuple[float, ...]" if isinstance(value, list) and all(_is_number(item) for item in value):
                return tuple(float(item) for item in value)
            case "MetricKind" | "Action" if isinstance(value, str):
                return self._choice(MetricKind if kind == "MetricKind" else Action, value, path)
            case _:
                self.problem(path, f"{value!r} is not a {kind}", "correct the value")
                return None

    def _choice(self, kind: type[MetricKind] | type[Action], value: str, path: Path) -> object:
        try:
            return kind(value)
        except ValueError:
            self.problem(path, f"{value!r} is not known", f"one of {', '.join(item.value for item in kind)}")
            return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


_TABLES: dict[str, type[Any]] = {
    "budget": Budget,
    "assignment": Assignment,
    "watch": Watch,
    "evaluation": Evaluation,
    "review": Review,
    "serving": Serving,
    "validity": Validity,
    "judge": Judge,
    "decisions": Decisions,
    "overrides": Overrides,
    "traffic": Traffic,
    "drift": Drift,
    "programme": Programme,
    "incidents": Incidents,
}
_LISTS: dict[str, type[Any]] = {"phases": Phase, "triggers": Trigger, "certificates": Certificate}
_HEADS = ("name", "owner", "baseline")
_TOP = ("schema", *_HEADS, "release", *_TABLES, *_LISTS)


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _read(reader: _Reader, raw: dict[str, Any], text: str) -> Policy | None:
    for key in raw:
        if key not in _TOP:
            reader.problem((key,), "unknown key", f"known here: {', '.join(_TOP)}")
    if raw.get("schema") != SCHEMA:
        reader.problem(("schema",), f"{raw.get('schema')!r} is not a known schema", f"write schema = {SCHEMA}")
    heads = {key: raw.get(key, "") for key in _HEADS}
    for key, value in heads.items():
        if not isinstance(value, str) or not value:
            reader.problem((key,), "is missing or not a text", f'write {key} = "..."')
    heads["release"] = raw.get("release", "")
    if not isinstance(heads["release"], str):
        reader.problem(("release",), "is not a text", 'write the names it is for, such as release = "v2.*"')
    tables = {key: reader.table(kind, raw.get(key, {}), (key,), _names(kind)) for key, kind in _TABLES.items()}
    lists = {key: _list(reader, kind, raw, key) for key, kind in _LISTS.items()}
    if reader.problems:
        return None
    values: dict[str, Any] = {**heads, **tables, **lists}
    return Policy(text=text, hash=sha256_text(text), **values)


def _list(reader: _Reader, kind: Callable[..., T], raw: dict[str, Any], key: str) -> tuple[T, ...]:
    items = raw.get(key, [])
    if not isinstance(items, list):
        reader.problem((key,), "is not a list of tables", f"write [[{key}]]")
        return ()
    read = [reader.table(kind, item, (key, position), _names(kind)) for position, item in enumerate(items)]
    return tuple(item for item in read if item is not None)
