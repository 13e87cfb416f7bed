"""Pinned reviews as people meet them: found by id, checked against the audit log, signed, corrected, and filed as a page with its signatures.

A signature is an audit row of its own (`review_signed`) that names the hash of the document it signs; the document never changes. Who may sign is
named by the policy that the review was judged by (`[programme] owners`); without names, anybody may. The newest signature of a person counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.weekly_diff import differences
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_evaluation import ArtefactRow
from controlplane.store.state_rows import AuditEntry, Commit
from jobs.compose import registered_policy
from jobs.console import stderr
from jobs.files import write_whole
from jobs.refused import Refused
from jobs.weekly import EVENT, KIND

SIGNED = "review_signed"
LATEST = "latest"
VERDICTS = ("agree", "object")


@dataclass(frozen=True, slots=True)
class Kept:
    """A pinned review with what is known of it: the hash of its content, whether the audit log vouches for it, and by what it was corrected."""

    document: dict[str, Any]
    document_hash: str
    vouched: bool
    signatures: tuple[dict[str, Any], ...]
    corrected_by: str
    changed: tuple[dict[str, Any], ...]  # against the version that it corrects

    @property
    def review_id(self) -> str:
        """YYYY-Www-vN."""
        return str(self.document["review_id"])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "review_id": self.review_id,
            "document": self.document,
            "document_hash": self.document_hash,
            "vouched": self.vouched,
            "signatures": list(self.signatures),
            "corrected_by": self.corrected_by,
            "changed": list(self.changed),
        }


def rows(state: StateReader) -> list[ArtefactRow]:
    """All pinned reviews, by week and version; what was begun and never vouched for is not pinned, and left out."""
    found = [row for row in state.artefacts(KIND) if state.vouched(EVENT, row.artefact_id)]
    return sorted(found, key=lambda row: (str(row.summary["week"]), int(row.summary["version"])))


def find(state: StateReader, review_id: str) -> Kept:
    """A pinned review by its id, its week (the newest version), or "latest". Raises Refused for one that is not there, with those that are."""
    there = rows(state)
    if not there:
        raise Refused("no review is pinned yet: `controlplane review weekly` pins the last full week")
    matching = [row for row in there if review_id in (row.artefact_id, row.summary["week"])]
    if review_id == LATEST:
        matching = there
    if not matching:
        names = ", ".join(row.artefact_id for row in there[-8:])
        raise Refused(f"no review {review_id!r} is pinned; there are {names}")
    row = matching[-1]
    document = dict(row.summary)
    document_hash = sha256_text(canonical(document))
    vouched = any(said.get("document_hash") == document_hash for said in state.vouched(EVENT, row.artefact_id))
    before = next((one.summary for one in there if one.artefact_id == document["corrects"]), None)
    return Kept(
        document,
        document_hash,
        vouched,
        tuple(signatures(state, row.artefact_id)),
        next((one.artefact_id for one in there if one.summary["corrects"] == row.artefact_id), ""),
        tuple(differences(before, document)) if before is not None else (),
    )


def signatures(state: StateReader, review_id: str) -> list[dict[str, Any]]:
    """The newest signature of each person, in the order in which they signed: at, actor, verdict, note, document_hash."""
    found: dict[str, dict[str, Any]] = {}
    for row in state.audit_rows():
        if row["event"] == SIGNED and row["subject"] == review_id:
            said = _payload(row["payload"])
            found.pop(row["actor"], None)
            found[row["actor"]] = {
                "at": row["at"],
                "actor": row["actor"],
                "verdict": said.get("verdict", "agree"),
                "note": row["reason"],
                "document_hash": said.get("document_hash", ""),
            }
    return list(found.values())


def _payload(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else json.loads(str(value))


def sign(state: StateWriter, review_id: str, actor: str, verdict: str, note: str, now: datetime) -> Kept:
    """Sign the newest version of a review. Raises Refused for an unknown or corrected one, one whose content is not what was pinned, a person whom
    the policy does not name, or the same signature again."""
    found = find(state, review_id)
    if verdict not in VERDICTS:
        raise Refused(f"{verdict!r} is no verdict: one of {', '.join(VERDICTS)}")
    if found.corrected_by:
        raise Refused(f"{found.review_id} was corrected by {found.corrected_by}: read and sign that one")
    if not found.vouched:
        raise Refused(
            f"the content of {found.review_id} is not what was pinned: see `controlplane review verify {found.review_id}`"
        )
    owners = registered_policy(state, found.document["policy"]["hash"]).programme.owners
    if owners and actor not in owners:
        raise Refused(
            f"{actor} may not sign: policy '{found.document['policy']['name']}' names {', '.join(owners)} ([programme] owners)"
        )
    mine = next((one for one in found.signatures if one["actor"] == actor), None)
    if mine is not None and mine["verdict"] == verdict and mine["document_hash"] == found.document_hash:
        raise Refused(f"{actor} has signed {found.review_id} already, on {mine['at'][:19]}Z")
    said = {"document_hash": found.document_hash, "verdict": verdict}
    state.commit(Commit(audit=[AuditEntry(actor, SIGNED, found.review_id, note, said)]), now)
    return find(state, found.review_id)


def page(found: Kept) -> str:
    """The review as one HTML file, with its signatures and what it changed."""
    from controlplane.analysis.weekly_html import render

    return render(
        found.document, found.signatures, found.document_hash, changed=found.changed, corrected_by=found.corrected_by
    )


def astray(reports: Path, found: Kept) -> list[str]:
    """What is wrong with the filed JSON, in words; empty where it holds what is recorded. The page can differ by version and is not judged."""
    path = page_path(reports, found.review_id).with_suffix(".json")
    again = f"`controlplane review weekly --week {found.document['week']}` writes it again, of the newest version"
    try:
        same = sha256_text(canonical(json.loads(path.read_text(encoding="utf-8")))) == found.document_hash
    except FileNotFoundError:
        return [f"file: {path} is not there: {again}"]
    except (OSError, ValueError) as error:
        return [f"file: {path} cannot be read ({error}): {again}"]
    return [] if same else [f"file: {path} is not what is recorded: {again}"]


def page_path(reports: Path, review_id: str) -> Path:
    """Where the page of a review is."""
    return reports / KIND / f"{review_id}.html"


def file_page(reports: Path, found: Kept) -> Path:
    """Write the page beside the pinned JSON, whole or not at all; its path. The page can always be made again: a full disk costs no signature."""
    path = page_path(reports, found.review_id)
    try:
        write_whole(path, page(found))
    except OSError as error:
        stderr.print(
            f"{path} could not be written ({error}): `controlplane review show {found.review_id} --out FILE` makes it again"
        )
    return path
