"""`controlplane audit verify`: both hash chains recomputed, and compared with heads that were noted earlier."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from controlplane.core.audit import head, verify, verify_anchor
from jobs.compose import open_state, workspace_settings
from jobs.console import BAD_INPUT, fail


def audit_check(home: str | None, anchor: Path | None, now: datetime) -> tuple[dict[str, Any], list[str]]:
    """Rows, heads and first break of each chain, and the same in a line each. A wrong anchor file ends with exit code 2."""
    settings = workspace_settings(home, must_exist=True)
    noted = {} if anchor is None else read_anchor(anchor)
    with open_state(settings, now) as state:
        chains = state.chains()
    breaks = {
        name: verify(rows) or verify_anchor(rows, noted[name]) if name in noted else verify(rows)
        for name, rows in chains.items()
    }
    value = {
        "ok": not any(breaks.values()),
        "rows": {name: len(rows) for name, rows in chains.items()},
        "heads": {name: head(rows) for name, rows in chains.items()},
        "breaks": {name: None if found is None else asdict(found) for name, found in breaks.items()},
    }
    lines = [
        f"{name}: {len(chains[name])} rows, "
        + ("whole" if found is None else f"BROKEN at row {found.seq}: {found.reason}")
        for name, found in breaks.items()
    ]
    return value, lines


def read_anchor(path: Path) -> dict[str, str]:
    """The heads in a file that `audit verify --json` wrote."""
    try:
        heads = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["heads"]
        return {name: str(heads[name]) for name in ("audit", "ledger")}
    except OSError as error:
        fail(f"anchor {path} cannot be read: {error.strerror or error}", BAD_INPUT)
    except (ValueError, KeyError, TypeError, IndexError):
        fail(f"anchor {path} holds no heads: give the output of `controlplane audit verify --json`", BAD_INPUT)
