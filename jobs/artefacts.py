"""A job's result as an artefact that the audit log vouches for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import AuditEntry, Commit


def keep(
    state: StateWriter,
    artefact: tuple[str, str, str],
    summary: Mapping[str, Any],
    audit: tuple[str, str, str],
    said: Mapping[str, Any],
    now: datetime,
) -> None:
    """Record an artefact (id, kind, path), then the audit row (event, actor, reason) with `said` and the hash of the summary as `result_hash`."""
    (name, kind, path), (event, actor, reason) = artefact, audit
    state.record_artefact(name, kind, path, summary, now)
    payload = {**said, "result_hash": sha256_text(canonical(dict(summary)))}
    state.commit(Commit(audit=[AuditEntry(actor, event, name, reason, payload)]), now)
