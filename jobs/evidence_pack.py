"""`controlplane audit export`: the records of a period as an evidence pack that anybody can verify without the workspace.

Rules
- The export reads and changes nothing. Of the same state the same period gives the same bytes, so two copies can be compared by their hash.
- Everything is read at one moment, row by row: a long history needs no more memory than a short one.
- A part of a chain is given with the hash before it and the hash at its end. The chain from its beginning to there is verified while exporting: what
  is broken is exported all the same, named, and the exit code is 1.
- A document that a record names and that is gone is named in the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from controlplane.core.audit import GENESIS, canonical
from controlplane.settings import Settings, SettingsError
from controlplane.store import state_tables as t
from controlplane.store.state_export import Row, StateStream, decoded
from controlplane.store.state_rows import from_text, to_text
from jobs.compose import open_state, workspace_settings
from jobs.console import stderr
from jobs.evidence_pack_files import MANIFEST, PackWriter, writing
from jobs.evidence_pack_governance import Collector, page, retention, table
from jobs.evidence_pack_readme import readme
from jobs.evidence_pack_records import (
    CHAINS,
    LEFT_OUT,
    RECORDS,
    Record,
    Scope,
    artefact_conditions,
    artefact_record,
    rows_of,
    scope_of,
    table_of,
    without_customers,
)
from jobs.facts_query import facts_query
from jobs.refused import Refused

SCHEMA = 1
KIND = "controlplane evidence pack"
DOCUMENTS = (".html", ".json")
Progress = Callable[[float], None]
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
WRITTEN = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}.*)?$")


def period(since: str, until: str) -> tuple[datetime, datetime]:
    """[since, until) of two options. A date without a time is the whole day: from its begin, or to its end. Raises SettingsError."""
    begin, end = _moment("--from", since), _moment("--to", until)
    if DAY.fullmatch(until.strip()):
        try:
            end += timedelta(days=1)
        except OverflowError:
            raise SettingsError(f"--to {until} is beyond the last day there is: choose an earlier one") from None
    if begin >= end:
        raise SettingsError(f"--from {since} is not before --to {until}: swap them, or choose a longer period")
    return begin, end


def _moment(option: str, text: str) -> datetime:
    try:
        if not WRITTEN.match(text.strip()):
            raise ValueError(text)  # a week such as 2026-W10 would be taken for its Monday
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(f"{option} {text!r} is no date: write YYYY-MM-DD or YYYY-MM-DDTHH:MM (UTC)") from None


def export(home: str | None, since: datetime, until: datetime, out: Path, now: datetime) -> dict[str, Any]:
    """Write the pack and return its manifest's figures. Raises SettingsError without a workspace, Refused for a place that is taken."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now):  # brings an older schema up to date, as every command does
        pass
    return export_state(settings, _facts(home, settings, since, until), since, until, out)


def export_state(
    settings: Settings,
    facts: Mapping[str, Any],
    since: datetime,
    until: datetime,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The same of a state that is up to date, with what the facts say of themselves; `progress` is told the part that is written, 0 to 1."""
    state = StateStream(settings.state_url)
    try:
        with writing(out) as writer, state.moment():
            work = _Export(state, settings, writer, scope_of(state, since, until), progress)
            manifest = work.run(facts, since, until)
            written = writer.text(MANIFEST, f"{canonical(manifest)}\n")
    finally:
        state.close()
    broken = {name: one["broken"] for name, one in manifest["chains"].items() if one["broken"] is not None}
    return {
        "ok": not broken,
        "pack": str(out),
        "manifest_sha256": written.sha256,
        "period": manifest["period"],
        "rows": {name: one["rows"] for name, one in manifest["files"].items() if "rows" in one},
        "files": len(manifest["files"]),
        "heads": {name: one["head_end"] for name, one in manifest["chains"].items()},
        "broken": broken,
        "missing_documents": manifest["missing_documents"],
        "personal_data": manifest["personal_data"],
    }


class _Export:
    """One export: rows go through here once, to their file and to the table for governance."""

    def __init__(
        self, state: StateStream, settings: Settings, writer: PackWriter, scope: Scope, progress: Progress | None
    ) -> None:
        self._progress = progress
        self._state, self._settings, self._writer, self._scope = state, settings, writer, scope
        self._collector = Collector()
        self._files: dict[str, dict[str, Any]] = {}
        self._what: list[tuple[str, str]] = []
        self._missing: list[dict[str, str]] = []
        self._personal = {"replaced": 0, "in_chains": 0}

    def run(self, facts: Mapping[str, Any], since: datetime, until: datetime) -> dict[str, Any]:
        """Write everything but the manifest, and return it."""
        for record in RECORDS.values():
            if record.table in t.metadata.tables:
                self._rows(record, rows_of(self._state, record, self._scope))
        for kind in sorted(self._state.values(t.artefacts.c.kind, (t.artefacts.c.created_at < self._scope.until,))):
            self._artefacts(str(kind))
        manifest = self._manifest(facts)
        rows = table(self._collector, facts, self._retention(facts, until))
        self._document("governance.json", canonical({"period": manifest["period"], "table": rows}) + "\n")
        self._document("governance.html", page("Records that governance asks for", manifest["period"], rows))
        self._document("README.txt", readme(manifest, self._what))
        return manifest

    def _rows(self, record: Record, rows: Iterator[Row]) -> None:
        if self._progress is not None:
            self._progress(min(len(self._files) / len(RECORDS), 0.9))
        elif stderr.is_terminal:
            stderr.print(f"writing {record.file}", highlight=False)
        written = self._writer.rows(record.file, self._seen(record, rows))
        found = self._collector.files.get(record.name)
        self._files[record.file] = {
            **asdict(written),
            "rows": 0 if found is None else found.rows,
            "first": None if found is None else found.first,
            "last": None if found is None else found.last,
            "key": list(record.key),
        }
        self._what.append((record.file, record.what))

    def _seen(self, record: Record, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            self._collector.see(record.name, row)
            if record.chain:
                named = without_customers(decoded(row, ("payload", "counts", "readings")))[1]
                self._personal["in_chains"] += named  # it cannot be taken out of a chain, only told
                yield row
                continue
            clean, replaced = without_customers(row)
            self._personal["replaced"] += replaced
            yield clean

    def _artefacts(self, kind: str) -> None:
        record = artefact_record(kind)
        order = [t.artefacts.c[name] for name in record.key]
        rows = self._state.stream(t.artefacts, artefact_conditions(kind, self._scope), order)
        named: list[tuple[str, str]] = []

        def noted() -> Iterator[Row]:
            for row in rows:
                named.append((str(row["artefact_id"]), str(row["path"])))
                yield decoded(row, record.json)

        self._rows(record, noted())
        for name, path in named:
            if path:
                self._documents(name, path)

    def _documents(self, artefact: str, path: str) -> None:
        """The documents of an artefact: a file with those beside it of the same name, or a folder. Nothing outside of the workspace."""
        home = self._settings.workspace.home.resolve()
        place = (home / path).resolve()
        if not place.is_relative_to(home):
            self._missing.append({"artefact": artefact, "reason": "it lies outside of the workspace"})
            return
        around = place if place.is_dir() else place.parent
        inside = sorted(one for one in around.iterdir() if one.is_file()) if around.is_dir() else []
        own = [one for one in inside if one.suffix in DOCUMENTS and (place.is_dir() or one.stem == place.stem)]
        if not own:
            self._missing.append({"artefact": artefact, "reason": "there is no document any more"})
        for one in own:
            name = f"files/{one.relative_to(home).as_posix()}"
            if name not in self._files:
                self._files[name] = asdict(self._writer.copy(name, one)) | {"artefact": artefact}

    def _document(self, name: str, text: str) -> None:
        self._files[name] = asdict(self._writer.text(name, text))

    def _manifest(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "program_version": version("controlplane"),
            "state_schema": self._state.schema(),
            "workspace": {"kind": self._settings.workspace.kind() or "unknown"},
            "period": {"since": self._scope.since, "until": self._scope.until},
            "chains": {name: self._chain(name) for name in CHAINS},
            "rollouts": {name: self._rollout(name) for name in sorted(self._scope.rollouts)},
            "facts": dict(facts),
            "files": self._files,
            "left_out": dict(LEFT_OUT),
            "missing_documents": self._missing,
            "personal_data": self._personal,
        }

    def _chain(self, name: str) -> dict[str, Any]:
        record = RECORDS[name]
        rows = table_of(record)
        first, last = self._scope.segments[name]
        time = rows.c[record.time]
        before = self._state.head_before(rows, time, self._scope.since, first, last)
        there = first <= last
        end = self._state.values(rows.c.hash, (rows.c.seq == last,)) if there else {before}
        inside = (rows.c.seq >= first, rows.c.seq <= last)
        outside = self._state.count(rows, (*inside, (time < self._scope.since) | (time >= self._scope.until)))
        upto = last if there else int(max(self._state.values(rows.c.seq, (time < self._scope.until,)), default=0))
        found = self._state.broken(rows, upto)
        return {
            "first_seq": first if there else None,
            "last_seq": last if there else None,
            "head_before": before,
            "head_end": str(next(iter(end))),
            "begins_here": before == GENESIS,
            "rows_outside_of_period": outside,
            "broken": None if found is None else asdict(found),
        }

    def _rollout(self, name: str) -> dict[str, int]:
        """How many blocks of the rollout lie before the pack: a replay needs them from the first one."""
        c = t.ledger.c
        first, last = self._scope.segments["ledger"]
        before = c.seq < first if first <= last else c.closed_at < self._scope.since
        return {"blocks_before": self._state.count(t.ledger, (c.rollout_id == name, before))}

    def _retention(self, facts: Mapping[str, Any], until: datetime) -> dict[str, Any]:
        kinds = facts.get("kinds", {})
        oldest = min((one["oldest"] for one in kinds.values() if one["oldest"] is not None), default=None)
        seen = [one["newest"] for one in kinds.values() if one["newest"] is not None]
        seen += self._state.values(t.audit.c.at, (t.audit.c.at < to_text(until),))
        as_of = min(until, max((from_text(str(one)) for one in seen), default=until))
        ends = {}
        for name, table_ in (("audit", t.audit.c.at), ("start", t.stages.c.started_at)):
            ends[name] = min(self._state.values(table_, (table_ < to_text(until),)), default=None)
        first = {name: None if one is None else from_text(str(one)) for name, one in ends.items()}
        return retention(as_of, None if oldest is None else from_text(oldest), first["audit"], first["start"])


def _facts(home: str | None, settings: Settings, since: datetime, until: datetime) -> dict[str, Any]:
    """What the facts say of themselves: kinds with oldest, newest and number in the period, or a note why not."""
    if not settings.workspace.facts.exists():
        return {"note": "unknown: the workspace has no facts"}
    rows = facts_query(home, "pack/facts", {"since": since, "until": until})
    return {"kinds": {name: {"oldest": oldest, "newest": newest, "n": n} for name, oldest, newest, n in rows}}


def text(value: Mapping[str, Any]) -> str:
    """The result for people."""
    lines = [f"{value['pack']}: {sum(value['rows'].values()):,} rows in {value['files']} files"]
    lines += [
        f"  {n:>8,}  {name.removeprefix('records/').removesuffix('.jsonl')}" for name, n in value["rows"].items() if n
    ]
    lines += [f"chain {name} is BROKEN at row {one['seq']}: {one['reason']}" for name, one in value["broken"].items()]
    lines += [f"missing: documents of {one['artefact']} ({one['reason']})" for one in value["missing_documents"]]
    lines.append(f"manifest sha256 {value['manifest_sha256']}: note it elsewhere, it vouches for the whole pack")
    return "\n".join(lines)


def refuse_pack_in_workspace(out: Path, home: Path) -> None:
    """A pack inside of the workspace would be taken for its own."""
    if out.resolve().is_relative_to(home.resolve()):
        raise Refused(f"{out} lies in the workspace: write the pack outside of it")
