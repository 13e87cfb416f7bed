"""What the Governance page asks of the control process: any row of the audit log, whether both chains hold, and an evidence pack to take away.

All of it only reads the record. A pack is written below `exports/` of the workspace, the newest few of them are kept, and nothing in a workspace
names one, so none gets into another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from typing import Any

from controlplane.core.audit import GENESIS, READINGS, verify
from controlplane.store import state_tables as t
from controlplane.store.queries import load
from controlplane.store.state_export import StateStream
from controlplane.store.state_rows import to_text
from jobs.deps import Deps
from jobs.drill_record import last_drilled
from jobs.evidence_pack import export_state, period
from jobs.evidence_pack_verify import as_json, verify_pack
from jobs.facts_query import with_literals
from jobs.sql_command import select

LIMIT = 200
EXPORTS, KEPT_PACKS = "exports", 3
STEP_ROWS = 500
Progress = Callable[[float, str], None]
Plain = Mapping[str, Any]
_SHOWN = ("seq", "at", "actor", "event", "subject", "reason", "hash")


def _nothing(_part: float, _text: str) -> None:
    """Nobody watches."""


def audit(
    deps: Deps,
    _now: datetime,
    *,
    actor: str = "",
    event: str = "",
    subject: str = "",
    words: str = "",
    since: str = "",
    until: str = "",
    before: int | None = None,
    limit: int = 50,
) -> Plain:
    """A page of the audit log, newest first: `rows`, how many match in `total`, and whether there are older ones (`more`). At most `LIMIT` rows.

    since, until: days or times as `audit export` takes them, either may be empty; before: the lowest `seq` of the page before. Who read which
    conversation is not among them: `readers` tells that.
    """
    filters = {name: value for name, value in (("actor", actor), ("event", event), ("subject", subject)) if value}
    return _page(deps, filters, (since, until), words, before, limit, READINGS)


def readers(
    deps: Deps,
    _now: datetime,
    *,
    event: str = "conversation_read",
    actor: str = "",
    words: str = "",
    since: str = "",
    until: str = "",
    before: int | None = None,
    limit: int = 50,
) -> Plain:
    """Who read which conversation, or examples of several (`event`: one of READINGS), newest first, as `audit` tells its rows."""
    if event not in READINGS:
        raise ValueError(f"event: one of {', '.join(sorted(READINGS))}")
    filters = {"event": event} | ({"actor": actor} if actor else {})
    return _page(deps, filters, (since, until), words, before, limit, ())


def _page(
    deps: Deps,
    filters: Mapping[str, str],
    span: tuple[str, str],
    words: str,
    before: int | None,
    limit: int,
    quiet: Collection[str],
) -> Plain:
    begin, end = _span(*span)
    size = min(max(limit, 1), LIMIT)
    rows, total = deps.state.audit_page(filters, begin, end, words.strip(), before, size + 1, quiet)
    page = rows[:size]
    told = [{**{name: row[name] for name in _SHOWN}, "payload": json.loads(row["payload"])} for row in page]
    return {"rows": told, "total": total, "more": len(rows) > len(page), **deps.state.audit_names()}


def _span(since: str, until: str) -> tuple[str, str]:
    """The text of both times, "" where one is open. Raises SettingsError for what is no date."""
    begin, end = period(since or "1970-01-01", until or "9000-01-01")
    return (to_text(begin) if since else "", to_text(end) if until else "")


def check(deps: Deps, now: datetime, *, noted: str = "", progress: Progress = _nothing) -> Plain:
    """Both hash chains recomputed from their first row, read at one moment: `ok`, and for each chain its rows, head and first break.

    noted: a head of either chain that somebody wrote down earlier, elsewhere. `noted_in` says which chain has it; None: neither, so the end of a
    chain was cut off or it was written anew, and the record does not hold.
    """
    told, found_in = {}, None
    with closing(StateStream(deps.settings.state_url)) as state, state.moment():
        tables = {"audit": t.audit, "ledger": t.ledger}
        total = sum(state.count(table, ()) for table in tables.values())
        done = 0
        for name, table in tables.items():
            seen: dict[str, Any] = {"rows": 0, "head": GENESIS, "noted": False}
            broken = verify(_watched(state, table, seen, noted, done, total, progress))
            done += seen["rows"]
            rows = state.count(table, ())
            found_in = name if seen["noted"] else found_in
            told[name] = {
                "rows": rows,
                "head": seen["head"],
                "broken": None if broken is None else asdict(broken),
            }
    whole = all(one["broken"] is None for one in told.values())
    return {
        "ok": whole and (not noted or found_in is not None),
        "chains": told,
        "noted": noted,
        "noted_in": found_in,
        "at": now,
    }


def _watched(
    state: StateStream, table: Any, seen: dict[str, Any], noted: str, done: int, total: int, progress: Progress
) -> Iterator[Plain]:
    for row in state.stream(table, (), (table.c.seq,)):
        seen["rows"] += 1
        seen["head"] = row["hash"]
        seen["noted"] = seen["noted"] or row["hash"] == noted
        if seen["rows"] % STEP_ROWS == 0:
            progress((done + seen["rows"]) / max(total, 1), f"{done + seen['rows']:,} of {total:,} rows")
        yield row


def drills(deps: Deps, _now: datetime) -> Plain:
    """The newest run of every drill that was ever recorded, by name."""
    return {"drills": {name: one.plain() for name, one in last_drilled(deps.state).items()}}


def pack(deps: Deps, _now: datetime, *, since: str, until: str, progress: Progress = _nothing) -> Plain:
    """The records of a period as a zip below `exports/`, verified by itself. The same state and period give the same bytes."""
    begin, end = period(since, until)
    folder = deps.home / EXPORTS
    folder.mkdir(exist_ok=True)
    out = folder / f"evidence-{begin:%Y%m%dT%H%M}-{end:%Y%m%dT%H%M}.zip"
    draft = out.with_name(f"making-{out.name}")
    draft.unlink(missing_ok=True)
    made = export_state(deps.settings, _facts(deps, begin, end), begin, end, draft, lambda part: progress(part, "rows"))
    progress(0.95, "verifying the pack")
    checked = as_json(*verify_pack(draft, None))
    size = draft.stat().st_size
    draft.replace(out)
    _keep_newest(folder)
    rows = sum(made["rows"].values())
    plain = {name: made[name] for name in ("manifest_sha256", "files", "heads", "broken", "missing_documents")}
    return {
        **plain,
        "path": out.relative_to(deps.home).as_posix(),
        "bytes": size,
        "rows": rows,
        "ok": made["ok"] and checked["ok"],
        "since": begin,
        "until": end,
    }


def _facts(deps: Deps, since: datetime, until: datetime) -> dict[str, Any]:
    """What the facts say of themselves, from the open warehouse."""
    cursor = deps.warehouse.cursor()
    try:
        rows = select(cursor, with_literals(load("pack/facts"), {"since": since, "until": until}))[1]
    finally:
        cursor.close()
    return {"kinds": {name: {"oldest": oldest, "newest": newest, "n": n} for name, oldest, newest, n in rows}}


def _keep_newest(folder: Any) -> None:
    packs = sorted(folder.glob("evidence-*.zip"), key=lambda path: path.stat().st_mtime_ns)
    for old in packs[:-KEPT_PACKS]:
        old.unlink(missing_ok=True)
