"""What must be seen from outside before a containment counts as done, per action: read-back, probes, and what was logged since.

- `rollback`: the state says ROLLED_BACK; every flag server serves the baseline to synthetic customers; nobody was exposed to the assistant since.
- `disable_execution`: the state says that execution is off; every flag server says so to synthetic customers; no workflow of the assistant's
  conversations acted since.
- `contain`: the state contains the categories; every flag server sends synthetic customers of each category to the baseline, and says why; none of
  them was exposed to the assistant since; and, as long as no person has switched execution on again, all of `disable_execution`.

"Since" leaves out the time in which clients may still go by what they had read (`watch.client_poll_seconds`), and ends only when every source has
told more than that. A server must answer from this version of the row or a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.assignment import CONTAINED, Unit
from controlplane.core.model import Rollout, RolloutState
from controlplane.store.queries import load
from controlplane.store.rollups import watermark
from controlplane.store.state_rows import from_text
from controlplane.store.utc import to_naive as utc
from jobs.deps import Deps

ROLLBACK, DISABLE, CONTAIN = "rollback", "disable_execution", "contain"
Entry = Mapping[str, Any]  # {action, done_at, verified_at, how}, and the categories of `contain`


@dataclass(frozen=True, slots=True)
class Verification:
    """Where the verification of a containment stands: `verified` None while it is pending, else whether it holds, and why not.

    `deadline`: from when on nothing may be logged that the containment forbids. `ended`: a person has let go of it, so there is nothing to verify.
    """

    verified: bool | None
    reason: str
    probes: int = 0
    action: str = ROLLBACK
    deadline: datetime | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Probing:
    """Synthetic customers, and what is wrong with an answer to one of them ("" for nothing)."""

    units: tuple[Unit, ...]
    wrong: Callable[[Mapping[str, Any]], str]


def check(deps: Deps, rollout: Rollout, entry: Entry) -> Verification:
    """Read-back, probes and log, in that order; the first that fails gives the reason."""
    action = str(entry["action"])
    deadline = from_text(str(entry["done_at"])) + timedelta(seconds=deps.policy.watch.client_poll_seconds)

    def found(verified: bool | None, reason: str, probes: int = 0, *, ended: bool = False) -> Verification:
        return Verification(verified, reason, probes, action, deadline, ended)

    current = deps.state.rollout()
    let_go, problem = _read_back(current, entry)
    if let_go:
        return found(None, let_go, ended=True)
    if problem or current is None:
        return found(False, problem or "read-back: the rollout is gone")
    probes = 0
    for probing in _probings(deps, current, entry):
        asked, wrong = _probe(deps, current, probing)
        probes += asked
        if wrong:
            return found(False, wrong, probes)
    if wrong := _logged(deps, current, entry, deadline):
        return found(False, wrong, probes)
    mark = watermark(deps.warehouse, 0)
    if mark is None or mark <= deadline:
        return found(None, f"waiting for records up to {deadline.isoformat()}", probes)
    return found(True, "read-back, probes and log agree", probes)


def refuted(deps: Deps, current: Rollout, entry: Entry) -> str:
    """What has been logged since a containment was verified though it may not be; "" for nothing, or where a person has let go of it."""
    let_go, problem = _read_back(current, entry)
    if let_go or problem:
        return ""
    deadline = from_text(str(entry["done_at"])) + timedelta(seconds=deps.policy.watch.client_poll_seconds)
    return _logged(deps, current, entry, deadline)


def _read_back(current: Rollout | None, entry: Entry) -> tuple[str, str]:
    """That a person has let go of the containment, and what is wrong with it; both "" where it stands."""
    if current is None:
        return "", "read-back: the rollout is gone"
    match entry["action"]:
        case "disable_execution":
            return ("execution was switched on again" if current.execution_enabled else ""), ""
        case "contain":
            gone = [name for name in entry.get("categories", ()) if name not in current.contained]
            return (f"{', '.join(map(repr, gone))} released again" if gone else ""), ""
        case _:
            good = current.state is RolloutState.ROLLED_BACK
            return "", "" if good else f"read-back: the rollout is {current.state}, not ROLLED_BACK"


def _probings(deps: Deps, rollout: Rollout, entry: Entry) -> Iterator[_Probing]:
    if entry["action"] == ROLLBACK:
        yield _Probing(tuple(_units(deps, rollout)), _not_baseline)
    if entry["action"] == CONTAIN:
        for number, name in enumerate(entry.get("categories", ())):
            yield _Probing(tuple(_units(deps, rollout, name, f"{number}-")), _not_contained)
    if entry["action"] == DISABLE or (entry["action"] == CONTAIN and not rollout.execution_enabled):
        yield _Probing(tuple(_units(deps, rollout)), _executes)


def _units(deps: Deps, rollout: Rollout, intent: str = "", place: str = "") -> Iterable[Unit]:
    """Synthetic customers; with an intent none of them is an employee or of high risk, so that only the intent keeps them from the assistant."""
    for number in range(deps.policy.watch.probes):
        employee = not place and number % 2 == 1
        yield Unit(f"probe-{rollout.rollout_id}-{place}{number}", employee=employee, intent=intent, low_risk=True)


def _not_baseline(answer: Mapping[str, Any]) -> str:
    return "" if answer["arm"] == "baseline" else f"serves {answer['arm']}"


def _not_contained(answer: Mapping[str, Any]) -> str:
    if answer["arm"] != "baseline":
        return f"serves {answer['arm']} in a contained category"
    reason = answer.get("ineligible_reason")
    return "" if reason == CONTAINED else f"sends a contained category to nobody's hands (reason: {reason or 'none'})"


def _executes(answer: Mapping[str, Any]) -> str:
    told = answer.get("execution_enabled")
    if told is None:
        return "does not tell whether workflows are executed"
    return "says that workflows are executed" if told else ""


def _probe(deps: Deps, rollout: Rollout, probing: _Probing) -> tuple[int, str]:
    if deps.probe is None or not deps.flag_urls:
        return 0, "no flag server is known to probe"
    probes = 0
    for url in deps.flag_urls:
        for unit in probing.units:
            try:
                answer = deps.probe(url, unit)
            except Exception as error:
                return probes, f"flag server {url} does not answer: {error}"
            probes += 1
            wrong = probing.wrong(answer)
            if int(answer["version"]) < rollout.version:
                wrong = wrong or "answers"
            if wrong:
                return probes, f"flag server {url} {wrong} from version {answer['version']} to {unit.user_id}"
    return probes, ""


def _logged(deps: Deps, rollout: Rollout, entry: Entry, deadline: datetime) -> str:
    """What was logged after the deadline though it may not be; "" for nothing."""
    after = {"deadline": utc(deadline)}
    with deps.warehouse.cursor() as cursor:

        def count(query: str, **more: Any) -> int:
            return int(cursor.execute(load(f"decisions/{query}"), after | more).fetchall()[0][0])

        if entry["action"] == ROLLBACK and (seen := count("exposures_after_cut")):
            return f"{seen} exposures to the assistant are logged after {deadline.isoformat()}"
        if entry["action"] == CONTAIN:
            names = list(entry.get("categories", ()))
            if seen := count("contained_exposures", categories=names):
                return f"{seen} exposures of {', '.join(map(repr, names))} to the assistant are logged after {deadline.isoformat()}"
        off = entry["action"] in (DISABLE, CONTAIN) and not rollout.execution_enabled
        if off and (seen := count("workflows_after_cut")):
            return f"{seen} workflows of the assistant were executed after {deadline.isoformat()}"
    return ""
