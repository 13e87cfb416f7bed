"""A trade-off as a recorded decision: kept with the hashes of what it rests on, vouched for by the audit log, and made again on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controlplane.assistant.pricing import PriceTableError, load_prices
from controlplane.core.audit import canonical, sha256_text
from controlplane.settings import SettingsError
from controlplane.store.state import StateReader
from jobs.artefacts import keep
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.facts_query import facts_query
from jobs.refused import Refused
from jobs.tradeoff_command import ASSUMED, Assumptions, Question, Row, blocked, collect, judge, objective, question

KIND = "tradeoff"
EVENT = "tradeoff_recorded"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for; empty = the current rollout, its release, from its first to its newest record."""

    since: datetime | None = None
    until: datetime | None = None
    release: str = ""


def tradeoff(home: str | None, asked: Asked, assumptions: Assumptions, now: datetime) -> dict[str, Any]:
    """The trade-off of a window. A workspace without facts has no data. Raises SettingsError for a window that ends before it begins, or after
    `now`: ratings that are yet to come would count as never given."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        policy = policy_in_force(settings, state)
        rollout = state.rollout()
        release = asked.release or ("" if rollout is None else rollout.release)
        same = rollout is not None and rollout.release == release
        rollout_id = rollout.rollout_id if rollout is not None and same else ""
        since, until, hours = _window(home, asked, rollout_id, release, now)
        slo, limit = objective(policy)
        used = _with_objective(assumptions, slo, limit)
        what = question(policy, since, until, rollout_id, release, used)
        what = replace(what, logged_hours=hours, blocked=blocked(state, rollout if same else None))
        return answer(home, what, state, now) | {"policy_hash": policy.hash}


def assume(given: Mapping[str, Any], small_model: str, prices: Path | None) -> Assumptions:
    """What a person states, with the small model's price from a table. Raises SettingsError for a model that the table does not know."""
    if not small_model and prices is None:
        return Assumptions(**given)
    if not small_model or prices is None:
        raise SettingsError("--small-model and --prices go together: the name is looked up in the table")
    try:
        price = load_prices(prices).find(small_model)
    except PriceTableError as error:
        raise SettingsError(str(error)) from None
    if price is None:
        raise SettingsError(f"price table {prices} has no model {small_model!r}: name one that it knows")
    rates = (price.input_per_1k, price.cached_per_1k, price.output_per_1k)
    return Assumptions(**given, small_model=small_model, small_price=rates)


def left_at_default(used: Mapping[str, Any], stated: set[str]) -> list[str]:
    """The assumptions that nobody stated, with the figure that was used."""
    names = [name for name in ASSUMED if name not in stated and not (name == "small_ratio" and used["small_price"])]
    return [f"{ASSUMED[name]} {used[name]:g}" for name in names]


def _with_objective(given: Assumptions, slo: int | None, limit: float | None) -> Assumptions:
    return replace(
        given,
        slo_ms=given.slo_ms if given.slo_ms is not None else slo,
        slow_limit=given.slow_limit if given.slow_limit is not None else (limit if limit is not None else 0.05),
    )


def _window(
    home: str | None, asked: Asked, rollout: str, release: str, now: datetime
) -> tuple[datetime, datetime, float | None]:
    """As asked, else what the facts hold, with the hours of it from the first to the newest record; an empty workspace has an empty hour."""
    if asked.until is not None and asked.until > now:
        raise SettingsError(f"--until {asked.until.isoformat()} lies in the future: its ratings cannot be known yet")
    there = workspace_settings(home, must_exist=True).workspace.facts.exists()
    names: dict[str, str | int | datetime] = {"rollout": rollout, "release": release}
    first, last, _ = facts_query(home, "tradeoff/span", names)[0] if there else (None, None, 0)
    since = asked.since or (now - timedelta(hours=1) if first is None else datetime.fromisoformat(first))
    newest = now if last is None else datetime.fromisoformat(last) + timedelta(seconds=1)
    until = asked.until or max(newest, since + timedelta(seconds=1))
    if until <= since:
        raise SettingsError(
            f"the window ends at {until.isoformat()}, not after its begin {since.isoformat()}: change --since or --until"
        )
    since = since.replace(microsecond=0)
    if first is None:
        return since, until, None
    logged = min(until, newest) - max(since, datetime.fromisoformat(first).replace(microsecond=0))
    return since, until, max(logged / timedelta(hours=1), 0.0)


def answer(home: str | None, what: Question, state: StateReader, as_of: datetime) -> dict[str, Any]:
    """What is said, what was asked, and the hashes of what was read."""
    inputs = collect(home, what, state, as_of)
    return {
        "as_of": as_of.isoformat(),
        "question": what.to_dict(),
        "inputs": section_hashes(inputs),
        "inputs_hash": sha256_text(canonical(section_hashes(inputs))),
        **judge(what, inputs),
    }


def section_hashes(inputs: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """sha256 of each section of what was read."""
    return {name: sha256_text(canonical({"rows": rows})) for name, rows in sorted(inputs.items())}


def record(home: str | None, found: Mapping[str, Any], actor: str, path: str, now: datetime) -> str:
    """Keep a trade-off and say so in the audit log; its id. The same one is kept once: recording it again is refused."""
    settings = workspace_settings(home, must_exist=True)
    summary = {key: value for key, value in found.items() if key != "report"}
    said = {key: value for key, value in summary.items() if key != "as_of"}  # asked again later it is the same
    name = f"tradeoff-{sha256_text(canonical(said))[:12]}"
    with open_state(settings, now) as state:
        if any(row.artefact_id == name for row in state.artefacts(KIND)):
            raise Refused(f"{name} is recorded already")
        told = {key: summary[key] for key in ("verdict", "inputs_hash", "policy_hash")}
        reason = f"{summary['verdict']}: {summary['reason']}"
        keep(state, (name, KIND, path), summary, (EVENT, actor, reason), told, now)
    return name


def verify(home: str | None, name: str, now: datetime) -> dict[str, Any]:
    """Make a recorded trade-off again from its window. `differs` names what is no longer as it was; empty = the same.

    Raises Refused for an unknown id.
    """
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        rows = {row.artefact_id: row for row in state.artefacts(KIND)}
        if name not in rows:
            raise Refused(f"no trade-off {name!r} is recorded; there are {', '.join(rows) or 'none'}")
        kept = rows[name].summary
        vouched = state.vouched(EVENT, name)
        again = answer(home, Question.from_dict(kept["question"]), state, datetime.fromisoformat(kept["as_of"]))
    differs = [f"facts: {key}" for key, value in again["inputs"].items() if kept["inputs"].get(key) != value]
    differs += [
        f"said: {key}" for key in sorted(again) if key not in ("inputs", "inputs_hash") and kept.get(key) != again[key]
    ]
    if not any(said["result_hash"] == sha256_text(canonical(kept)) for said in vouched):
        differs.append("record: the audit log vouches for other content")
    return {"id": name, "same": not differs, "differs": differs, "verdict": kept["verdict"], "now": again["verdict"]}
