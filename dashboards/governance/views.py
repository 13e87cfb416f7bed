"""What is in force, which releases there were and who let them in, what was drilled: each a view of the Governance page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.roles import PERMISSIONS, Permission, Role
from dashboards import control, export, ui
from dashboards.governance import data as data_governance
from dashboards.governance import values as governance_values
from dashboards.governance.record import noted
from dashboards.governance.values import VERDICTS, Drilled
from dashboards.shell import View
from dashboards.words import percent, stamp, trigger_title

DASH = "\u2013"
SHOWN = 50
ROLES = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)


def in_force(now: View) -> None:
    """What counts now: policy, criteria, definitions, data; what is set aside; who may do what."""
    ui.section("What counts now", "The versions that decisions are made by. Times in UTC.")
    rows = _versions(now)
    if rows:
        ui.table(("", "Which", "Version", "Since", "Owner"), rows, when=(3,))
    else:
        ui.empty(
            "Nothing counts yet.",
            "`controlplane policy lint FILE` checks a policy; the first release puts it in force.",
        )
    _aside(now)
    _roles()
    _metrics(now)


def _versions(now: View) -> list[tuple[str, ...]]:
    """The newest of everything that has versions."""
    owner = now.state.policy.owner if now.state.policy else ""
    policies = data_governance.table(*now.at, "policies").filter(pl.col("in_force")).to_dicts()
    criteria = data_governance.table(*now.at, "criteria").unique("name", keep="first", maintain_order=True).to_dicts()
    sets = data_governance.table(*now.at, "datasets").unique("name", keep="first", maintain_order=True).to_dicts()
    defined = data_governance.table(*now.at, "metrics").head(1).to_dicts()
    return [
        *(_version("Policy", one["name"], one["policy_hash"], one["registered_at"], owner) for one in policies),
        *(
            _version("Criteria", one["name"], one["criteria_hash"], one["registered_at"], one["owner"])
            for one in criteria
        ),
        *(
            _version(
                "Evaluation data",
                f"{one['name']}, {one['rows']:,} rows",
                one["version"],
                one["created_at"],
                one["actor"],
            )
            for one in sets
        ),
        *(
            _version(
                "Metric definitions",
                f"version {one['version']}",
                one["catalogue_hash"],
                one["registered_at"],
                one["actor"],
            )
            for one in defined
        ),
    ]


def _version(kind: str, name: str, version: str, since: Any, owner: str) -> tuple[str, ...]:
    return (f"<b>{escape(kind)}</b>", escape(name), noted(version), stamp(since)[:16], escape(owner) or DASH)


def _aside(now: View) -> None:
    ui.section(
        "Set aside for now",
        "Triggers that page instead of acting, alerts that are not told, and topics that go to a person. Overrides and silences end by themselves.",
    )
    rows = [
        (
            ui.chip("Override" if one["kind"] == "override" else "Silence", "wait"),
            escape(trigger_title(one["what"]) if one["kind"] == "override" else _matchers(one["what"])),
            escape(one["actor"]),
            escape(one["reason"]),
            stamp(one["ends"])[:16],
        )
        for one in data_governance.in_force(*now.at, now.state.meta.now).to_dicts()
    ]
    contained = now.state.rollout.contained if now.state.rollout else ()
    rows += [
        (ui.chip("To a person", "bad"), escape(trigger_title(name)), "", "a confirmed misrouting", "until released")
        for name in contained
    ]
    if rows:
        ui.table(("", "What", "Who", "Why", "Until (UTC)"), rows, when=(4,))
    else:
        st.caption("Nothing is set aside: every trigger acts, every alert is told.")


def _matchers(text: str) -> str:
    return ", ".join(f"{name} is {' or '.join(values)}" for name, values in json.loads(text).items())


def _roles() -> None:
    ui.section("Who may do what", "One table for these pages, Slack, the control API and the command line.")
    rows = [
        (
            escape(str(one)[:1].upper() + str(one)[1:]),
            *(ui.chip("\u2713", "good") if one in PERMISSIONS[role] else DASH for role in ROLES),
        )
        for one in Permission
    ]
    ui.table(("", *(str(role).capitalize() for role in ROLES)), rows)


def _metrics(now: View) -> None:
    found = data_governance.table(*now.at, "metrics")
    if found.is_empty():
        return
    with st.expander(f"Versions of the metric definitions ({found.height})"):
        rows = [
            (
                f"{one['version']}",
                stamp(one["registered_at"])[:16],
                escape(one["actor"]),
                escape(one["reason"]),
                escape(", ".join(str(change.get("name")) for change in json.loads(one["changes"]))) or DASH,
            )
            for one in found.head(SHOWN).to_dicts()
        ]
        ui.table(("Version", "Registered", "Who", "Why", "What changed"), rows, numeric=(0,), when=(1,))


def releases(now: View) -> None:
    """Every release, who made it and who let it in; who signed what."""
    ui.section(
        "Releases",
        "What each changed against the one before, who made it, whether it passed, who let it in, what became of it. Newest first.",
    )
    found = data_governance.table(*now.at, "releases")
    if found.is_empty():
        ui.empty(
            "No release is registered.",
            "`controlplane release start NAME --actor YOU --artefact model=HASH` registers one and lets it in.",
        )
    else:
        runs = data_governance.table(*now.at, "runs")
        items = found.head(SHOWN).to_dicts()
        older = [*[one["artefacts"] for one in items[1:]], None]
        rows = [_release(one, before, runs) for one, before in zip(items, older, strict=True)]
        head = ("Release", "Made by", "Changed", "Evaluation", "Let in by", "What became of it", "Since")
        ui.table(head, rows, when=(6,))
        export.offer("releases", found, "pages/governance_releases", {})
    _signed(now)


def _release(one: Mapping[str, Any], before: str | None, runs: pl.DataFrame) -> tuple[str, ...]:
    mine = runs.filter(pl.col("release_hash") == one["release_hash"])["verdict"].to_list()
    verdict = (
        ui.chip(*VERDICTS.get(mine[0] or "", ("Not finished", "wait"))) if mine else ui.chip("Not evaluated", "quiet")
    )
    several = f" ({one['approvals']} approvals)" if one["approvals"] > 1 else ""
    return (
        f"<b>{escape(one['release'])}</b> {noted(one['release_hash'])}",
        escape(one["author"]),
        escape(governance_values.made_of(one["artefacts"], before)),
        verdict,
        f"{escape(one['approvers'] or DASH)}{several}",
        _fate(one),
        stamp(one["started_at"])[:16],
    )


def _fate(one: Mapping[str, Any]) -> str:
    if one["started_at"] is None:
        return ui.chip("Never let in", "quiet")
    if one["rolled_back"]:
        return ui.chip("Rolled back", "bad")
    if one["active"]:
        return f"{ui.chip('Serving', 'good')} {percent(one['share'])} ({escape(one['phase'])})"
    return ui.chip("Replaced", "quiet")


def _signed(now: View) -> None:
    ui.section("Signatures", "Who signed which pinned weekly review. Times in UTC.")
    found = data_governance.audit(*now.at).filter(pl.col("event") == "review_signed").sort("seq", descending=True)
    if found.is_empty():
        told = (
            "`controlplane review sign` signs a pinned review; so does the Review page."
            if now.state.reviews
            else "A review is pinned first: `controlplane review pin`."
        )
        ui.empty("No review has been signed yet.", told)
        return
    rows = [
        (
            ui.when(one["at"], now.state.meta.now),
            escape(one["actor"]),
            f'<a href="{escape(one["link"])}">{escape(one["subject"])}</a>',
            escape(one["reason"]),
        )
        for one in governance_values.told(found.head(SHOWN).to_dicts())
    ]
    ui.table(("When", "Who", "Review", "What was said"), rows, when=(0,))


def drills(now: View) -> list[Drilled]:
    """Every drill of the catalogue with its newest run: from the control process where it answers, else as far as the snapshot tells."""
    from controlplane.simulation.incident_catalogue import INCIDENTS  # a third of a second, for this view alone

    last = governance_values.newest_drills(data_governance.audit(*now.at).to_dicts())
    if now.config.may_act and now.person.may(Permission.LOOK):
        reply = control.ask(now.config, now.person.role, "drills", {}, now.person.name)
        if reply.done and reply.answer is not None:
            last = dict(reply.answer["drills"])
    return governance_values.drilled(INCIDENTS.values(), last)


def drill_table(now: View) -> None:
    """The drills: failed ones first, then those that nobody has carried out."""
    ui.section(
        "Drills",
        "Each injects a failure into a workspace of its own and sees whether it is found, contained, verified and told as expected.",
    )
    found = drills(now)
    value, note, tone = governance_values.drills_answer(found, now.state.meta.now)
    grid = st.grid(columns=3, min_column_width=200, key="grid_drills")
    with grid.cell():
        ui.tile("Drilled", value, note, tone)
    with grid.cell():
        failed = sum(one.ok is False for one in found)
        ui.tile("Not as expected", str(failed), "of those that were carried out", "bad" if failed else None)
    with grid.cell():
        never = sum(one.at is None for one in found)
        ui.tile("Never carried out", str(never), f"of {len(found)} in the catalogue")
    done = [one for one in found if one.at is not None]
    rest = [one for one in found if one.at is None]
    if done:
        _drill_rows(now, done)
    else:
        ui.empty(
            "Nobody has rehearsed yet.",
            "`controlplane drill all --record --actor YOU` carries out all of them, in minutes.",
        )
    if rest:
        with st.expander(f"{len(rest)} that were never carried out"):
            _drill_rows(now, rest)


def _drill_rows(now: View, found: Sequence[Drilled]) -> None:
    rows = [
        (
            _outcome(one),
            f"<b>{escape(trigger_title(one.name))}</b>",
            f'<div class="cp-wide">{escape(one.what)}</div>',
            f'<div class="cp-wide">{escape(one.expected)}</div>',
            DASH if one.at is None else ui.when(one.at, now.state.meta.now),
            escape("; ".join(one.failures)) or DASH,
        )
        for one in found
    ]
    ui.table(("", "Drill", "What is injected", "What must happen", "Last drilled", "What failed"), rows, when=(4,))


def _outcome(one: Drilled) -> str:
    if one.at is None:
        return ui.chip("Not yet", "quiet")
    return ui.chip("As expected", "good") if one.ok else ui.chip("Failed", "bad")
