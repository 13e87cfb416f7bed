"""A workspace with a data set, criteria and an assistant of which only the records are known: evaluation without building one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.jobs.command_line import Cli

CRITERIA = """schema = 1
name = "quality"
owner = "ada"
{datasets}
[[criteria]]
metric = "intent_accuracy"
comparison = "at_least"
limit = {limit}
[[criteria]]
metric = "misrouting_rate"
comparison = "at_most"
limit = 0.2
min_n = 10
"""
ROWS = 60
ACTOR = ("--actor", "ada")
REASON = ("--reason", "for the test")


def rows(n: int = ROWS, start: int = 0) -> list[dict[str, Any]]:
    """Labelled rows; every third must reach a person."""
    found = []
    for i in range(start, start + n):
        route = {"mandatory_route": "fraud"} if i % 3 == 0 else {"mandatory_route": "none"}
        topic = {"slices": {"topic": f"t{i % 4}"}}
        found.append({"id": f"r{i:03d}", "text": f"question {i}", "expected_intent": f"i{i % 5}", **route, **topic})
    return found


def replies(n: int = ROWS, wrong: Iterable[int] = (), start: int = 0) -> list[dict[str, Any]]:
    """Records of an assistant that is right about every row but the `wrong` ones."""
    bad = set(wrong)
    return [
        {
            "conversation_id": f"r{i:03d}",
            "turn": 1,
            "answer": "an answer",
            "intent_pred": "other" if i in bad else f"i{i % 5}",
            "intent_conf": 0.9,
            "escalated": i % 3 == 0,
            "safety_route": "fraud" if i % 3 == 0 else None,
            "latency_ms": 100 + i,
            "cost_usd": 0.001,
        }
        for i in range(start, start + n)
    ]


def write(path: Path, found: Iterable[Mapping[str, Any]]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def criteria(path: Path, limit: float = 0.8, datasets: str = 'datasets = ["support"]') -> Path:
    """A criteria file."""
    path.write_text(CRITERIA.format(limit=limit, datasets=datasets))
    return path


class Bench:
    """Commands for evaluation on one workspace, with files beside it."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.folder = cli.home.parent
        self.registered = 0

    def add(self, n: int = ROWS, name: str = "support") -> str:
        """A data set of `n` rows; its version."""
        return str(
            self.cli.json("dataset", "add", name, write(self.folder / f"{name}{n}.jsonl", rows(n)), *ACTOR)["version"]
        )

    def register(self, limit: float = 0.8, datasets: str = 'datasets = ["support"]') -> str:
        """Registered criteria; their hash. From the second time on with a reason."""
        path = criteria(self.folder / "criteria.toml", limit, datasets)
        why = REASON if self.registered else ()
        self.registered += 1
        return str(self.cli.json("eval", "register", path, *ACTOR, *why)["criteria_hash"])

    def run(
        self, criteria_hash: str, *more: str, wrong: Iterable[int] = (), model: str = "m1", n: int = ROWS, code: int = 0
    ) -> Any:
        """One evaluation by records; its JSON."""
        return self.cli.json(*self.words(criteria_hash, *more, wrong=wrong, model=model, n=n), code=code)

    def words(
        self,
        criteria_hash: str,
        *more: str,
        wrong: Iterable[int] = (),
        model: str = "m1",
        n: int = ROWS,
        data: str = "support",
    ) -> tuple[Any, ...]:
        """The words of `eval run`."""
        file = write(self.folder / f"replies-{model}.jsonl", replies(n, wrong))
        return (
            *("eval", "run", "--data", data, "--criteria", criteria_hash, "--replies", file),
            *("--label", f"release {model}", "--artefact", f"model={model}", *more),
        )

    def start(self, model: str = "m1", code: int = 0) -> str:
        """`release start` under the default policy; what it said."""
        said = self.cli(
            "release", "start", "v1", "--artefact", f"model={model}", "--actor", "ana", "--author", "ben", code=code
        )
        return said.everything
