"""Counts of a block: the only data the engine sees.

`Counts` is one block of one stream; `checked_columns` is the same for arrays. Counts are numbers of units (or, with over-dispersed traffic, the
smaller effective numbers), so they are finite, not negative, and events never exceed units. A block that breaks this is a fault of the rollup and
is refused by name rather than betted on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.core.evidence.forms import FloatArray, Form

Levels = tuple[float, float, float, float, float]
NO_RATINGS: Levels = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Counts:
    """One closed block. What a form does not use stays 0; what is missing is 0, and an arm at 0 is empty.

    `nT, xT, nC, xC`: units and events of the treated and the control arm. `kT, kC`: units per rating 1..5. `share`: the configured treated share
    of the block's traffic (sample-ratio mismatch only).
    """

    nT: float = 0
    xT: float = 0
    nC: float = 0
    xC: float = 0
    kT: Levels = NO_RATINGS
    kC: Levels = NO_RATINGS
    share: float = 0

    def to_dict(self) -> dict[str, Any]:
        """The counts that are not zero, as plain numbers and lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {name: value for name, value in plain.items() if np.any(value)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Counts":
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()
        }
        return cls(**values)


def effective(units: float, events: float, icc: float) -> tuple[float, float]:
    """Units and events after the design effect `1 + (n - 1) icc` of an intra-block correlation `icc` in [0, 1].

    Approximate: it makes a bet timid where one cause hits many units of an arm at once. With icc = 0 nothing changes and the guarantee is exact.
    """
    if not 0.0 <= icc <= 1.0:
        raise ValueError(f"icc is {icc}; an intra-block correlation lies between 0 and 1")
    design = 1.0 + max(units - 1.0, 0.0) * icc
    return units / design, events / design


def stack_counts(form: Form, blocks: list[Counts]) -> dict[str, FloatArray]:
    """Columns of `form`, one row per stream: arrays `(N,)`, or `(N, 5)` for ratings, checked."""
    return checked_columns(form, {name: np.array([getattr(c, name) for c in blocks]) for name in form.columns})


def checked_columns(form: Form, stats: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
    """The columns of `form` as float arrays of one shape (ratings: plus a last axis of 5); ValueError names what is wrong."""
    missing = [name for name in form.columns if name not in stats]
    unknown = [name for name in stats if name not in form.columns]
    if missing or unknown:
        raise ValueError(
            f"{form.kind} needs exactly {', '.join(form.columns)}; missing: {missing}, not known: {unknown}"
        )
    columns = {name: np.asarray(stats[name], dtype=np.float64) for name in form.columns}
    _check_shapes(form, columns)
    for name, values in columns.items():
        if not np.all(np.isfinite(values)) or np.any(values < 0.0):
            raise ValueError(
                f"{form.kind}: {name} has a count that is negative, infinite or NaN; send 0 where nothing was counted"
            )
    for units, events in (("nT", "xT"), ("nC", "xC")):
        if events in columns and np.any(columns[events] > columns[units]):
            raise ValueError(
                f"{form.kind}: {events} exceeds {units} in a block; events must be counted among the units"
            )
    if "share" in columns and np.any(columns["share"] > 1.0):
        raise ValueError(f"{form.kind}: share exceeds 1; give the configured fraction of traffic")
    return columns


def _check_shapes(form: Form, columns: Mapping[str, FloatArray]) -> None:
    for name, levels in form.columns.items():
        if levels and columns[name].shape[-1:] != (levels,):
            raise ValueError(
                f"{form.kind}: {name} has shape {columns[name].shape}; its last axis must hold {levels} levels"
            )
    shapes = {values.shape for values in columns.values()}
    if len(shapes) != 1:
        listed = ", ".join(f"{name} {values.shape}" for name, values in columns.items())
        raise ValueError(f"{form.kind}: the columns must have one shape, got {listed}")
