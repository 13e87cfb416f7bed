"""What people do to silences from the Live page: audited with who and why, and refused with what is possible instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.store.state_rows import to_text
from jobs import silences
from jobs.deps import Deps


def end_silence(deps: Deps, now: datetime, actor: str, silence_id: str, reason: str) -> Mapping[str, Any]:
    """End a silence before its time: alerts are told again. Raises Refused when none of that name is in force."""
    row = silences.end(deps.state, silence_id, actor, reason, now)
    return {"silence_id": row.silence_id, "ended_at": None if row.ended_at is None else to_text(row.ended_at)}
