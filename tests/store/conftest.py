"""A state of its own for every test: a SQLite file, migrated at nine o'clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controlplane.store.state import StateWriter

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def state(url: str) -> Iterator[StateWriter]:
    writer = StateWriter(url)
    writer.migrate(T0)
    yield writer
    writer.close()
