"""What can be evaluated: a release of the embedded assistant from its TOML file, or any assistant by the records of what it answered."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from controlplane.assistant.model import ReleaseArtefacts
from controlplane.assistant.pipeline import AssistantPolicy
from controlplane.assistant.pricing import TablePrice, load_prices
from controlplane.assistant.release import Outside, ReleaseConfig, build_assistant
from controlplane.assistant.service import ServiceProfile
from controlplane.core.toml_lines import line_index, line_of
from controlplane.evaluation.cases import Case, CaseError
from controlplane.evaluation.judges import default_judges
from controlplane.evaluation.recorded import check_records, recorded_outcomes
from controlplane.evaluation.rows_from import table_rows
from controlplane.evaluation.runner import FreshBank, Outcome, run_cases
from jobs.assistant_chat import ModelOptions
from jobs.evaluation_run import Candidate

_TABLES = {"policy": AssistantPolicy}
_MODEL_KEYS = {"name": str, "small": str, "url": str, "timeout_seconds": float, "prices": str}
_SCALARS = (str, int, float, bool)


class SpecError(CaseError):
    """A release file cannot be used; the message names file, line, key and remedy."""


def artefact_hashes(artefacts: ReleaseArtefacts) -> dict[str, str]:
    """Hash by artefact: what identifies a release to the rollout. The version is a label and does not count."""
    return {name: value for name, value in asdict(artefacts).items() if name != "version"}


def embedded(
    config: ReleaseConfig,
    models: Path,
    seed: int,
    *,
    story_service: bool = False,
    label: str | None = None,
    remote: ModelOptions | None = None,
) -> Candidate:
    """The embedded assistant, built anew with a bank of its own. `story_service`: seeded latencies and failures instead of real time.

    `remote`: the models that write its answers; what they say differs from run to run.
    """
    bank = FreshBank()
    service = ServiceProfile().seeded(seed) if story_service else None
    generator = small = None
    if remote is not None and remote.name is not None:
        from controlplane.assistant.openai_generator import OpenAIGenerator

        generator = OpenAIGenerator(remote.url, remote.name, remote.api_key, remote.timeout_seconds)
        if remote.small is not None:
            small = OpenAIGenerator(remote.url, remote.small, remote.api_key, remote.timeout_seconds)
        price = TablePrice(load_prices(remote.prices)) if remote.prices is not None else None  # unpriced is not free
        config = replace(config, price=price, small_price=price)
    assistant = build_assistant(config, models, bank.as_bank, service, generator, outside=Outside(small=small))
    judges = default_judges()

    def measure(cases: Sequence[Case]) -> Iterable[Outcome]:
        return run_cases(cases, assistant, bank, judges, seed)

    return Candidate(label or config.version, artefact_hashes(assistant.artefacts), measure)


def recorded(label: str, artefacts: Mapping[str, str], files: Sequence[Path]) -> Candidate:
    """Any assistant, by its interaction records: `conversation_id` is the row's id. Raises CaseError for files that cannot be read."""
    records = [row for path in files for row in table_rows(path)]

    def measure(cases: Sequence[Case]) -> Iterable[Outcome]:
        return recorded_outcomes(cases, records, default_judges())

    return Candidate(label, dict(artefacts), measure, lambda cases: check_records(cases, records))


def read_release(path: Path | None, api_key: str = "") -> tuple[ReleaseConfig, ModelOptions | None]:
    """The release of a TOML file with the keys of `ReleaseConfig`, and the remote model that its table [model] names.

    Without a file: the shipped release. Raises SpecError.
    """
    if path is None:
        return ReleaseConfig(), None
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}; mend the syntax") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from None
    index = line_index(text)

    def problem(key: tuple[str, ...], message: str) -> SpecError:
        return SpecError(f"{path}:{line_of(index, key)}: {'.'.join(key)}: {message}")

    remote = _remote(raw.pop("model"), api_key, problem) if "model" in raw else None
    values = _checked(ReleaseConfig(), raw, (), problem)
    for name in _TABLES:
        if name in raw:
            values[name] = replace(
                getattr(ReleaseConfig(), name), **_checked(getattr(ReleaseConfig(), name), raw[name], (name,), problem)
            )
    return replace(ReleaseConfig(), **values), remote


def _remote(raw: object, api_key: str, problem: Callable[[tuple[str, ...], str], SpecError]) -> ModelOptions:
    """The table [model]: name, small, url, timeout_seconds, prices. The key comes from the environment alone. Raises SpecError."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("name"), str):
        raise problem(("model",), 'is no table with a name; write [model] and name = "..."')
    for key, value in raw.items():
        kind = _MODEL_KEYS.get(key)
        if kind is None:
            raise problem(("model", key), f"unknown key; known here: {', '.join(_MODEL_KEYS)}")
        if not isinstance(value, int | float if kind is float else kind) or isinstance(value, bool):
            raise problem(("model", key), f"{value!r} cannot be used: write a {kind.__name__}")
    values = {key: value for key, value in raw.items() if key != "prices"}
    prices = Path(raw["prices"]) if "prices" in raw else None
    return replace(ModelOptions(api_key=api_key, prices=prices), **values)


def _checked(
    default: Any, raw: object, path: tuple[str, ...], problem: Callable[[tuple[str, ...], str], SpecError]
) -> dict[str, Any]:
    """Values of plain fields, each of the kind that the default has. Raises SpecError."""
    if not isinstance(raw, Mapping):
        raise problem(path, f"is not a table; write [{'.'.join(path)}]")
    plain = {
        item.name: getattr(default, item.name)
        for item in fields(default)
        if not is_dataclass(getattr(default, item.name)) and item.name not in _TABLES
    }
    known = (*plain, *(() if path else _TABLES))
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            raise problem((*path, key), f"unknown key; known here: {', '.join(known)}")
        if key in plain:
            values[key] = _value(plain[key], value, (*path, key), problem)
    return values


def _value(
    default: Any, value: Any, path: tuple[str, ...], problem: Callable[[tuple[str, ...], str], SpecError]
) -> Any:
    kind = float if default is None else type(default)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in _SCALARS and type(value) is kind:
        return _choice(value, path, problem)
    raise problem(path, f"{value!r} cannot be used: write a {kind.__name__}")


_CHOICES = {
    "knowledge": ("good", "corrupt"),
    "generator": ("extractive", "careless"),
    "classifier": ("good", "shifted"),
    "tier": ("default", "embeddings"),
}


def _choice(value: Any, path: tuple[str, ...], problem: Callable[[tuple[str, ...], str], SpecError]) -> Any:
    allowed = _CHOICES.get(path[-1]) if len(path) == 1 else None
    if allowed is not None and value not in allowed:
        raise problem(path, f"{value!r} is not known: one of {', '.join(allowed)}")
    return value
