"""What can be evaluated: a release of the embedded assistant from its TOML file, or any assistant by the records of what it answered."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from controlplane.assistant.intent import ModelFileError
from controlplane.assistant.intent_registry import opened
from controlplane.assistant.knowledge_base import KnowledgeError
from controlplane.assistant.knowledge_folder import load_folder
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
EMBEDDED = {item.name for item in fields(ReleaseArtefacts)} - {"version"}


class SpecError(CaseError):
    """A release file cannot be used; the message names file, line, key and remedy."""


@dataclass(frozen=True, slots=True)
class OwnArtefacts:
    """Where artefacts lie that are not those that ship. `classifier`: a model made by `assistant train` or `recalibrate`; `knowledge`: a folder
    of reviewed Markdown pages, which answers are then judged by as well; `prompt`: a text file."""

    classifier: Path | None = None
    knowledge: Path | None = None
    prompt: Path | None = None

    def read(self) -> Outside:
        """The artefacts themselves. Raises SpecError naming the one that cannot be read."""
        try:
            return Outside(
                classifier=None if self.classifier is None else opened(self.classifier)[0],
                knowledge=None if self.knowledge is None else load_folder(self.knowledge),
                prompt=None if self.prompt is None else self.prompt.read_text(encoding="utf-8"),
            )
        except (ModelFileError, KnowledgeError) as error:
            raise SpecError(str(error)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"prompt {self.prompt} cannot be read: {error}") from None


class ReleaseFile(NamedTuple):
    """What a release file says: the release, the remote model if it names one, and artefacts of its own."""

    config: ReleaseConfig
    remote: ModelOptions | None = None
    own: OwnArtefacts = OwnArtefacts()


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
    own: OwnArtefacts | None = None,
) -> Candidate:
    """The embedded assistant, built anew with a bank of its own. `story_service`: seeded latencies and failures instead of real time.

    `remote`: the models that write its answers; what they say differs from run to run. `own`: artefacts that do not ship. Raises SpecError
    for one that cannot be read.
    """
    own = own or OwnArtefacts()
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
    outside = replace(own.read(), small=small)
    assistant = build_assistant(config, models, bank.as_bank, service, generator, outside=outside)
    judges = default_judges(outside.knowledge)

    def measure(cases: Sequence[Case]) -> Iterable[Outcome]:
        return run_cases(cases, assistant, bank, judges, seed)

    source = {"answers": "run here", "service": "simulated" if story_service else "real"}
    if remote is not None and remote.name is not None:
        source |= {"model": remote.name}
    return Candidate(label or config.version, artefact_hashes(assistant.artefacts), measure, source=source)


def recorded(label: str, artefacts: Mapping[str, str], files: Sequence[Path]) -> Candidate:
    """Any assistant, by its interaction records: `conversation_id` is the row's id. Raises CaseError for files that cannot be read."""
    if set(artefacts) == EMBEDDED:
        raise CaseError(
            f"--artefact names {', '.join(sorted(artefacts))}, which are the embedded assistant's: that is run here with --release, "
            "its records prove nothing"
        )
    records = [row for path in files for row in table_rows(path)]
    handed_in = {str(path.name): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def measure(cases: Sequence[Case]) -> Iterable[Outcome]:
        return recorded_outcomes(cases, records, default_judges())

    source = {"answers": "records handed in", "files": handed_in}
    return Candidate(label, dict(artefacts), measure, lambda cases: check_records(cases, records), source)


def read_release(path: Path | None, api_key: str = "") -> ReleaseFile:
    """The release of a TOML file with the keys of `ReleaseConfig`, the remote model that its table [model] names, and the paths of
    [artefacts] (classifier, knowledge, prompt), which are relative to the file.

    Without a file: the shipped release. Raises SpecError.
    """
    if path is None:
        return ReleaseFile(ReleaseConfig())
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
    own = _own(raw.pop("artefacts"), path.parent, problem) if "artefacts" in raw else OwnArtefacts()
    values = _checked(ReleaseConfig(), raw, (), problem)
    for name in _TABLES:
        if name in raw:
            values[name] = replace(
                getattr(ReleaseConfig(), name), **_checked(getattr(ReleaseConfig(), name), raw[name], (name,), problem)
            )
    return ReleaseFile(replace(ReleaseConfig(), **values), remote, own)


def _own(raw: object, folder: Path, problem: Callable[[tuple[str, ...], str], SpecError]) -> OwnArtefacts:
    """The table [artefacts]. Raises SpecError."""
    known = tuple(item.name for item in fields(OwnArtefacts))
    if not isinstance(raw, Mapping):
        raise problem(("artefacts",), "is not a table; write [artefacts]")
    for key, value in raw.items():
        if key not in known:
            raise problem(("artefacts", key), f"unknown key; known here: {', '.join(known)}")
        if not isinstance(value, str) or not (folder / value).exists():
            raise problem(
                ("artefacts", key), f"{value!r} is not there: give a path, absolute or from the folder of this file"
            )
    return OwnArtefacts(**{key: folder / value for key, value in raw.items()})


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
