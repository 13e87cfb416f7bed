"""What every page begins with: the configuration, the newest snapshot, the colours; or an empty state when there is nothing to show."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from controlplane.store.snapshot import NoSnapshot, SnapshotRef
from dashboards import config, data, person, ui
from dashboards.person import NOBODY, Person
from dashboards.theme import Palette, palette
from dashboards.values import State


@dataclass(frozen=True)
class View:
    """One look at the newest snapshot."""

    config: config.Config
    ref: SnapshotRef
    state: State
    colours: Palette
    person: Person = NOBODY

    @property
    def at(self) -> tuple[str, str]:
        """What loaders are keyed by: the snapshot's path and key."""
        return str(self.ref.path), self.ref.key

    @property
    def baseline(self) -> str:
        """The name of what the assistant is compared with."""
        return self.state.policy.baseline if self.state.policy else "baseline"


def look() -> View | NoSnapshot:
    """The newest snapshot, or why there is none. A file that is pruned between finding and reading is looked for once more."""
    chosen = config.load()
    found: SnapshotRef | NoSnapshot = NoSnapshot("nothing was looked for")
    for _ in range(2):
        found = data.find(chosen.snapshots)
        if isinstance(found, NoSnapshot):
            return found
        try:
            state = data.state(str(found.path), found.key)
        except NoSnapshot as error:
            found = error
            continue
        return View(chosen, found, state, colours(), person.current(chosen))
    assert isinstance(found, NoSnapshot)
    return found


def view() -> View:
    """The newest snapshot; without one the page shows why and what to do, and stops."""
    found = look()
    if isinstance(found, NoSnapshot):
        ui.empty("Nothing has been published yet.", str(found))
        st.stop()
    return found


def colours() -> Palette:
    """The palette of the theme that the browser shows."""
    return palette(st.context.theme.type)
