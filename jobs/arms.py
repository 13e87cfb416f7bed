"""Are the arms what the log says? A swapped or mislabelled arm turns every verdict round, so it is looked for twice.

- *Served*: at start-up and after each write, synthetic customers on both sides of the share, and one who must go to a person, ask every flag
  server; each must be served the arm that `controlplane.core.assignment` computes from the same row.
- *Logged*: the newest exposures of real customers that name this rollout and this version of the flag must agree with the salted hash. What a
  client draws by itself does not name them and is not accused.

A mismatch holds the ramp, with an example. A flag server that does not answer, or still serves an older version, is given `watch.verify_seconds`
after the write; a newer version is looked at with the next heartbeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.assignment import Unit, bucket, decide_exposure
from controlplane.core.model import Arm, Rollout, RolloutState
from controlplane.core.policy import Policy
from controlplane.store.queries import load
from controlplane.store.utc import to_naive as utc
from jobs.deps import Deps

NEWEST = 200
TRIES = 20_000
SKEW = timedelta(hours=1)  # by which a producer's clock may be behind; older records are not searched


def swapped(deps: Deps, rollout: Rollout, now: datetime) -> str:
    """What is wrong with the arms, with an example; "" when nothing is, or nothing is known against them."""
    if not deps.policy.validity.swapped_arms or rollout.state is RolloutState.ROLLED_BACK:
        return ""
    return served_wrongly(deps, rollout, now) or logged_wrongly(deps, rollout)


def synthetic(rollout: Rollout, policy: Policy) -> Iterator[Unit]:
    """Synthetic customers, the same for one version of the row: as many on each side of the share as `watch.probes` allows, and an exclusion.

    A side that the share leaves empty has none.
    """
    yield Unit(f"arms-{rollout.rollout_id}-person", mandatory_person=True)
    wanted = {True: max(1, policy.watch.probes // 2), False: max(1, policy.watch.probes // 2)}
    employee = policy.stages[rollout.stage].audience == "employees"
    for number in range(TRIES):
        key = f"arms-{rollout.rollout_id}-{rollout.version}-{number}"
        side = bucket(policy.assignment.salt, key) < rollout.share
        if wanted[side]:
            wanted[side] -= 1
            yield Unit(key, employee=employee, low_risk=True)
        if not any(wanted.values()):
            return


def served_wrongly(deps: Deps, rollout: Rollout, now: datetime) -> str:
    """What a flag server serves against the salted hash; looked at once per version of the row and process."""
    if deps.probe is None or deps.arms_seen == (rollout.rollout_id, rollout.version):
        return ""
    patience = timedelta(seconds=deps.policy.watch.verify_seconds)
    late = abs(now - rollout.updated_at) > patience
    for url in deps.flag_urls:
        for unit in synthetic(rollout, deps.policy):
            try:
                answer = deps.probe(url, unit)
            except Exception as error:  # whatever it is, it is a server that cannot be vouched for
                return f"flag server {url} does not answer: {error}" if late else ""
            version, arm = int(answer["version"]), str(answer["arm"])
            if version > rollout.version:
                return ""
            if version < rollout.version:
                return f"flag server {url} still serves version {version}, not {rollout.version}" if late else ""
            expected = decide_exposure(rollout, deps.policy, unit, now, now).arm
            if arm != str(expected):
                return f"flag server {url} serves {arm} to {unit.user_id}, the assignment says {expected}"
    deps.arms_seen = (rollout.rollout_id, rollout.version)
    return ""


def logged_wrongly(deps: Deps, rollout: Rollout) -> str:
    """An exposure of this version that was logged with the other arm than the salted hash gives."""
    since = utc(rollout.updated_at - SKEW)
    named = {"rollout_id": rollout.rollout_id, "flag_version": rollout.version, "newest": NEWEST, "since": since}
    with deps.warehouse.cursor() as cursor:
        return wrong_among(cursor.execute(load("decisions/newest_exposures"), named).fetchall(), rollout, deps.policy)


def wrong_among(rows: Sequence[Sequence[Any]], rollout: Rollout, policy: Policy) -> str:
    """What is wrong with exposures (id, customer, arm) that name this version of the row, with an example; "" when they agree with the hash."""
    wrong = []
    for exposure_id, user_id, variant in rows:
        treated = bucket(policy.assignment.salt, user_id) < rollout.share
        expected = Arm.ASSISTANT if treated else Arm.BASELINE
        if variant != str(expected):
            wrong.append((exposure_id, variant, expected))
    if not wrong:
        return ""
    exposure_id, variant, expected = wrong[0]
    return (
        f"{len(wrong)} of the newest {len(rows)} exposures of version {rollout.version} are logged with the other arm than the assignment "
        f"gives: {exposure_id} says {variant}, not {expected}"
    )
