"""Fixtures of the simulation's tests: classifiers trained once, worlds at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from controlplane.assistant import MENU_SERVICE, ServiceProfile, SqliteBank, build_menu
from controlplane.simulation.aftermath import AftermathConfig
from controlplane.simulation.catalogue import scenario
from controlplane.simulation.review import ReviewConfig
from controlplane.simulation.service_desk import Expose, Screener
from controlplane.simulation.traffic import TrafficConfig
from controlplane.simulation.world import World, WorldConfig
from tests.simulation.measure import START, Record, split

MakeWorld = Callable[..., World]
SEED = 3
AUDIT_RATE = 0.2
MINUTES = 15  # of every scenario


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def bank() -> Iterator[SqliteBank]:
    bank = SqliteBank()
    yield bank
    bank.close()


@pytest.fixture(scope="session")
def build(models: Path, bank: SqliteBank) -> Callable[[str], Screener]:
    """The assistant of a scenario, each built once."""

    @cache
    def build(name: str) -> Screener:
        return scenario(name).build(models, bank, ServiceProfile().seeded(SEED))

    return build


@pytest.fixture(scope="session")
def make_world(bank: SqliteBank, build: Callable[[str], Screener]) -> MakeWorld:
    """A world that begins with the assistant of a scenario."""

    def make(name: str = "healthy", seed: int = SEED, expose: Expose = split, rate: float = 100.0) -> World:
        soon = AftermathConfig(found_out_minutes=5.0, return_hours=0.2)  # so that a short story sees who comes back
        config = WorldConfig(
            frozenset({"balance", "fees"}), TrafficConfig(rate), soon, review=ReviewConfig(audit_rate=AUDIT_RATE)
        )
        menu = build_menu(bank, MENU_SERVICE.seeded(seed))
        return World(seed, config, START, assistant=build(name), menu=menu, expose=expose)

    return make


@pytest.fixture(scope="session")
def run_scenario(make_world: MakeWorld) -> Callable[[str, int], list[Record]]:
    """All records of some minutes of a scenario, each run once."""

    @cache
    def run(name: str, minutes: int) -> list[Record]:
        return make_world(name).advance(START + timedelta(minutes=minutes))

    return run
