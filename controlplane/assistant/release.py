"""A release of the assistant: what it is made of, the hashes that identify it, and how it is built.

Rules
- A release is identified by the hashes of its five artefacts (model, prompt, knowledge, classifier, policy) and nothing
  else; the version is a label.
- A release that goes bad does so through its artefacts: a knowledge base after a bad import, a classifier trained on
  shifted labels, a careless or slow model. Everything else is the same code.
- A classifier is trained once a folder and recipe. Its recipe hash (training data, seed, training code format) finds it,
  its content hash guards it; a file that does not match is trained again, and never opened.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from controlplane.assistant import intent
from controlplane.assistant.bank import SqliteBank
from controlplane.assistant.generation import CarelessGenerator, ExtractiveGenerator
from controlplane.assistant.knowledge_base import Knowledge, corrupt, load_knowledge
from controlplane.assistant.menu import Menu
from controlplane.assistant.model import ReleaseArtefacts
from controlplane.assistant.pipeline import Assistant, AssistantParts, AssistantPolicy
from controlplane.assistant.protocols import Bank, Generator
from controlplane.assistant.service import ServiceModel, ServiceProfile
from controlplane.assistant.training_data import load_examples, shifted_labels
from controlplane.assistant.turn import ModelPrice

STORY_PRICE = ModelPrice(input_per_1k=0.00015, cached_per_1k=0.000075, output_per_1k=0.0006)
MENU_SERVICE = ServiceProfile(request=ServiceModel("menu", 60.0, 0.3, error_rate=0.001))


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """How to build a release. `seed` drives training, corruption and the model's chance, not the service."""

    version: str = "1.0.0"
    knowledge: Literal["good", "corrupt"] = "good"
    generator: Literal["extractive", "careless"] = "extractive"
    classifier: Literal["good", "shifted"] = "good"
    slow_factor: float = 1.0
    error_rate: float | None = None
    timeout_rate: float | None = None
    policy: AssistantPolicy = field(default_factory=AssistantPolicy)
    price: ModelPrice | None = STORY_PRICE
    seed: int = 1


def good(version: str = "1.0.0", seed: int = 1) -> ReleaseConfig:
    """A release with nothing wrong."""
    return ReleaseConfig(version, seed=seed)


def bad(version: str, *faults: Literal["knowledge", "generator", "classifier", "slow"], seed: int = 1) -> ReleaseConfig:
    """A release with these things wrong; "slow" is a model that takes three times as long."""
    config = ReleaseConfig(version, seed=seed)
    for fault in faults:
        match fault:
            case "knowledge":
                config = replace(config, knowledge="corrupt")
            case "generator":
                config = replace(config, generator="careless")
            case "classifier":
                config = replace(config, classifier="shifted")
            case "slow":
                config = replace(config, slow_factor=3.0)
    return config


def build_assistant(
    config: ReleaseConfig,
    folder: Path,
    bank: Bank | None = None,
    service: ServiceProfile | None = None,
    generator: Generator | None = None,
    execution_enabled: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.perf_counter,
) -> Assistant:
    """Builds a release of the assistant; its classifier is kept in `folder`.

    `bank` None = a new bank in memory. `service` None = real time decides. `generator` replaces the configured one (a
    real model); closing it is then up to the caller.
    """
    classifier = load_or_train(folder, config.classifier, config.seed)
    knowledge = corrupt(load_knowledge(), config.seed) if config.knowledge == "corrupt" else load_knowledge()
    model = generator or _generator(config)
    prompt = load_prompt()
    artefacts = ReleaseArtefacts(
        version=config.version,
        model=_sha256([model.provider, model.model, config.slow_factor, config.error_rate, config.timeout_rate]),
        prompt=_sha256(prompt),
        knowledge=knowledge.version,
        classifier=classifier.digest,
        policy=_sha256(asdict(config.policy)),
    )
    parts = AssistantParts(
        artefacts=artefacts,
        classifier=classifier,
        knowledge=knowledge,
        generator=model,
        bank=bank or SqliteBank(),
        prompt=prompt,
        policy=config.policy,
        service=_profile(config, service),
        price=config.price,
        execution_enabled=execution_enabled,
        clock=clock,
    )
    return Assistant(parts)


def build_menu(
    bank: Bank | None = None,
    service: ServiceProfile | None = None,
    execution_enabled: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.perf_counter,
) -> Menu:
    """The baseline over the good knowledge base; `MENU_SERVICE.seeded(n)` is its service in the story."""
    return Menu(load_knowledge(), bank or SqliteBank(), service, execution_enabled, clock)


def load_or_train(folder: Path, variant: Literal["good", "shifted"], seed: int) -> intent.IntentModel:
    """The classifier of this variant and seed from `folder`, trained and saved there if it is not there unchanged."""
    examples = load_examples(seed)
    if variant == "shifted":
        examples = shifted_labels(examples, seed)
    recipe = _sha256([intent.FORMAT, intent.SVM_COST, seed, [(e.text, e.label, e.group) for e in examples]])
    path = folder / f"intent-{recipe[:16]}.joblib"
    note = path.with_suffix(".sha256")
    if note.is_file():
        try:
            return intent.load(path, note.read_text(encoding="ascii").strip())
        except intent.ModelFileError:
            note.unlink()
    model = intent.train(examples, seed)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(intent.save(model, path), encoding="ascii")
    return model


@cache
def load_prompt() -> str:
    """The system prompt that ships with the assistant."""
    return files("controlplane.assistant").joinpath("prompts").joinpath("answer.md").read_text(encoding="utf-8")


def reference_knowledge() -> Knowledge:
    """The reviewed knowledge base that online evaluation compares answers with."""
    return load_knowledge()


def _generator(config: ReleaseConfig) -> Generator:
    return CarelessGenerator(load_knowledge(), config.seed) if config.generator == "careless" else ExtractiveGenerator()


def _profile(config: ReleaseConfig, service: ServiceProfile | None) -> ServiceProfile | None:
    if service is None:
        return None
    error_rate = service.model.error_rate if config.error_rate is None else config.error_rate
    timeout_rate = service.model.timeout_rate if config.timeout_rate is None else config.timeout_rate
    return service.slowed(config.slow_factor).failing(error_rate, timeout_rate)


def _sha256(content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
