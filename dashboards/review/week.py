"""The pinned weekly reviews on the page: what the newest says, who signed it, signing it, and taking it along as a page or a PDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from controlplane.core.roles import Permission
from dashboards import acting, ui
from dashboards.review import data as data_review
from dashboards.review.values import Pinned
from dashboards.shell import View
from dashboards.words import stamp

EARLIER = 8
TONES = {"improved": "good", "not worse": "good", "worse": "bad"}


def newest(now: View, reviews: Sequence[Pinned]) -> None:
    """The card of the newest review: headline, state of the sign-off, the two files, and the acts."""
    with st.container(border=True):
        if not reviews:
            st.html(
                f"{ui.head('Weekly review')}<p class='cp-small'>No week has been pinned yet. Every Monday the week before is pinned by itself while"
                " <code>controlplane up</code> runs; <code>controlplane review weekly</code> does it now.</p>"
            )
            return
        card(now, reviews[0])


def card(now: View, one: Pinned) -> None:
    """One review: headline, sign-off, files, acts."""
    st.html(
        f'{ui.head(f"Weekly review {one.week}", sign_off(one))}<p style="margin:.4rem 0">{escape(one.headline)}</p>'
        f"{measures(data_review.document(*now.at, one.review_id))}"
        f'<div class="cp-small">{escape(standing(one))}</div>{signatures(one)}'
    )
    files(now, one)
    if not one.corrected_by:
        acts(now, one)


def measures(document: Mapping[str, Any]) -> str:
    """The five success measures of the document with their verdicts, in lines."""
    lines = "".join(
        f'<div class="cp-head"><span>{escape(str(item.get("title")))}</span>'
        f"{ui.chip(str(item.get('movement')).capitalize(), TONES.get(str(item.get('movement')), 'quiet'))}</div>"
        for item in document.get("success") or ()
    )
    return f'<div class="cp-verdicts">{lines}</div>' if lines else ""


def sign_off(one: Pinned) -> str:
    """A chip: signed, objected to, or not signed."""
    if one.corrected_by:
        return ui.chip("Corrected", "quiet")
    if any(signed.verdict == "object" for signed in one.signatures):
        return ui.chip("Objection", "bad")
    return ui.chip("Signed", "good") if one.signatures else ui.chip("Not signed", "wait")


def standing(one: Pinned) -> str:
    """When it was pinned, and which version it is."""
    pinned = f"Pinned {stamp(one.pinned_at)[:16]} UTC; its numbers never change."
    said = f"{pinned} Judged once, so its intervals are narrower than those below."
    if one.version > 1:
        said = f"Version {one.version}. {said}"
    return f"{said} Corrected by {one.corrected_by}." if one.corrected_by else said


def signatures(one: Pinned) -> str:
    """Who signed, in lines."""
    lines = "".join(
        f"<div>{ui.chip('objects' if signed.verdict == 'object' else 'agrees', 'bad' if signed.verdict == 'object' else 'good')}"
        f' <b>{escape(signed.actor)}</b> <span class="cp-small">{escape(signed.at[:16].replace("T", " "))} UTC'
        f"{f', {escape(signed.note)}' if signed.note else ''}{_other(one, signed.document_hash)}</span></div>"
        for signed in one.signatures
    )
    return f'<div style="margin-top:.5rem">{lines}</div>' if lines else ""


def _other(one: Pinned, signed_hash: str) -> str:
    return "" if signed_hash == one.vouched else " (signed other content)"


def files(now: View, one: Pinned) -> None:
    """The two files, made when somebody asks for one."""
    with st.container(horizontal=True):
        for label, kind, mime in (("PDF", "pdf", "application/pdf"), ("HTML", "html", "text/html")):
            st.download_button(
                f"Download {label}",
                _maker(now.at, one, kind),
                f"weekly-review-{one.review_id}.{kind}",
                mime,
                key=f"review_{kind}_{one.review_id}",
                on_click="ignore",
            )


def _maker(at: tuple[str, str], one: Pinned, kind: str) -> Callable[[], bytes]:
    return lambda: data_review.page(*at, one, kind)


def acts(now: View, one: Pinned) -> None:
    """Agree or object, in a person's name; what is signed is the hash of the document."""
    with st.container(horizontal=True):
        for verdict, label, said in (
            ("agree", "Sign: I agree", f"{one.review_id} is signed. The page shows it with the next snapshot."),
            (
                "object",
                "Object",
                f"The objection to {one.review_id} is on record. The page shows it with the next snapshot.",
            ),
        ):
            acting.button(
                now,
                f"sign_{verdict}_{one.review_id}",
                label,
                f"Your name goes under the weekly review {one.week} as it was pinned ({one.vouched[:12]}). The review does not change;"
                " the signature goes into the audit log.",
                Permission.SIGN,
                acting.asked(now, "review_sign", said, review_id=one.review_id, verdict=verdict),
                primary=verdict == "agree",
            )


def earlier(now: View, reviews: Sequence[Pinned]) -> None:
    """All pinned reviews but the newest: headline, sign-off, files."""
    older = reviews[1 : EARLIER + 1]
    if not older:
        return
    with st.expander(f"Earlier weekly reviews ({len(reviews) - 1})"):
        for one in older:
            st.html(
                f"{ui.head(one.review_id, sign_off(one))}<p>{escape(one.headline)}</p>"
                f'<div class="cp-small">{escape(standing(one))}</div>'
            )
            files(now, one)
