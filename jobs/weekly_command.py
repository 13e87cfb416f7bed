"""What the commands of the weekly review do: ask for the work on the facts, read the record, and say it in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.weekly_diff import difference_line
from jobs import weekly_sign as record
from jobs.compose import open_state, workspace_settings
from jobs.moments import week_bounds, week_of
from jobs.refused import Refused
from jobs.weekly_tell import last_full_week, tell
from jobs.work import do

Value = dict[str, Any]
NOT_KEPT = "not pinned: nothing was recorded"


def weekly(home: str | None, week: str | None, actor: str, now: datetime, *, pin: bool, post: bool = False) -> Value:
    """The review of a week, pinned (and with `post` told to people) or only looked at.

    A week that lasts is told so far and is not pinned: its numbers will change.
    """
    chosen = week or week_of(last_full_week(now)[0])
    until = week_bounds(chosen)[1]
    if not pin:
        found = do(home, "review_build", {"week": chosen}, now)
        return {**_plain(found), "pinned": False, "vouched": False, "signatures": [], "corrected_by": "", "changed": []}
    if until > now:
        raise Refused(f"week {chosen} ends at {until:%Y-%m-%d %H:%M} UTC: look at it so far with --no-pin, pin it then")
    pinned = do(home, "review_pin", {"week": chosen, "actor": actor}, now)
    return _filed(home, pinned["review_id"], now, told=post)


def corrected(home: str | None, review_id: str, actor: str, reason: str, now: datetime) -> Value:
    """A new version of a pinned review, told to people as the first one was."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        found = record.find(state, review_id)
    if found.corrected_by:
        raise Refused(f"{found.review_id} was corrected by {found.corrected_by}: correct that one")
    asked = {"week": found.document["week"], "actor": actor, "corrects": found.review_id, "reason": reason}
    pinned = do(home, "review_pin", asked, now)
    return _filed(home, pinned["review_id"], now, told=True)


def shown(home: str | None, review_id: str, now: datetime) -> Value:
    """A pinned review with its signatures."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        return {**record.find(state, review_id).to_dict(), "pinned": True}


def listed(home: str | None, now: datetime) -> Value:
    """All pinned reviews in short."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        return {"reviews": [_short(record.find(state, row.artefact_id)) for row in record.rows(state)]}


def verify(home: str | None, review_id: str, now: datetime) -> Value:
    """A pinned review made again: whether it is the same, else what differs; and whether its file still says it."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        found = record.find(state, review_id)
    again = do(home, "review_rebuild", {"review_id": found.review_id}, now)
    differs = [*again["differs"], *record.astray(settings.workspace.reports, found)]
    return {"review_id": found.review_id, "same": not differs, "differs": differs, "document_hash": found.document_hash}


def signed(home: str | None, review_id: str, actor: str, verdict: str, note: str, now: datetime) -> Value:
    """Sign, and file the page with the signature."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        found = record.sign(state, review_id, actor, verdict, note, now)
    path = record.file_page(settings.workspace.reports, found)
    mine = next(one for one in found.signatures if one["actor"] == actor)
    return {"review_id": found.review_id, "document_hash": found.document_hash, "signature": mine, "path": str(path)}


def _filed(home: str | None, review_id: str, now: datetime, *, told: bool = False) -> Value:
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        found = record.find(state, review_id)
        path = record.page_path(settings.workspace.reports, found.review_id)
        if told:
            tell(state, found.document, path.relative_to(settings.workspace.home).as_posix(), now)
    return {**found.to_dict(), "pinned": True, "posted": told, "path": str(path)}


def _plain(found: Mapping[str, Any]) -> Value:
    """What the work answered, as JSON values whether it was done here or elsewhere."""
    document = json.loads(canonical(dict(found["document"])))
    return {"review_id": found["review_id"], "document": document, "document_hash": sha256_text(canonical(document))}


def _short(found: record.Kept) -> Value:
    return {
        "review_id": found.review_id,
        "week": found.document["week"],
        "pinned_at": found.document["pin"]["pinned_at"],
        "headline": found.document["words"].get("headline", ""),
        "vouched": found.vouched,
        "corrected_by": found.corrected_by,
        "signatures": list(found.signatures),
    }


def line(item: Mapping[str, Any]) -> str:
    """One pinned review in a line."""
    names = ", ".join(_name(one) for one in item["signatures"]) or "not signed"
    state = f", corrected by {item['corrected_by']}" if item["corrected_by"] else ""
    state += "" if item["vouched"] else ", NOT what was pinned"
    return f"{item['review_id']}  {item['headline']}  [{names}{state}]"


def _name(one: Mapping[str, Any]) -> str:
    return f"{one['actor']}{' objects' if one['verdict'] == 'object' else ''} {one['at'][:10]}"


def text(value: Mapping[str, Any]) -> str:
    """A review for a terminal."""
    document = value["document"]
    said = document["words"]
    lines = [said["headline"], "", said["answer"], ""]
    lines += [f"  {item['movement'].upper():10} {item['sentence']}" for item in said["success"]]
    lines += ["", "What changed:"] + [f"  - {item['sentence']}" for item in said["changes"]]
    lines += [] if said["changes"] else ["  - nothing beyond what chance explains"]
    lines += [f"  - and {said['left_out']} more"] if said["left_out"] else []
    lines += (
        ["", "Not known, and not to be concluded:", *(f"  - {note}" for note in said["notes"])] if said["notes"] else []
    )
    if value["changed"]:
        lines += [
            "",
            f"Against {document['corrects']}:",
            *(f"  - {difference_line(item)}" for item in value["changed"]),
        ]
    lines += ["", *_standing(value)]
    return "\n".join(lines)


def _standing(value: Mapping[str, Any]) -> list[str]:
    """Which document this is, and who signed it."""
    if not value["pinned"]:
        return [NOT_KEPT]
    lines = [
        f"{value['review_id']}, document {value['document_hash'][:12]}, pinned {value['document']['pin']['pinned_at'][:16]}Z"
    ]
    if not value["vouched"]:
        lines.append("THIS IS NOT WHAT WAS PINNED: the audit log vouches for other content")
    if value["corrected_by"]:
        lines.append(f"corrected by {value['corrected_by']}")
    lines += [
        f"signed by {one['actor']} ({one['verdict']}s) {one['at'][:16]}Z: {one['note']}" for one in value["signatures"]
    ]
    return lines + ([f"page: {value['path']}"] if value.get("path") else [])


def file_bytes(value: Mapping[str, Any], kind: str) -> bytes:
    """The review as a page (.html), set for print (.pdf), or its document as JSON (.json)."""
    document_hash = value["document_hash"] if value["pinned"] else ""
    if kind == ".json":
        return (json.dumps(value["document"], indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    if kind == ".pdf":
        from controlplane.analysis.weekly_pdf import render as render_pdf

        return render_pdf(value["document"], value["signatures"], document_hash, corrected_by=value["corrected_by"])
    from controlplane.analysis.weekly_html import render

    page = render(
        value["document"],
        value["signatures"],
        document_hash,
        changed=value["changed"],
        corrected_by=value["corrected_by"],
    )
    return page.encode()
