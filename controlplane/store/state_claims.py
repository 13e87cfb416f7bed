"""Who may work: claims of scheduled runs, and leases with a fencing token. Statements inside the writer's transactions.

A run claims `(job, slot)`: one owner gets it; a claim that has expired and is not done may be taken over. A lease is an
exclusive role (the writer); its token rises when it changes hands, and every write transaction checks that it still holds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from controlplane.store import state_tables as t
from controlplane.store.state_rows import from_text, to_text

RUNS_KEPT = timedelta(days=7)


class FencedOff(RuntimeError):
    """Another process holds the writer lease now; this one must stop writing."""


def claim_run(connection: Connection, job: str, slot: str, owner: str, now: datetime, lease: timedelta) -> bool:
    """Claim a slot of a job; False when another owner has it or it is done. Claims of long ago are forgotten."""
    c = t.runs.c
    connection.execute(delete(t.runs).where(c.job == job, c.lease_until < to_text(now - RUNS_KEPT)))
    row = connection.execute(select(t.runs).where(c.job == job, c.slot == slot)).first()
    values = {"owner": owner, "lease_until": to_text(now + lease)}
    if row is None:
        connection.execute(insert(t.runs).values(job=job, slot=slot, **values))
        return True
    if row.done_at is not None or from_text(row.lease_until) > now:
        return False
    connection.execute(update(t.runs).where(c.job == job, c.slot == slot).values(**values))
    return True


def take_lease(connection: Connection, name: str, owner: str, now: datetime, ttl: timedelta) -> int:
    """Take or renew a lease; its token. Raises FencedOff while another owner holds it."""
    c = t.leases.c
    row = connection.execute(select(t.leases).where(c.name == name)).first()
    until = to_text(now + ttl)
    if row is None:
        connection.execute(insert(t.leases).values(name=name, owner=owner, token=1, lease_until=until))
        return 1
    if row.owner != owner and from_text(row.lease_until) > now:
        raise FencedOff(f"the lease '{name}' is held by {row.owner} until {row.lease_until}")
    token: int = row.token + (row.owner != owner)
    connection.execute(update(t.leases).where(c.name == name).values(owner=owner, token=token, lease_until=until))
    return token
