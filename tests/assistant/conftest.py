"""Fixtures of the assistant's tests: one trained classifier for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.assistant import Assistant, AssistantPolicy, Menu, SqliteBank, build_assistant, build_menu, good
from controlplane.assistant.intent import IntentModel
from controlplane.assistant.release import load_or_train
from tests.assistant.talk import faultless

MakeAssistant = Callable[..., Assistant]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def classifier(models: Path) -> IntentModel:
    return load_or_train(models, "good", 1)


@pytest.fixture
def bank() -> Iterator[SqliteBank]:
    bank = SqliteBank()
    yield bank
    bank.close()


@pytest.fixture
def assistant(models: Path, bank: SqliteBank) -> Assistant:
    return build_assistant(good(), models, bank, faultless())


@pytest.fixture
def menu(bank: SqliteBank) -> Menu:
    return build_menu(bank, faultless())


@pytest.fixture
def make_assistant(models: Path, bank: SqliteBank) -> MakeAssistant:
    """A good assistant with another policy, `service=`, `generator=` or `execution_enabled=`."""

    def make(policy: AssistantPolicy | None = None, **options: object) -> Assistant:
        options.setdefault("service", faultless())
        return build_assistant(replace(good(), policy=policy or AssistantPolicy()), models, bank, **options)

    return make
