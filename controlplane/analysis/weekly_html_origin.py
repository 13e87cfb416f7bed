"""The end of the weekly review's page: what could not be told, who signed, where each number comes from, and how to check all of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from controlplane.analysis.weekly_html_parts import (
    Plain,
    badge,
    code,
    facts,
    mapping,
    moment,
    rows_of,
    section,
    table,
    text,
)

EMPTY_LINES = 2


def limits(said: Plain) -> str:
    """What the reader must know beside the numbers."""
    notes = "".join(f"<li>{text(note)}</li>" for note in said.get("notes") or ())
    return section(
        "What this review cannot tell", f'<div class="card"><ul>{notes}</ul></div>' if notes else "", name="limits"
    )


def signatures(document: Plain, signed: Sequence[Plain], document_hash: str) -> str:
    """Who signed this version with name and time, and lines for who has yet to."""
    lines = [_signed(item, document_hash) for item in signed]
    names = mapping(document.get("owners")).get("programme")
    waiting = [str(name) for name in names] if isinstance(names, list | tuple) else []
    already = {str(item.get("actor")) for item in signed}
    waiting = [name for name in waiting if name not in already] or ([""] * EMPTY_LINES if not signed else [])
    lines += [
        f'<div class="sign">&nbsp;<small>{text(name) if name else "name"}, date, agrees or objects</small></div>'
        for name in waiting
    ]
    command = f"controlplane review sign {document.get('review_id')} --actor NAME --note NOTE"
    note = "A signature says that its signer has read this version; it changes nothing in it."
    return section(
        "Sign-off", f'<div class="signs">{"".join(lines)}</div><pre>{text(command)}</pre>', name="signatures", note=note
    )


def _signed(item: Plain, document_hash: str) -> str:
    objects = str(item.get("verdict")) == "object"
    mark = badge("fail" if objects else "pass", "objects" if objects else "agrees")
    other = bool(document_hash) and item.get("document_hash") != document_hash
    wrong = f" {badge('fail', 'signed other content')}" if other else ""
    note = f"<br>{text(item['note'])}" if item.get("note") else ""
    return f'<div class="sign"><b>{text(item.get("actor"))}</b> {mark}{wrong}{note}<small>{moment(item.get("at"))} UTC</small></div>'


def sources(document: Plain) -> str:
    """Each number's query with its hash, its parameters and the policy it is judged by; equal sources share a line."""
    found: dict[str, tuple[Plain, list[str]]] = {}
    for item in [*rows_of(document.get("success")), *rows_of(document.get("figures"))]:
        source = mapping(item.get("source"))
        if source:
            key = json.dumps(source, sort_keys=True, default=str)
            names = found.setdefault(key, (source, []))[1]
            if str(item.get("title")) not in names:
                names.append(str(item.get("title")))
    shared = _shared([mapping(source.get("parameters")) for source, _ in found.values()])
    rows = [
        (
            text(", ".join(names)),
            code(source.get("query")),
            _parameters(source, shared),
            _short(source.get("query_hash")),
            _short(source.get("policy_hash")),
        )
        for source, names in found.values()
    ]
    heads = ("number", "query (sql/)", "further parameters", "sha256 of the query", "policy")
    shown = table(heads, rows, "The hash is that of the query's text.")
    common = facts((name, code(_value(value))) for name, value in sorted(shared.items()))
    note = "Every query has these parameters, and those beside it." if shared else ""
    return section(
        "Where the numbers come from",
        f'<div class="sources">{common}{shown}</div>' if shown else "",
        name="sources",
        note=note,
    )


def _shared(found: Sequence[Plain]) -> dict[str, object]:
    """Parameters that all sources have alike."""
    if len(found) < 2:
        return {}
    return {
        name: value
        for name, value in found[0].items()
        if all(name in other and other[name] == value for other in found)
    }


def _parameters(source: Plain, shared: Plain) -> str:
    pairs = sorted(mapping(source.get("parameters")).items())
    return "<br>".join(code(f"{name} = {_value(value)}") for name, value in pairs if name not in shared) or text(None)


def _value(value: object) -> str:
    """A parameter for people: times without their fractions."""
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return str(value).replace(".000000Z", "Z")


def _short(digest: object) -> str:
    return code(str(digest or "")[:16])


def pin(document: Plain, document_hash: str) -> str:
    """What the review was made from, and the commands that make it again."""
    found = mapping(document.get("pin"))
    policy = mapping(document.get("policy"))
    pairs = [
        ("pinned", f"{moment(found.get('pinned_at'))} UTC"),
        ("newest batch of facts", code(found.get("last_batch"))),
        ("audit log", f"{code(found.get('audit_head'))} (row {text(found.get('audit_seq'))})"),
        ("evidence ledger", f"{code(found.get('ledger_head'))} (row {text(found.get('ledger_seq'))})"),
        ("policy", f"{text(policy.get('name'))} {code(policy.get('hash'))}"),
        ("program", text(document.get("program_version"))),
    ]
    if document_hash:
        pairs.append(("document", code(document_hash)))
    name = document.get("review_id")
    commands = f"controlplane review verify {name}   # made again from the facts and compared\ncontrolplane audit verify   # both hash chains"
    return section("How to check it", f"{facts(pairs)}<pre>{text(commands)}</pre>", name="pin")
