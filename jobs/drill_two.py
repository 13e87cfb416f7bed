"""Two control processes on one workspace, in a drill: who has the lease writes, who lost it is fenced off."""

from __future__ import annotations

from datetime import timedelta

from controlplane.core.rollout import Event
from controlplane.store.state import StateWriter
from controlplane.store.state_claims import FencedOff
from controlplane.store.state_rows import AuditEntry, Commit
from jobs import actions
from jobs.drill_stage import Stage
from jobs.lease import LEASE, LEASE_TTL

FIRST, SECOND = "first control process", "second control process"


def two_processes(on: Stage) -> list[str]:
    """The first has the lease; a second is turned away while it lives and takes over when it has been silent. The first, awake again, may not write.

    From here on the second one is the control process of the drill. What went otherwise, in words.
    """
    first, found = on.deps.state, []
    first.take_lease(LEASE, FIRST, on.now, LEASE_TTL)
    second = StateWriter(on.settings.state_url)
    try:
        second.take_lease(LEASE, SECOND, on.now + LEASE_TTL / 2, LEASE_TTL)
        found.append("a second control process was let in while the first one lived")
    except FencedOff:
        pass
    second.take_lease(LEASE, SECOND, on.now + LEASE_TTL + timedelta(seconds=1), timedelta(hours=1))
    version = first.version()
    for write in (
        lambda: first.commit(Commit(audit=(AuditEntry(FIRST, "drill", "late write", "it lost the lease"),)), on.now),
        lambda: actions.act(first, on.policy, Event.HOLD, FIRST, "it lost the lease", on.now),
    ):
        try:
            write()
            found.append("a control process that lost the lease still wrote")
        except FencedOff:
            pass
    if second.version() != version:
        found.append("a refused write changed the state")
    on.deps.state = second
    on.also_close(second.close)
    return found
