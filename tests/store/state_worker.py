"""A process that works on a state database, for tests that need several at once. Run as a script: ROLE URL [ARGUMENTS].

Roles: `migrate`; `race N` tries N decisions, each on the version it has just read, and prints how many it won; `append NAME N` writes N audit
rows and ledger blocks; `claim OWNER N` claims N slots and prints those it got; `spin` writes whole decisions until it is killed and prints
each version after its commit.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from controlplane.core.policy import Policy, parse
from controlplane.core.rollout import ActorKind, Change, Event, apply, start
from controlplane.settings import shipped_policy
from controlplane.store.state import StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, LaneState, LedgerEntry, NewMessage

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)


def ledger_entry(number: int, lane: str = "60s+0s") -> LedgerEntry:
    opened = T0 + timedelta(minutes=number)
    return LedgerEntry("r1", "policy", lane, opened, 60, number, [{"nT": number}], [{"trigger": "a", "fired": False}])


def first(policy: Policy) -> Commit:
    """The start of a rollout."""
    change = Change(Event.START, ActorKind.PERSON, "begin", T0, rollout_id="r1", release="v1", release_hash="h1")
    audit = AuditEntry("ann", "start", "r1", "begin")
    return Commit(rollout=start(change, policy), expected_version=0, stage_event="start", audit=(audit,))


def whole_decision(state: StateWriter, policy: Policy) -> Commit:
    """The next decision on the rollout as it stands, with one row of everything that a decision may write."""
    now = state.rollout()
    assert now is not None
    event = Event.ENABLE_EXECUTION if not now.execution_enabled else Event.DISABLE_EXECUTION
    after = apply(now, Change(event, ActorKind.PERSON, "toggle", T0 + timedelta(seconds=now.version)), policy)
    number = after.version
    return Commit(
        ledger=(ledger_entry(number),),
        lanes=(LaneState("60s+0s", T0 + timedelta(minutes=number + 1), {"version": number}),),
        rollout=after,
        expected_version=now.version,
        stage_event=str(event),
        audit=(AuditEntry("ann", str(event), "r1", "toggle", {"version": number}),),
        messages=(NewMessage(f"m{number}", "alert", {"version": number}, f"i{number}"),),
        incident=IncidentRow(f"i{number}", "r1", "v1", "open", "error", "t", "a", T0),
    )


def migrate(state: StateWriter) -> None:
    state.migrate(T0)


def race(state: StateWriter, attempts: str) -> None:
    policy, won = parse(shipped_policy("default")), 0
    for _ in range(int(attempts)):
        try:
            state.commit(whole_decision(state, policy), T0)
        except LostRace:
            continue
        won += 1
    print(won)


def append(state: StateWriter, name: str, rows: str) -> None:
    for number in range(int(rows)):
        entry = AuditEntry(name, "note", "r1", f"{name} {number}")
        state.commit(Commit(ledger=(ledger_entry(number, lane=name),), audit=(entry,)), T0)


def claim(state: StateWriter, owner: str, slots: str) -> None:
    got = [n for n in range(int(slots)) if state.claim_run("job", f"s{n:03}", owner, T0, timedelta(minutes=1))]
    print(*got)


def spin(state: StateWriter) -> None:
    policy = parse(shipped_policy("default"))
    while True:
        commit = whole_decision(state, policy)
        state.commit(commit, T0)
        assert commit.rollout is not None
        print(commit.rollout.version, flush=True)


ROLES = {"migrate": migrate, "race": race, "append": append, "claim": claim, "spin": spin}

if __name__ == "__main__":
    writer = StateWriter(sys.argv[2])
    ROLES[sys.argv[1]](writer, *sys.argv[3:])
    writer.close()
