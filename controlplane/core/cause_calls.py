"""Calls of models and dependencies that got worse at the onset: which, how much, with the numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.core.cause_effects import Effects
from controlplane.core.cause_model import MEASURES, State
from controlplane.core.cause_words import shift_words


def quiet(effects: Effects, name: str) -> bool:
    """Whether enough calls of a dependency are known to say that neither their failures nor their latency changed."""
    found = (effects.call_shift("dependency", name), effects.call_latency("dependency", name))
    return all(shift is None or shift.state is State.STILL for shift in found) and any(found)


@dataclass(frozen=True, slots=True)
class Hurt:
    """A model or dependency whose calls got worse: by how many margins, how clearly, and the numbers."""

    name: str
    margins: float
    z: float
    text: str

    @property
    def strength(self) -> float:
        """How much it counts: whole from one margin on."""
        return min(self.margins, 1.0)


def hurt_calls(effects: Effects, kind: str) -> list[Hurt]:
    """Models or dependencies that fail more often or take longer, the strongest and clearest first."""
    found = []
    for name in effects.called(kind):
        fails, takes = effects.call_shift(kind, name), effects.call_latency(kind, name)
        said = []
        for shift, what, words in ((fails, "failed", "failed calls"), (takes, "latency", "latency")):
            if shift is not None and shift.state is State.MOVED and shift.value > 0:
                text = shift_words(words, shift, MEASURES[what])
                said.append((shift.value / MEASURES[what].margin, shift.z, text))
        if said:
            found.append(Hurt(name, max(said)[0], max(said)[1], "; ".join(text for _, _, text in said)))
    return sorted(found, key=lambda item: (-item.margins, -item.z, item.name))
