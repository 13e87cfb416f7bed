"""Data sets, versioned by content: what a version is, how two differ. Pure; files and registration live elsewhere.

Rules
- A version is the sha256 over the canonical rows in the order of their ids. The order in a file does not count: every row is a
  conversation of its own with a customer of its own, so no result depends on it; the same rows always have the same version.
- A row is known by its id. Rows with the same id and other content are *changed*, in the order of ids.
- The name is a label: it may move to a new version, whose parent is the one before.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from controlplane.core.audit import canonical, sha256_text
from controlplane.evaluation.cases import Case, case_of, distinct

HEADER = "controlplane data set 1\n"
OF_INCIDENT = "incident:"  # origin of rows that come from an incident


@dataclass(frozen=True)
class DataSet:
    """The cases of one version, sorted by id."""

    cases: tuple[Case, ...]

    @classmethod
    def of(cls, cases: Iterable[Case], place: str = "data set") -> DataSet:
        """The data set of these cases, repeated rows once. Raises `CaseError` for an id that stands for two rows."""
        return cls(distinct(cases, place))

    @cached_property
    def text(self) -> str:
        """The canonical file: one canonical JSON row a line, sorted by id."""
        return "".join(f"{canonical(case.row())}\n" for case in self.cases)

    @cached_property
    def version(self) -> str:
        """sha256 of the canonical rows."""
        return sha256_text(HEADER + self.text)

    def summary(self) -> dict[str, object]:
        """What is in it: rows by what they ask for, by origin, by topic and, where there are any, by the incident they come from."""
        asks: Counter[str] = Counter()
        for case in self.cases:
            asks["intent"] += case.expected_intent is not None
            asks["person"] += case.must_reach_person
            asks["facts"] += bool(case.facts)
            asks["goal"] += case.goal is not None
            asks["out of scope"] += case.out_of_scope
        origins = Counter(case.slice("origin") for case in self.cases)
        topics = Counter(case.slices.get("topic", "") for case in self.cases)
        incidents = Counter(case.origin.partition(":")[2] for case in self.cases if case.origin.startswith(OF_INCIDENT))
        return {
            "rows": len(self.cases),
            "asks": {key: count for key, count in asks.items() if count},
            "origins": dict(sorted(origins.items(), key=str)),
            "topics": {key or "(none)": count for key, count in sorted(topics.items())},
            **({"incidents": dict(sorted(incidents.items()))} if incidents else {}),
        }


def read_text(text: str, place: str) -> DataSet:
    """The data set of canonical lines. Raises `CaseError` naming the line."""
    rows = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    return DataSet.of((case_of(json.loads(line), f"{place}:{number}") for number, line in rows), place)


@dataclass(frozen=True, slots=True)
class Difference:
    """Ids of rows that only the later set has, only the earlier one has, and that both have with other content."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def difference(before: DataSet, after: DataSet) -> Difference:
    """What changed from `before` to `after`."""
    old = {case.id: case.row() for case in before.cases}
    new = {case.id: case.row() for case in after.cases}
    return Difference(
        added=tuple(key for key in new if key not in old),
        removed=tuple(key for key in old if key not in new),
        changed=tuple(key for key in new if key in old and new[key] != old[key]),
    )
