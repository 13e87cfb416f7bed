"""What differs between two versions of acceptance criteria: criterion by criterion, line by line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from controlplane.core.acceptance import Criteria, Criterion


@dataclass(frozen=True, slots=True)
class Difference:
    """One criterion, `owner` or `data set NAME` that differs. `kind`: added, removed or changed; `fields`: old and new value by name."""

    name: str
    kind: str
    fields: Mapping[str, tuple[Any, Any]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "kind": self.kind, "fields": {key: list(pair) for key, pair in self.fields.items()}}

    def text(self) -> str:
        """One line for people."""
        if not self.fields:
            return f"{self.name}: {self.kind}"
        told = ", ".join(f"{key} was {_shown(old)}, is {_shown(new)}" for key, (old, new) in self.fields.items())
        return f"{self.name}: {told}"


def differences(before: Criteria, after: Criteria) -> list[Difference]:
    """What differs in the lines that a release must keep: criteria by their label, in the order of the names."""
    old, new = ({item.label: item for item in criteria.criteria} for criteria in (before, after))
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            there = new.get(name) or old[name]
            line = {
                key: value for key, value in _plain(there).items() if key in ("metric", "comparison", "limit", "margin")
            }
            pairs = {
                key: (None, value) if name in new else (value, None) for key, value in line.items() if value is not None
            }
            found.append(Difference(name, "added" if name in new else "removed", pairs))
        elif old[name] != new[name]:
            pairs = {key: (value, _plain(new[name])[key]) for key, value in _plain(old[name]).items()}
            found.append(Difference(name, "changed", {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}))
    if before.owner != after.owner:
        found.append(Difference("owner", "changed", {"owner": (before.owner, after.owner)}))
    return found


def dataset_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """What differs in the data-set versions that criteria are registered for."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            kind = "added" if old is None else "removed" if new is None else "changed"
            found.append(Difference(f"data set {name}", kind, {"version": (old, new)}))
    return found


def _plain(item: Criterion) -> dict[str, Any]:
    found = {field.name: getattr(item, field.name) for field in fields(Criterion)}
    return found | {"comparison": str(item.comparison), "slices": list(item.slices)}


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text
