"""Named, versioned reference windows, and which one the policy asks for.

A window is kept as an artefact of kind "drift_reference" and vouched for by an audit row. Adding one under a name that exists makes a new version;
what an analysis said with an older one stays as it was, since it keeps name, version and times. `accepted`, `previous` and `year` are rules, not
windows: they are worked out for each analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
from sqlalchemy.exc import IntegrityError

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.model import Arm, RolloutState
from controlplane.settings import SettingsError
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_rows import AuditEntry, Commit
from jobs.deps import Deps
from jobs.drift_windows import Window, iso, one_arm, previous, rows, year_before
from jobs.moments import moment
from jobs.refused import Refused

KIND = "drift_reference"
EVENT = "drift_reference_added"
RULES = ("accepted", "previous", "year")
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Reference:
    """What the present is compared with. `version` 0: worked out by a rule. `note`: why it is another window than the rule's name says."""

    name: str
    window: Window
    version: int = 0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        span = {"since": iso(self.window.since), "until": iso(self.window.until)}
        chosen = {"release": self.window.release, "arm": self.window.arm}
        return {"name": self.name, "version": self.version or None, **span, **chosen, "note": self.note}


def add(
    deps: Deps,
    now: datetime,
    *,
    name: str,
    since: str,
    until: str,
    release: str | None,
    arm: str | None,
    actor: str,
    reason: str,
) -> dict[str, Any]:
    """Keep a window under a name; its summary. Raises SettingsError for a name or span that cannot be used, Refused for one without rows."""
    name = name.strip()
    if name in RULES or not name or len(name) > LONGEST_NAME or not name.isprintable() or "@" in name:
        raise SettingsError(
            f"{name!r} cannot name a window: take at most {LONGEST_NAME} letters, without @; {', '.join(RULES)} are rules"
        )
    window = Window(name, moment(since, "--since"), moment(until, "--until"), arm, release)
    if window.since >= window.until:
        raise SettingsError(
            f"the window ends at {iso(window.until)}, not after its begin {iso(window.since)}: change --since or --until"
        )
    with deps.warehouse.cursor() as cursor:
        found = rows(cursor, window)
    if not found:
        raise Refused(f"there are no interactions in that window{_of(window)}: nothing can be compared with it")
    version = 1 + sum(row.summary["name"] == name for row in deps.state.artefacts(KIND))
    summary = {"name": name, "version": version, **window.to_dict(), "release": release, "interactions": found}
    summary |= {"actor": actor, "reason": reason, "added_at": iso(now)}
    _record(deps.state, f"{KIND}:{name}@{version}", summary, actor, reason, now)
    return summary


def _of(window: Window) -> str:
    return "".join(f" of {kind} {of}" for kind, of in (("release", window.release), ("arm", window.arm)) if of)


def _record(state: StateWriter, key: str, summary: Mapping[str, Any], actor: str, reason: str, now: datetime) -> None:
    try:
        state.record_artefact(key, KIND, "", summary, now)
    except IntegrityError:
        raise Refused(
            f"{key} was added by somebody else just now: look at it with `controlplane drift reference list`"
        ) from None
    said = {"summary_hash": sha256_text(canonical(dict(summary)))}
    state.commit(Commit(audit=[AuditEntry(actor, EVENT, key, reason, said)]), now)


def known(state: StateReader) -> list[dict[str, Any]]:
    """All named windows, oldest first."""
    return [dict(row.summary) for row in sorted(state.artefacts(KIND), key=lambda row: row.created_at)]


def choose(deps: Deps, cursor: duckdb.DuckDBPyConnection, current: Window, name: str) -> tuple[Reference, Window]:
    """The reference of that name or rule for a window, and the window as it is compared (of one arm; cut where it would overlap).

    Raises SettingsError for a name that nobody registered.
    """
    if name in RULES:
        return _ruled(deps, cursor, current, name)
    wanted, _, version = name.partition("@")
    found = [row for row in known(deps.state) if row["name"] == wanted and version in ("", str(row["version"]))]
    if not found:
        names = sorted({row["name"] for row in known(deps.state)})
        raise SettingsError(
            f"no reference window is called {name!r}: there are {', '.join([*RULES, *names])}; "
            "`controlplane drift reference add` keeps one"
        )
    row = found[-1]
    window = Window(
        f"{row['name']}@{row['version']}",
        moment(row["since"], "since"),
        moment(row["until"], "until"),
        row["arm"] or current.arm,
        row["release"],
    )
    if current.arm is None and row["arm"]:
        current = replace(current, arm=row["arm"])
    return _same_arm(deps, cursor, Reference(row["name"], window, row["version"]), current)


def _ruled(deps: Deps, cursor: duckdb.DuckDBPyConnection, current: Window, rule: str) -> tuple[Reference, Window]:
    if rule == "accepted":
        found = accepted(deps.state, current)
        if found is None:
            note = "no release is complete yet: the span before instead"
            return _same_arm(deps, cursor, Reference("accepted", previous(current), note=note), current)
        if found.until >= current.until:
            note = f"release {found.release} was not complete before this window: the span before instead"
            return _same_arm(deps, cursor, Reference("accepted", previous(current), note=note), current)
        note = ""
        if found.until > current.since:
            note = "the current window begins where the reference ends"
            current = replace(current, since=found.until)
        arm = current.arm or str(Arm.ASSISTANT)
        return Reference("accepted", replace(found, arm=arm), note=note), replace(current, arm=arm)
    window = year_before(current) if rule == "year" else previous(current)
    return _same_arm(deps, cursor, Reference(rule, window), current)


def _same_arm(
    deps: Deps, cursor: duckdb.DuckDBPyConnection, found: Reference, current: Window
) -> tuple[Reference, Window]:
    """Both windows of one arm where none was named and there is enough of it."""
    if current.arm is not None or found.window.arm is not None:
        return found, current
    arm = one_arm(cursor, found.window, current, deps.policy.drift.min_rows)
    return replace(found, window=replace(found.window, arm=arm)), replace(current, arm=arm)


def accepted(state: StateReader, current: Window) -> Window | None:
    """What the newest complete release that was not rolled back saw, from its start until it was complete; None while there is none."""
    gone = set(state.rolled_back().values())
    best: Window | None = None
    for rollout_id in state.rollout_ids():
        stages = state.stages(rollout_id)
        complete = [row for row in stages if row.state is RolloutState.COMPLETE]
        if not complete or complete[0].release in gone:
            continue
        begun = next(row.started_at for row in stages if row.release == complete[0].release)
        window = Window(
            f"accepted release {complete[0].release}",
            begun.replace(microsecond=0),
            complete[0].started_at,
            current.arm,
            complete[0].release,
        )
        if window.since < window.until and (best is None or window.until > best.until):
            best = window
    return best
