"""`controlplane audit verify`: both hash chains recomputed, of the workspace or of an evidence pack, and compared with heads noted earlier."""

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


def pack_check(pack: Path, anchor: Path | None, *, replay: bool) -> tuple[dict[str, Any], list[str]]:
    """An evidence pack verified by itself, as `audit_check` tells it; `replay`: also its evidence, recomputed. Raises Refused for what is no pack."""
    from jobs.evidence_pack_verify import as_json, lines, verify_pack

    result, manifest = verify_pack(pack, None if anchor is None else read_anchor(anchor))
    value = as_json(result, manifest)
    told = lines(value)
    if replay:
        from jobs.evidence_pack_replay import replay_pack, replay_text

        value["replay"] = replay_pack(pack)
        value["ok"] = value["ok"] and value["replay"]["ok"]
        told = [*told, *replay_text(value["replay"])]
    return value, told


def read_anchor(path: Path) -> dict[str, str]:
    """The heads in a file that `audit verify --json` wrote; of a pack also the sha256 of its manifest, as "manifest"."""
    try:
        said = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
        found = {name: str(said["heads"][name]) for name in ("audit", "ledger")}
        return found | ({"manifest": str(said["manifest_sha256"])} if "manifest_sha256" in said else {})
    except OSError as error:
        fail(f"anchor {path} cannot be read: {error.strerror or error}", BAD_INPUT)
    except (ValueError, KeyError, TypeError, IndexError):
        fail(f"anchor {path} holds no heads: give the output of `controlplane audit verify --json`", BAD_INPUT)
