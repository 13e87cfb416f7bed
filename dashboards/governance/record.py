"""The audit log on the screen: filtered, paged to its first row, checked on demand; and the evidence pack to take away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from html import escape
from typing import Any

import streamlit as st

from controlplane.core.audit import READINGS
from controlplane.core.roles import Permission
from dashboards import control, export, filters, tasks, ui
from dashboards.governance import data as data_governance
from dashboards.governance import values as governance_values
from dashboards.governance.values import SHORT
from dashboards.shell import View
from dashboards.words import count_text

PAGE = 25
DAYS = "days"
SPANS = {"1": "Last 24 h", "7": "Last 7 days", "30": "Last 30 days", "90": "Last 90 days", DAYS: "Days that you choose"}
ANY, WIDE = "Any", 30
NAMES = "audit_names"
CHAINS = {"audit": "Audit log", "ledger": "Evidence ledger"}


def page(now: View) -> None:
    """Filters, rows, the whole check."""
    ui.section(
        "Who did what, and why",
        "The audit log, newest first. Times in UTC. Rows are only ever added; each carries the hash of the row before it.",
    )
    frame = data_governance.audit(*now.at)
    if frame.is_empty():
        ui.empty(
            "Nothing is on record yet.",
            "`controlplane release start NAME --actor YOU --artefact model=HASH` is the first decision.",
        )
        return
    grid = st.grid(columns=4, min_column_width=160, key="grid_filters")
    older: Mapping[str, Sequence[str]] = st.session_state.get(NAMES, {})  # of the whole log, once it was asked
    actors = sorted({*frame["actor"], *older.get("actor", ())})
    events = [
        *sorted({*frame["event"], *older.get("event", ())} - READINGS),
        *(sorted(READINGS) if now.person.may(Permission.QUERY) else []),
    ]
    with grid.cell():
        actor = select("by", "Who", actors)
    with grid.cell():
        event = select("event", "What", events, governance_values.event_words)
    with grid.cell():
        span = select("since", "When", list(SPANS), SPANS.__getitem__)
    with grid.cell():
        words = filters.typed("words", "Words", "in the reason, or what it is about")
    since, until = _days(now, grid) if span == DAYS else (_ago(now, span), None)
    if since and until and since >= until:
        ui.empty("The first day is behind the last one.", "Choose an earlier first day, or a later last one.")
    elif now.config.may_act and now.person.may(Permission.LOOK):
        begin, end = (f"{moment:%Y-%m-%dT%H:%M}" if moment else "" for moment in (since, until))
        named = {"event": event} if event else {}
        wanted = {"actor": actor, "words": words, "since": begin, "until": end} | named
        _asked(now, "conversation_reads" if event in READINGS else "audit", wanted)
    else:
        found = governance_values.chosen(frame, actor, event, words, since, until)
        _table(now, governance_values.told(found.head(PAGE * 4).to_dicts()))
        st.caption(
            f"{found.height:,} rows match among the newest {frame.height:,}, which the snapshot has. Log in to page through all of them."
        )
    export.offer("audit", frame, "pages/governance_audit", {}, "The newest rows, as the snapshot has them.")
    _check(now)


def _ago(now: View, span: str) -> datetime | None:
    return now.state.meta.now - timedelta(days=int(span)) if span else None


def _days(now: View, grid: Any) -> tuple[datetime | None, datetime | None]:
    """From the first day chosen to the end of the last one (UTC), either may be open."""
    today = now.state.meta.now.date()
    with grid.cell():
        first = filters.day("from", "From (UTC)", today)
    with grid.cell():
        last = filters.day("to", "To (included)", today)
    begin = datetime.combine(first, time.min, UTC) if first else None
    return begin, datetime.combine(last, time.min, UTC) + timedelta(days=1) if last else None


def select(param: str, label: str, options: Sequence[str], shown: Any = str, default: str = ANY) -> str:
    """One of the options; "" for any, where no other `default` is given. It stands in the address."""
    every = [ANY, *options] if default == ANY else list(options)
    asked = st.query_params.get(param, default)
    start = every.index(asked) if asked in every else every.index(default)
    words = {ANY: ANY} | {one: str(shown(one)) for one in options}
    found = st.selectbox(label, every, index=start, format_func=words.__getitem__, key=f"pick_{param}")
    if found != default:
        st.query_params[param] = found
    elif param in st.query_params:
        del st.query_params[param]
    return "" if found == ANY else str(found)


def _short(text: str) -> str:
    return text if len(text) <= WIDE else f"{text[: WIDE - 1]}\u2026"


def _asked(now: View, name: str, wanted: Mapping[str, str]) -> None:
    """Rows from the control process, however old."""
    if st.session_state.get("audit_wanted") != (name, wanted):
        st.session_state["audit_wanted"], st.session_state["audit_pages"] = (name, wanted), []
    pages: list[int] = st.session_state["audit_pages"]
    arguments = {**wanted, "before": pages[-1] if pages else None, "limit": PAGE}
    reply = control.ask(now.config, now.person.role, name, arguments, now.person.name)
    if not reply.done or reply.answer is None:
        st.error(reply.text)
        return
    found = reply.answer
    names = {column: found[column] for column in ("actor", "event")}
    if st.session_state.get(NAMES) != names:
        st.session_state[NAMES] = names
        st.rerun()
    if not found["rows"]:
        ui.empty("No row matches.", "Choose fewer filters.")
        return
    _table(now, governance_values.told(found["rows"]))
    begin = len(pages) * PAGE + 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{begin:,} to {begin + len(found['rows']) - 1:,} of {found['total']:,} rows", width="stretch")
        if st.button("Newer", disabled=not pages, key="audit_newer"):
            pages.pop()
            st.rerun()
        if st.button("Older", disabled=not found["more"], key="audit_older"):
            pages.append(int(found["rows"][-1]["seq"]))
            st.rerun()


def _table(now: View, rows: Sequence[Mapping[str, Any]]) -> None:
    body = []
    for row in rows:
        about = f'<span class="cp-id">{escape(_short(row["subject"]))}</span>'
        body.append(
            (
                ui.when(row["at"], now.state.meta.now),
                f"<b>{escape(row['event'])}</b>",
                escape(row["actor"]),
                f'<div class="cp-wide">{escape(row["reason"])}</div>',
                f'<a href="{escape(row["link"])}">{about}</a>' if row["link"] else about,
                f"{row['seq']:,}",
            )
        )
    ui.table(("When", "What", "Who", "Why", "About", "Row"), body, numeric=(5,), when=(0,), why=3)


def _check(now: View) -> None:
    ui.section(
        "Check all of it",
        "Both chains recomputed from their first row: the audit log, and the ledger of the evidence behind every automatic decision.",
    )
    noted = filters.typed(
        "noted",
        "A head that you noted earlier (optional)",
        "64 hexadecimal digits",
        "A chain whose end was cut off is whole; only a head noted elsewhere shows that.",
    )
    tasks.failed("audit_check")
    found = tasks.button(now, "audit_check", "Check both chains", "audit_check", {"noted": noted}, Permission.LOOK)
    if not found:
        return
    word, tone = ("Both chains hold", "good") if found["ok"] else ("The record does NOT hold", "bad")
    st.html(ui.head(f"Checked {str(found['at'])[:19].replace('T', ' ')} UTC", ui.chip(word, tone)))
    rows = []
    for name, one in found["chains"].items():
        broken = one["broken"]
        state = ui.chip("whole", "good") if broken is None else ui.chip(f"broken at row {broken['seq']:,}", "bad")
        why = "" if broken is None else escape(broken["reason"])
        rows.append(
            (CHAINS[name], f"{one['rows']:,}", f"{state} {why}", f'<span class="cp-id">{escape(one["head"])}</span>')
        )
    ui.table(("Chain", "Rows", "Standing", "Head: note it elsewhere"), rows, numeric=(1,))
    if found["noted"]:
        where = found["noted_in"]
        st.caption(
            f"The head that you noted is in the {CHAINS[where].lower()}."
            if where
            else "The head that you noted is in neither chain: an end was cut off, or all of it was rewritten."
        )


def pack(now: View) -> None:
    """A pack of a period: made as a task, verified, downloaded."""
    ui.section(
        "Evidence pack",
        "All records of a period with their hashes, for somebody who has no access here. It can be verified by itself.",
    )
    today = now.state.meta.now.date()
    first = max(now.state.first.date() if now.state.first else today, today - timedelta(days=30))
    left, right, _ = st.columns([1, 1, 2])
    since = left.date_input("From", value=min(first, today), max_value=today, key="pack_since")
    until = right.date_input("To (included)", value=today, max_value=today, key="pack_until")
    if not now.config.may_act:
        ui.empty(
            "Log in to make a pack here.",
            "Or where the workspace is: `controlplane audit export --from DAY --to DAY --out pack.zip`.",
        )
        return
    if since is None or until is None or since > until:
        st.caption("Choose a first day that is not behind the last one.")
        return
    tasks.failed("pack")
    arguments = {"since": since.isoformat(), "until": until.isoformat()}
    found = tasks.button(now, "pack", "Make the pack", "evidence_pack", arguments, Permission.QUERY)
    if found:
        _made(now, found)


def _made(now: View, found: Mapping[str, Any]) -> None:
    word, tone = ("Verified", "good") if found["ok"] else ("Made, and the record in it is broken", "bad")
    size = f"{found['bytes'] / 1e6:.1f} MB"
    span = f"{str(found['since'])[:10]} to {str(found['until'])[:16].replace('T', ' ')} UTC"
    told = f"{count_text(found['rows'])} rows in {found['files']} files, {size}: {span}"
    st.html(ui.head(told, ui.chip(word, tone)))
    missing = found["missing_documents"]
    if missing:
        st.caption(f"{len(missing)} documents that a record names are gone; the pack's manifest lists them.")
    st.caption(
        "Note the hash of its manifest elsewhere; it vouches for the whole pack. `controlplane audit verify --pack FILE` checks it anywhere."
    )
    st.code(found["manifest_sha256"], language=None)
    path = (now.config.home / str(found["path"])).resolve()
    if path.is_relative_to(now.config.home.resolve()) and path.is_file():
        content = data_governance.pack(str(path), path.stat().st_mtime_ns)
        st.download_button("Download the pack", content, path.name, "application/zip", on_click="ignore")
    else:
        st.caption(f"It lies on the machine of the control process, in its workspace: {found['path']}.")


def noted(text: str) -> str:
    """The beginning of a hash, for a table."""
    return f'<span class="cp-id" title="{escape(text)}">{escape(text[:SHORT])}</span>'
