"""The examination of root-cause triage: planted incidents through the real ingest, ranked without a word about what was planted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from controlplane.core.cause import rank
from controlplane.core.cause_model import Change, Facts, Ranking
from controlplane.simulation.planted import Planted, plant
from controlplane.store.facts import ingest_file
from controlplane.store.warehouse import Warehouse
from jobs.cause_facts import change_log, read

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
OBJECTIVE_MS = 4_000.0


@dataclass(frozen=True)
class Paper:
    """One seed: what was planted, and what the ranking said."""

    seed: int
    planted: Planted
    ranking: Ranking

    @property
    def kind_right(self) -> bool:
        return str(self.ranking.causes[0].kind) == self.planted.answer.kind

    @property
    def slice_right(self) -> bool:
        """True where none was planted; a model may be named by the name it got."""
        answer, found = self.planted.answer, self.ranking.causes[0].slice
        if not answer.dimension:
            return True
        names = (answer.value, answer.value.replace("-1", "-2"))
        return found is not None and found.dimension == answer.dimension and found.value in names

    @property
    def right(self) -> bool:
        return self.kind_right and self.slice_right

    def text(self) -> str:
        """One line for the report."""
        answer, first = self.planted.answer, self.ranking.causes[0]
        found = f"{first.slice.dimension}={first.slice.value}" if first.slice else "everywhere"
        was = f"{answer.dimension}={answer.value}" if answer.dimension else "everywhere"
        return (
            f"seed {self.seed}: {answer.kind} in {was}, size {answer.size:.2f}{', unrecorded' if answer.silent else ''}; "
            f"ranked {first.kind} in {found}, {self.ranking.standing}"
        )


def logged(planted: Planted) -> list[Change]:
    """The change log as it is read from audit rows."""
    rows = [
        {"event": row.event, "at": row.at.isoformat(), "subject": "r", "reason": row.text}
        | {"payload": json.dumps({"artefacts": row.artefacts})}
        for row in planted.noted
    ]
    return change_log(rows)


def ingest(planted: Planted, warehouse: Warehouse, folder: Path) -> None:
    """Through the real ingest."""
    path = folder / "planted.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in planted.records), encoding="utf-8")
    ingest_file(warehouse, path, source="planted", now=planted.until, key=b"k")


def facts_of(planted: Planted, folder: Path) -> Facts:
    """What the ranking is given."""
    with Warehouse.open(folder / "facts.duckdb") as warehouse:
        ingest(planted, warehouse, folder)
        cursor = warehouse.cursor()
        window = (planted.began, planted.onset, planted.until)
        return read(cursor, window, logged(planted), slo_ms=OBJECTIVE_MS)


def examine(seed: int, folder: Path, conversations: int = 9_000) -> Paper:
    """One seed from records to ranking."""
    planted = plant(seed, START, conversations)
    folder.mkdir(parents=True, exist_ok=True)
    return Paper(seed, planted, rank(facts_of(planted, folder)))
