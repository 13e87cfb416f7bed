"""The metric catalogue: what every number of the product means, and how it is counted.

Rules
- One entry per metric: triggers, rollups and dashboards take unit, direction and maturity from here, so a number means the same everywhere.
- `family` says what is counted, and so which query counts it and which time places it: conversations by their start, requests and calls by
  their own time, evaluations by the time of the judged answer.
- `maturity` is how long after that time the label is final. Judging earlier favours the arm whose customers answer later.
- `comparable` says whether the two arms may be compared at all: the menu calls no model, so its tokens say nothing.
- `exact`: units are independent (one conversation per customer, arm, stage and week); else a guarantee is approximate, and alerts say so.
- A value is `scale * x / n` for a rate, `scale * total / n` for a mean or a ratio, `n` for a count; without data it is None, never 0. The delta of
  a comparable metric is the treated arm's value minus the control's.
"""

from __future__ import annotations

from types import MappingProxyType

from controlplane.core.metric_catalogue import ENTRIES
from controlplane.core.metric_model import ALL_SEGMENTS, CONTACT_WINDOW, Direction, DisplayKind, Family, Metric

__all__ = ["ALL_SEGMENTS", "CONTACT_WINDOW", "METRICS", "Direction", "DisplayKind", "Family", "Metric", "metric"]

METRICS = MappingProxyType({entry.name: entry for entry in ENTRIES})


def metric(name: str) -> Metric:
    """The metric of that name. Raises KeyError that lists the catalogue."""
    try:
        return METRICS[name]
    except KeyError:
        raise KeyError(f"no metric '{name}' in the catalogue; it has {', '.join(sorted(METRICS))}") from None
