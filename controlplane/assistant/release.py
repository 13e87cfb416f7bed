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

from controlplane.assistant import intent, workflow_table
from controlplane.assistant.bank import SqliteBank
from controlplane.assistant.cache import CacheConfig, SemanticCache
from controlplane.assistant.cache_encoder import TfidfEncoder, embedding_encoder
from controlplane.assistant.generation import CarelessGenerator, ExtractiveGenerator
from controlplane.assistant.knowledge_base import Knowledge, corrupt, load_knowledge
from controlplane.assistant.menu import Menu
from controlplane.assistant.model import ReleaseArtefacts
from controlplane.assistant.pipeline import Assistant, AssistantParts, AssistantPolicy
from controlplane.assistant.pricing import ModelPrice, Price
from controlplane.assistant.protocols import Bank, Generator, Limiter, Retriever
from controlplane.assistant.routing import Routing
from controlplane.assistant.routing_fit import shipped_routing
from controlplane.assistant.service import ServiceModel, ServiceProfile
from controlplane.assistant.tracing import Telemetry
from controlplane.assistant.training_data import load_examples, shifted_labels

STORY_PRICE = ModelPrice(input_per_1k=0.00015, cached_per_1k=0.000075, output_per_1k=0.0006)
MENU_SERVICE = ServiceProfile(request=ServiceModel("menu", 60.0, 0.3, error_rate=0.001))


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `messages` per customer in any `seconds`."""

    messages: int = 20
    seconds: int = 60


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """How to build a release. `seed` drives training, corruption and the model's chance, not the service.

    `tier` "embeddings" needs the extra of that name. `cache` and `rate_limit` None = off. `routing` matters only where a
    small model is given to `build_assistant` beside the large one. `faulty_topics`: what a corrupt knowledge base or a
    careless model is wrong about; empty = everything.
    """

    version: str = "1.0.0"
    knowledge: Literal["good", "corrupt"] = "good"
    generator: Literal["extractive", "careless"] = "extractive"
    classifier: Literal["good", "shifted"] = "good"
    slow_factor: float = 1.0
    error_rate: float | None = None
    timeout_rate: float | None = None
    policy: AssistantPolicy = field(default_factory=AssistantPolicy)
    price: Price | None = STORY_PRICE
    seed: int = 1
    tier: Literal["default", "embeddings"] = "default"
    routing: Routing = field(default_factory=shipped_routing)
    cache: CacheConfig | None = None
    rate_limit: RateLimit | None = None
    small_price: Price | None = None
    faulty_topics: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Outside:
    """What a release is connected to, or is given ready-made. None: a bank in memory, the shipped classifier, knowledge and prompt,
    the search of the tier, no small model, no telemetry; `limiter` replaces the configured rate limit by a shared one.
    """

    bank: Bank | None = None
    classifier: intent.IntentModel | None = None
    knowledge: Knowledge | None = None
    prompt: str | None = None
    small: Generator | None = None
    retriever: Retriever | None = None
    limiter: Limiter | None = None
    telemetry: Telemetry | None = None
    sleep: Callable[[float], None] = time.sleep


def build_assistant(
    config: ReleaseConfig,
    folder: Path,
    bank: Bank | None = None,
    service: ServiceProfile | None = None,
    generator: Generator | None = None,
    execution_enabled: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.perf_counter,
    outside: Outside | None = None,
) -> Assistant:
    """Builds a release of the assistant; its classifier is kept in `folder`.

    `bank` None = that of `outside`, else a new one in memory. `service` None = real time decides. `generator` replaces the
    configured one (a real model); closing it is then up to the caller.
    """
    around = outside or Outside()
    classifier = around.classifier or load_or_train(folder, config.classifier, config.seed, config.tier)
    knowledge = around.knowledge or load_knowledge()
    if config.knowledge == "corrupt":
        knowledge = corrupt(knowledge, config.seed, config.faulty_topics)
    model = generator or _generator(config)
    prompt = around.prompt or load_prompt()
    artefacts = ReleaseArtefacts(
        version=config.version,
        model=_model_hash(config, model, around.small),
        prompt=_sha256(prompt),
        knowledge=knowledge.version,
        classifier=classifier.digest,
        policy=_policy_hash(config, around.small is not None),
    )
    parts = AssistantParts(
        artefacts=artefacts,
        classifier=classifier,
        knowledge=knowledge,
        generator=model,
        bank=bank or around.bank or SqliteBank(),
        prompt=prompt,
        policy=config.policy,
        service=_profile(config, service),
        price=config.price,
        execution_enabled=execution_enabled,
        clock=clock,
        small=around.small,
        small_price=config.small_price,
        routing=config.routing,
        retriever=around.retriever or _retriever(config, knowledge, folder),
        cache=_cache(config),
        limiter=around.limiter or _limiter(config),
        telemetry=around.telemetry,
        scope_threshold=classifier.scope_threshold,
        sleep=around.sleep,
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


def load_or_train(
    folder: Path, variant: Literal["good", "shifted"], seed: int, tier: Literal["default", "embeddings"] = "default"
) -> intent.IntentModel:
    """The classifier of this variant, seed and tier from `folder`, trained and saved there if it is not there unchanged."""
    examples = load_examples(seed)
    if variant == "shifted":
        examples = shifted_labels(examples, seed)
    rows = [(example.text, example.label, example.group) for example in examples]
    recipe = _sha256([intent.FORMAT, intent.SVM_COST, seed, rows, *([tier] if tier != "default" else [])])
    path = folder / f"intent-{recipe[:16]}.npz"
    note = path.with_suffix(".sha256")
    if note.is_file():
        try:
            return intent.load(path, note.read_text(encoding="ascii").strip())
        except intent.ModelFileError:
            note.unlink()
    model = intent.train(examples, seed, replace(intent.SHIPPED, tier=tier))
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
    if config.generator == "careless":
        return CarelessGenerator(load_knowledge(), config.seed, topics=config.faulty_topics)
    return ExtractiveGenerator()


def _model_hash(config: ReleaseConfig, model: Generator, small: Generator | None) -> str:
    """Which models answer, and how well their service works."""
    parts: list[object] = [model.provider, model.model, config.slow_factor, config.error_rate, config.timeout_rate]
    parts += [config.faulty_topics] if config.generator == "careless" and config.faulty_topics else []
    return _sha256([*parts, small.provider, small.model] if small is not None else parts)


def _policy_hash(config: ReleaseConfig, routed: bool) -> str:
    """All that decides how an answer comes about beside models, prompt, knowledge and classifier."""
    return _sha256(
        {
            "policy": asdict(config.policy),
            "tier": config.tier,
            "workflows": workflow_table.digest(),
            "routing": asdict(config.routing) if routed else None,
            "cache": asdict(config.cache) if config.cache is not None else None,
            "rate_limit": asdict(config.rate_limit) if config.rate_limit is not None else None,
        }
    )


def _retriever(config: ReleaseConfig, knowledge: Knowledge, folder: Path) -> Retriever | None:
    """Words and meaning in the tier with embeddings, whose vectors are kept in `folder`; words alone in the other."""
    if config.tier == "default":
        return None
    from controlplane.assistant.embedding import open_encoder
    from controlplane.assistant.retrieval import HybridIndex

    return HybridIndex.open(knowledge, open_encoder(), folder)


def _cache(config: ReleaseConfig) -> SemanticCache | None:
    if config.cache is None:
        return None
    if config.tier == "embeddings":
        return SemanticCache(embedding_encoder(), config.cache)
    return SemanticCache(TfidfEncoder([example.text for example in load_examples(config.seed)]), config.cache)


def _limiter(config: ReleaseConfig) -> Limiter | None:
    if config.rate_limit is None:
        return None
    from controlplane.assistant.rate_limit import RateLimiter

    return RateLimiter(config.rate_limit.messages, config.rate_limit.seconds)


def _profile(config: ReleaseConfig, service: ServiceProfile | None) -> ServiceProfile | None:
    if service is None:
        return None
    error_rate = service.model.error_rate if config.error_rate is None else config.error_rate
    timeout_rate = service.model.timeout_rate if config.timeout_rate is None else config.timeout_rate
    return service.slowed(config.slow_factor).failing(error_rate, timeout_rate)


def _sha256(content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
