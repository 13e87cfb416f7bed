"""The policy of a rollout: one TOML text, validated as a whole, identified by its sha256.

A policy says who may be exposed and when (phases and their stages), what must never happen (triggers, which share one error
budget), what must be shown before growing (certificates and gates), and how a cut is verified. `parse` reports every problem
it finds, each with line, key and remedy, and returns a `Policy` only when there is none. Unknown keys are problems: a
misspelt limit must not silently be no limit.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from math import isfinite
from typing import Any, TypeVar

from controlplane.core.audit import sha256_text
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy_lint import lint
from controlplane.core.toml_lines import Path, line_index, line_of

T = TypeVar("T")

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a policy text."""

    line: int
    key: str
    message: str
    remedy: str

    def text(self, source: str) -> str:
        """`file:line: key: what is wrong; what to do`."""
        return f"{source}:{self.line}: {self.key}: {self.message}; {self.remedy}"


class PolicyError(ValueError):
    """A policy text that must not be used; `problems` has every reason."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.text(source) for problem in problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The promise: a release within its limits is ever rolled back with at most this probability."""

    false_rollback: float = 0.01
    certificate: float = 0.05
    horizon_weeks: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """How customers come to an arm; eligibility is decided before it, the same way in both arms."""

    salt: str
    low_risk_intents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Lateness allowed to producers, how old data may be, and how a cut is verified."""

    lateness_seconds: int = 30
    freshness_seconds: int = 300
    flag_max_age_seconds: int = 5
    client_poll_seconds: int = 5
    probes: int = 20
    segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a release needs before it enters the first phase: a passing evaluation under registered criteria of that name (empty: any)."""

    required: bool = True
    criteria: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What people look at in the phases named: a stable sample of the answers, and what their labels must show before the gate opens.

    `share` of the assistant's answers is queued; the gate asks that `min_labelled` of them and `min_reviewed` of the queue are labelled, that
    the lower end of the share of correct ones (95 %, Clopper-Pearson) is at least `min_correct`, and that none is unsafe. No phases: nothing.
    """

    phases: tuple[str, ...] = ()
    share: float = 0.1
    min_labelled: int = 20
    min_reviewed: float = 0.8
    min_correct: float = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A phase and its stages (shares of the eligible audience), with what its gate asks before each step out of a stage."""

    name: str
    audience: str
    shares: tuple[float, ...]
    min_minutes: float = 0.0
    min_treated: int = 0
    certificates: tuple[str, ...] = ()
    approvals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One thing that must not happen, how it is tested, and what follows when it fires."""

    name: str
    metric: str
    kind: MetricKind
    limit: float
    weight: float
    action: Action
    block_seconds: int = 60
    maturity_minutes: float = 0.0
    slo_ms: float | None = None

    @property
    def maturity(self) -> timedelta:
        """How long after a conversation's start its label is final."""
        return timedelta(minutes=self.maturity_minutes)

    @property
    def lane(self) -> str:
        """Streams of one lane close together: the same block length and maturity."""
        return f"{self.block_seconds}s+{round(self.maturity_minutes * 60)}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What must be shown before growing: the treated arm is not worse than the control by `margin` or more."""

    name: str
    metric: str
    kind: MetricKind
    margin: float
    block_seconds: int = 60
    maturity_minutes: float = 0.0

    @property
    def lane(self) -> str:
        """As for triggers."""
        return f"{self.block_seconds}s+{round(self.maturity_minutes * 60)}s"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the rollout, flattened over the phases; `index` counts from 0."""

    index: int
    phase: str
    audience: str
    share: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A validated policy; `hash` is the sha256 of the text it was read from."""

    name: str
    owner: str
    baseline: str
    budget: Budget
    assignment: Assignment
    watch: Watch
    evaluation: Evaluation
    review: Review
    phases: tuple[Phase, ...]
    triggers: tuple[Trigger, ...]
    certificates: tuple[Certificate, ...]
    text: str
    hash: str

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages in order."""
        flat = [(phase, share) for phase in self.phases for share in phase.shares]
        return tuple(Stage(i, phase.name, phase.audience, share) for i, (phase, share) in enumerate(flat))

    def phase(self, name: str) -> Phase:
        """The phase of that name; KeyError names the ones there are."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(f"no phase '{name}' in policy '{self.name}': it has {', '.join(p.name for p in self.phases)}")

    def alpha(self, trigger: Trigger, segment: str) -> float:
        """Error budget of one stream: half of the trigger's share for all traffic, half for all its segments together."""
        share = self.budget.false_rollback * trigger.weight / 2
        return share if segment == "all" else share / len(self.watch.segments)


def parse(text: str, source: str = "policy") -> Policy:
    """The policy in `text`. Raises `PolicyError` with every problem, each naming `source`, line, key and remedy."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))  # absent at the end of the text
        line = int(found.group(1)) if found else text.count("\n") + 1
        raise PolicyError(source, (Problem(line, "TOML", str(error), "mend the syntax"),)) from None
    reader = _Reader(line_index(text))
    policy = _read(reader, raw, text)
    if policy is not None and not reader.problems:
        lint(reader, policy)
    if policy is None or reader.problems:
        raise PolicyError(source, tuple(sorted(reader.problems, key=lambda problem: problem.line)))
    return policy


class _Reader:
    """Collects problems while tables become frozen values."""

    def __init__(self, index: dict[Path, int]) -> None:
        self.index = index
        self.problems: list[Problem] = []

    def problem(self, path: Path, message: str, remedy: str) -> None:
        key = ".".join(str(part) for part in path) or "policy"
        self.problems.append(Problem(line_of(self.index, path), key, message, remedy))

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


_TOP = (
    *("schema", "name", "owner", "baseline", "budget", "assignment", "watch", "evaluation", "review"),
    *("phases", "triggers", "certificates"),
)


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _read(reader: _Reader, raw: dict[str, Any], text: str) -> Policy | None:
    for key in raw:
        if key not in _TOP:
            reader.problem((key,), "unknown key", f"known here: {', '.join(_TOP)}")
    if raw.get("schema") != SCHEMA:
        reader.problem(("schema",), f"{raw.get('schema')!r} is not a known schema", f"write schema = {SCHEMA}")
    heads = {key: raw.get(key, "") for key in ("name", "owner", "baseline")}
    for key, value in heads.items():
        if not isinstance(value, str) or not value:
            reader.problem((key,), "is missing or not a text", f'write {key} = "..."')
    budget = reader.table(Budget, raw.get("budget", {}), ("budget",), _names(Budget))
    assignment = reader.table(Assignment, raw.get("assignment", {}), ("assignment",), _names(Assignment))
    watch = reader.table(Watch, raw.get("watch", {}), ("watch",), _names(Watch))
    evaluation = reader.table(Evaluation, raw.get("evaluation", {}), ("evaluation",), _names(Evaluation))
    review = reader.table(Review, raw.get("review", {}), ("review",), _names(Review))
    phases = _list(reader, Phase, raw, "phases")
    triggers = _list(reader, Trigger, raw, "triggers")
    certificates = _list(reader, Certificate, raw, "certificates")
    if reader.problems or budget is None or assignment is None or watch is None or evaluation is None or review is None:
        return None
    return Policy(
        name=str(heads["name"]),
        owner=str(heads["owner"]),
        baseline=str(heads["baseline"]),
        budget=budget,
        assignment=assignment,
        watch=watch,
        evaluation=evaluation,
        review=review,
        phases=phases,
        triggers=triggers,
        certificates=certificates,
        text=text,
        hash=sha256_text(text),
    )


def _list(reader: _Reader, kind: Callable[..., T], raw: dict[str, Any], key: str) -> tuple[T, ...]:
    items = raw.get(key, [])
    if not isinstance(items, list):
        reader.problem((key,), "is not a list of tables", f"write [[{key}]]")
        return ()
    read = [reader.table(kind, item, (key, position), _names(kind)) for position, item in enumerate(items)]
    return tuple(item for item in read if item is not None)
