"""What the Review page asks of the control process: sign a pinned weekly review in a person's name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jobs import weekly_sign
from jobs.deps import Deps


def sign(deps: Deps, now: datetime, *, review_id: str, verdict: str, reason: str, actor: str) -> dict[str, Any]:
    """Sign it (agree or object, `reason` is the note) and file its page again. Raises Refused as `weekly_sign.sign` does."""
    found = weekly_sign.sign(deps.state, review_id, actor, verdict, reason, now)
    weekly_sign.file_page(deps.reports, found)
    return {"review_id": found.review_id, "document_hash": found.document_hash, "signatures": len(found.signatures)}
