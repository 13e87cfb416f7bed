"""`controlplane audit verify PACK`: an evidence pack verified by itself, offline, with no workspace.

In this order: the manifest; every file against its hash; every line of every file, its order and its number; the two chains, hash by hash, from the
hash before them to the head that the manifest names; every record against the log that vouches for it; the evidence of every automatic decision; the
documents of weekly reviews. A heads file noted elsewhere (`--anchor`) shows what none of that can: a pack that was written anew from the start.

What is wrong is named by file and row. Nothing in the pack is trusted to have the right shape: a row that cannot be read is a problem, not a crash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from controlplane.core.audit import canonical, chain_hash, sha256_text
from controlplane.store.state_rows import from_text, to_text
from jobs.evidence_pack import KIND, SCHEMA
from jobs.evidence_pack_files import MANIFEST, Pack
from jobs.evidence_pack_records import CHAINS, record_of
from jobs.evidence_pack_vouch import Log, Problem, Vouching
from jobs.refused import Refused

SHOWN = 20
MOST_PROBLEMS = 1000  # of one file: a small zip can hold a billion empty lines
Fired = tuple[str, str, float]
Manifest = Mapping[str, Any]


@dataclass
class Verified:
    """What came of it."""

    manifest_sha256: str = ""
    problems: list[Problem] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    vouched: int = 0
    decisions: int = 0


def verify_pack(path: Path, anchor: Mapping[str, str] | None = None) -> tuple[Verified, dict[str, Any]]:
    """The result and the manifest. Raises Refused for a place that holds no pack. `anchor`: heads by chain, and "manifest" for its hash."""
    pack = Pack(path)
    try:
        manifest, result = read_manifest(pack)
        _files(pack, manifest, result)
        try:
            _content(pack, manifest, result)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            result.problems.append(
                Problem("records", "", f"a row has not the columns of its table ({type(error).__name__}: {error})")
            )
        if anchor:
            result.problems += _anchored(pack, manifest, result, anchor)
        return result, manifest
    finally:
        pack.close()


def read_manifest(pack: Pack) -> tuple[dict[str, Any], Verified]:
    """The manifest and its hash. Raises Refused where there is none that can be used."""
    if MANIFEST not in pack.names:
        raise Refused(f"{pack.path} has no {MANIFEST}: it is no evidence pack, or not all of one")
    written = pack.sha256(MANIFEST)
    try:
        text = pack.text(MANIFEST)
        manifest = json.loads(text)
        shaped = manifest["kind"] == KIND and _shaped(manifest) and text == f"{canonical(manifest)}\n"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"{pack.path}: {MANIFEST} cannot be read ({error})") from None
    if not shaped:
        raise Refused(f"{pack.path}: {MANIFEST} is not that of an evidence pack")
    if manifest.get("schema") != SCHEMA:
        raise Refused(
            f"{pack.path} has schema {manifest.get('schema')!r}, this program knows {SCHEMA}: use the program that wrote it"
        )
    return manifest, Verified(manifest_sha256=written.sha256)


def _shaped(manifest: Mapping[str, Any]) -> bool:
    """What the verification takes for granted of a manifest. Raises KeyError, TypeError, ValueError or AttributeError where it is otherwise."""
    files, chains, period = (manifest[name] for name in ("files", "chains", "period"))
    texts = all(to_text(from_text(period[name])) == period[name] for name in ("since", "until"))
    heads = all(isinstance(chains[name][head], str) for name in CHAINS for head in ("head_before", "head_end"))
    return texts and heads and all(isinstance(one, dict) for one in (*files.values(), *manifest["rollouts"].values()))


def _files(pack: Pack, manifest: Manifest, result: Verified) -> None:
    """Every file that the manifest names is there with its hash, and no other."""
    named = manifest["files"]
    for name in sorted(named):
        if name not in pack.names:
            result.problems.append(Problem(name, "", "the file is gone"))
            continue
        found = pack.sha256(name)
        if found.sha256 != named[name].get("sha256"):
            result.problems.append(
                Problem(name, "", f"its content is not what the manifest says ({found.bytes:,} bytes)")
            )
    for name in sorted(pack.names - set(named) - {MANIFEST}):
        result.problems.append(Problem(name, "", "the manifest does not name this file: it was put in"))
    for name in pack.twice:
        result.problems.append(Problem(name, "", "the zip has it twice"))
    for name in pack.links:
        result.problems.append(Problem(name, "", "is a link, and not followed: a pack has files"))


def _content(pack: Pack, manifest: Manifest, result: Verified) -> None:
    log, fired = Log(), set[Fired]()
    for name in CHAINS:
        for row in _chain(pack, manifest, name, result):
            if name == "audit":
                log.add(row)
            else:
                fired |= set(_fired(row))
    vouching = Vouching(log, str(manifest["period"]["since"]), str(manifest["period"]["until"]))
    for file in sorted(manifest["files"]):
        record = _record_name(file)
        if record is None or record in CHAINS:
            continue
        for key, row in _rows(pack, manifest, file, result):
            vouching.see(record, file, key, row)
            if record == "artefacts_review":
                result.problems += _review(pack, file, key, row, log)
    result.problems += [*vouching.problems, *vouching.missing()]
    result.vouched = vouching.checked
    result.notes += [
        f"{n} row(s) of {name} are vouched for by the log outside of the period"
        for name, n in sorted(vouching.before.items())
    ]
    result.notes += [f"{one}: recorded by a program whose log did not vouch for it yet" for one in vouching.unvouched]
    _decisions(log, fired, manifest, result)
    for one in manifest.get("missing_documents", ()):
        result.notes.append(f"documents of {one['artefact']} were not there when the pack was written: {one['reason']}")
    for name, chain in manifest["chains"].items():
        if chain.get("broken"):
            result.problems.append(
                Problem(
                    f"records/{name}.jsonl",
                    str(chain["broken"]["seq"]),
                    f"broken already in the workspace: {chain['broken']['reason']}",
                )
            )


def _record_name(file: str) -> str | None:
    inside = file.startswith("records/") and file.endswith(".jsonl")
    return file.removeprefix("records/").removesuffix(".jsonl") if inside else None


def _rows(pack: Pack, manifest: Manifest, file: str, result: Verified) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, row) of a file, in strictly ascending order of the key, as many as the manifest says. What does not hold is a problem."""
    record = record_of(str(_record_name(file)))
    before: tuple[Any, ...] | None = None
    n, wrong = 0, len(result.problems) + MOST_PROBLEMS
    for number, row in pack.rows(file):
        n += 1
        if len(result.problems) > wrong:
            result.problems.append(Problem(file, f"{number} (line)", "so much is wrong that the rest is not read"))
            return
        if row is None or any(name not in row for name in record.key):
            result.problems.append(
                Problem(file, f"{number} (line)", "cannot be read as a row in the form that the export writes")
            )
            continue
        key = tuple(row[name] for name in record.key)
        said = "/".join(str(one) for one in key)
        if before is not None and not before < key:
            result.problems.append(Problem(file, said, "stands behind a later one, or is there twice"))
        before = key
        yield said, row
    result.rows[file] = n
    if n != manifest["files"][file].get("rows"):
        result.problems.append(
            Problem(file, "", f"has {n} rows, the manifest says {manifest['files'][file].get('rows')}")
        )


def _chain(pack: Pack, manifest: Manifest, name: str, result: Verified) -> Iterator[dict[str, Any]]:
    """Rows of a chain while they hold; the first that does not is named, and nothing behind it is believed."""
    file, said = f"records/{name}.jsonl", manifest["chains"][name]
    expected, whole = str(said["head_before"]), True
    for key, row in _rows(pack, manifest, file, result):
        if not whole:
            continue
        body = {column: value for column, value in row.items() if column not in ("seq", "prev_hash", "hash")}
        if row.get("prev_hash") != expected:
            result.problems.append(
                Problem(file, key, "does not follow the row before it (a row was removed, inserted or reordered)")
            )
            whole = False
        elif row.get("hash") != chain_hash(expected, body):
            result.problems.append(Problem(file, key, "its content does not match its hash (the row was changed)"))
            whole = False
        else:
            expected = str(row["hash"])
            yield row
    result.heads[name] = expected
    if whole and expected != said["head_end"]:
        result.problems.append(Problem(file, "", "ends before the head that the manifest names (its end was cut off)"))


def _fired(row: Mapping[str, Any]) -> Iterator[Fired]:
    for reading in json.loads(row["readings"]):
        if reading.get("fired") and reading.get("log_e") is not None:
            yield str(row["rollout_id"]), str(reading["segment"]), round(float(reading["log_e"]), 9)


def _decisions(log: Log, fired: set[Fired], manifest: Manifest, result: Verified) -> None:
    """The evidence of every automatic decision lies in a block of the pack, or in one before it."""
    for seq, rollout, evidence in log.decided:
        key = (rollout, str(evidence.get("segment", "all")), round(float(evidence["log_e"]), 9))
        if key in fired:
            result.decisions += 1
        elif manifest["rollouts"].get(rollout, {}).get("blocks_before", 0):
            result.notes.append(
                f"audit row {seq}: the block with its evidence is not in the pack; the rollout has blocks before the period"
            )
        else:
            result.problems.append(
                Problem(
                    "records/ledger.jsonl",
                    "",
                    f"has no block with the evidence of the decision in audit row {seq} ({rollout})",
                )
            )


def _review(pack: Pack, file: str, key: str, row: Mapping[str, Any], log: Log) -> Iterator[Problem]:
    """A weekly review: its document has the hash that the log vouches for."""
    name = str(row["artefact_id"])
    found = [one["document_hash"] for one in log.said.get(("review_pinned", name), []) if "document_hash" in one]
    if not found:
        return  # said already: nothing vouches for it
    document = f"files/{str(row['path']).rsplit('.', 1)[0]}.json"
    if document not in pack.names:
        yield Problem(document, "", f"the document of review {name} is not in the pack")
        return
    try:
        content = sha256_text(canonical(json.loads(pack.text(document))))
    except (ValueError, RecursionError):
        content = ""
    if content not in found:
        yield Problem(
            document, "", "is not the document that was pinned: its hash is not the one that the audit log vouches for"
        )


def _anchored(pack: Pack, manifest: Manifest, result: Verified, anchor: Mapping[str, str]) -> Iterator[Problem]:
    """What was noted elsewhere: the hash of this manifest, or heads that the pack's chains have to contain."""
    noted = anchor.get("manifest")
    if noted and noted != result.manifest_sha256:
        yield Problem(
            MANIFEST,
            "",
            f"is not the one that was noted ({noted[:12]}): the pack was written anew, or it is another one",
        )
    for name in CHAINS:
        wanted, chain = anchor.get(name), manifest["chains"][name]
        if noted or not wanted or wanted in (chain["head_before"], result.heads.get(name)):
            continue
        if not any(row is not None and row.get("hash") == wanted for _, row in pack.rows(f"records/{name}.jsonl")):
            yield Problem(
                f"records/{name}.jsonl",
                "",
                f"the head {wanted[:12]} that was noted earlier is not in it (it lies outside of the period, or the chain was rewritten)",
            )


def as_json(result: Verified, manifest: Manifest) -> dict[str, Any]:
    """The result as one object."""
    return {
        "ok": not result.problems,
        "period": manifest["period"],
        "manifest_sha256": result.manifest_sha256,
        "rows": result.rows,
        "heads": result.heads,
        "vouched": result.vouched,
        "decisions": result.decisions,
        "problems": [asdict(one) for one in result.problems],
        "notes": result.notes,
    }


def lines(value: Mapping[str, Any]) -> list[str]:
    """The result for people; what is wrong first."""
    found = [Problem(**one).text() for one in value["problems"][:SHOWN]]
    if len(value["problems"]) > SHOWN:
        found.append(f"... and {len(value['problems']) - SHOWN} more (--json has all)")
    found += [f"note: {one}" for one in value["notes"]]
    period = f"{value['period']['since'][:16]} to {value['period']['until'][:16]}"
    if value["ok"]:
        found.append(
            f"verified: {sum(value['rows'].values()):,} rows of {period}; both chains whole, {value['vouched']:,} records vouched for by the audit "
            f"log, evidence of {value['decisions']} automatic decision(s) present"
        )
    else:
        found.append(f"NOT verified: {len(value['problems'])} problem(s) in the pack of {period}")
    return [printable(line) for line in (*found, f"manifest sha256 {value['manifest_sha256']}")]


def printable(line: str) -> str:
    """The line with what moves a cursor or begins another line written out: what is quoted from a pack must not speak for the program."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
