"""Root-cause triage on planted causes: how many of fifty are named right, what is named wrong, and how long one takes beside its ingest."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from controlplane.core.cause import rank
from controlplane.core.cause_model import Standing
from controlplane.simulation.planted import plant
from controlplane.store.warehouse import Warehouse
from jobs.cause_facts import read
from tests.jobs.cause_exam import OBJECTIVE_MS, START, Paper, ingest, logged

SEEDS = range(50)


def run() -> dict[str, Any]:
    """Figures of the seeds that are reported."""
    papers, ratios = [], []
    for seed in SEEDS:
        with TemporaryDirectory() as folder:
            paper, ratio = _one(seed, Path(folder))
        papers.append(paper)
        ratios.append(ratio)
    right = Counter(paper.planted.answer.kind for paper in papers if paper.right)
    likely = [paper for paper in papers if paper.ranking.standing is Standing.LIKELY]
    spread = [paper for paper in papers if not paper.planted.answer.dimension]
    return {
        "seeds": len(papers),
        "right": sum(paper.right for paper in papers),
        "kind_right": sum(paper.kind_right for paper in papers),
        "right_by_kind": dict(sorted(right.items())),
        "likely": len(likely),
        "likely_and_right": sum(paper.right for paper in likely),
        "planted_everywhere": len(spread),
        "of_them_a_slice_named": sum(paper.ranking.causes[0].slice is not None for paper in spread),
        "wrong": [paper.text() for paper in papers if not paper.right],
        "time_against_ingest": round(sorted(ratios)[len(ratios) // 2], 3),
    }


def _one(seed: int, folder: Path) -> tuple[Paper, float]:
    planted = plant(seed, START)
    with Warehouse.open(folder / "facts.duckdb") as warehouse:
        begin = time.perf_counter()
        ingest(planted, warehouse, folder)
        middle = time.perf_counter()
        window = (planted.began, planted.onset, planted.until)
        ranking = rank(read(warehouse.cursor(), window, logged(planted), slo_ms=OBJECTIVE_MS))
        end = time.perf_counter()
    return Paper(seed, planted, ranking), (end - middle) / (middle - begin)
