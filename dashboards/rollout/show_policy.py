"""The Rollout page's view of the policy: in words, against another version, and its history."""

from __future__ import annotations

from html import escape

import streamlit as st

from controlplane.core.policy import Policy, parse
from controlplane.core.policy_diff import summary
from controlplane.core.policy_words import explain
from dashboards import filters, ui
from dashboards.rollout import data as data_rollout
from dashboards.rollout import policy as rollout_policy
from dashboards.rollout.policy import SHIPPED
from dashboards.rollout.values import Registered
from dashboards.shell import View

OPEN = ("Who is exposed, and when", "What stops it", "What is promised")


def show(now: View, policy: Policy) -> None:
    """Words, difference, history, text."""
    found = data_rollout.policies(*now.at)
    ui.section(
        "The policy in words", f"{policy.name}, answered for by {policy.owner}. What it says, not how it is written."
    )
    for part in explain(policy):
        with st.expander(part.title, expanded=part.title in OPEN):
            st.html(
                f'<ul class="cp-prose">{"".join(f"<li>{rollout_policy.sentence(line, policy)}</li>" for line in part.lines)}</ul>'
            )
    _difference(found, policy)
    _history(now, found)
    with st.expander("The text, as it was registered"):
        st.code(policy.text, language="toml")
    st.download_button(
        "Download the policy",
        policy.text.encode(),
        f"{policy.name}.toml",
        "application/toml",
        key="policy_text",
        on_click="ignore",
    )


def _difference(found: tuple[Registered, ...], policy: Policy) -> None:
    """Two versions side by side, by meaning."""
    ui.section(
        "What changed",
        "From one version to another, by meaning: what weakens or tightens the guarantee, and what it does to running evidence.",
    )
    texts = {one.policy_hash[:12]: one.policy for one in found if one.policy is not None}
    labels = {one.policy_hash[:12]: rollout_policy.label(one) for one in found} | {
        SHIPPED: "the policy that ships with the product"
    }
    known: dict[str, Policy] = {**texts, SHIPPED: parse(rollout_policy.shipped(), "default.toml")}
    names = tuple(known)
    newest = policy.hash[:12] if policy.hash[:12] in known else names[0]
    before = next((name for name in names if name != newest), SHIPPED)
    left, right = st.columns(2)
    with left:
        old = filters.pick("old", "From", names, before, labels.__getitem__)
    with right:
        new = filters.pick("new", "To", names, newest, labels.__getitem__)
    together = summary(known[old], known[new])
    said, tone = rollout_policy.verdict(together)
    st.html(
        f"<p>{ui.chip('Weaker' if tone == 'bad' else 'Not weaker' if tone == 'good' else 'Same', tone)} {escape(said)}</p>"
    )
    if len(texts) < 2 and SHIPPED in (old, new):
        st.caption(
            "Only one policy was registered here; the one that ships with the product stands beside it for comparison."
        )
    rows = rollout_policy.change_rows(known[old], known[new])
    if not rows:
        return
    head = ("Effect", "What", "Before", "After", "What that means")
    ui.table(head, rows[:8])
    if len(rows) > 8:
        with st.expander(f"{len(rows) - 8} more changes"):
            ui.table(head, rows[8:])
    with st.expander("What it would do to a rollout that runs"):
        st.markdown("\n".join(f"- {line}" for line in rollout_policy.consequences(together)))


def _history(now: View, found: tuple[Registered, ...]) -> None:
    ui.section(
        "Every policy so far",
        "Registered with a release; the text is kept under its hash and never changes. Times in UTC.",
    )
    rows = rollout_policy.history_rows(found, now.state.meta.now)
    ui.table(("Registered", "Policy", "Judged", "Against the one before", "Hash"), rows, when=(0,))
