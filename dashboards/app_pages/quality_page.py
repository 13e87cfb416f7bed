"""Quality: is what it says right and safe. The answer and five numbers first; then one subject at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.estimates import clopper_pearson
from controlplane.core.metrics import METRICS
from dashboards import filters, measures, ui
from dashboards.answers import BAD, GOOD, QUIET, WAIT
from dashboards.quality import data as data_quality
from dashboards.quality import html as quality_html
from dashboards.quality import intents as quality_intents
from dashboards.quality import label as quality_label
from dashboards.quality import safety as quality_safety
from dashboards.quality import sources as quality_sources
from dashboards.quality import topics as quality_topics
from dashboards.quality.values import (
    Calibration,
    Safety,
    Share,
    bases,
    calibration,
    chosen_basis,
    maturity,
    misunderstood,
    safety,
)
from dashboards.quality.words import BASIS_NAMES, Findings, ends, hero, part, reached, young
from dashboards.shell import View, view
from dashboards.words import stamp

WEEK = "7 days"
WINDOWS = {
    "24 h": timedelta(hours=24),
    WEEK: timedelta(days=7),
    "30 days": timedelta(days=30),
    "1 year": timedelta(days=365),
}
VIEWS = {
    "safety": "Who reached a person",
    "understanding": "What it understands",
    "sources": "What it claims",
    "label": "Label answers",
    "topics": "Open questions",
}
UNMEASURED = ("label", "topics")  # views that are about work, not about the numbers of a window
LABEL_METRIC = "misclassification_rate"
MANY = 100  # labels from which on a calibration is judged


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    top = st.container()
    if now.state.meta.newest is None:
        with top:
            ui.hero(hero(None))
        ui.empty("No conversations yet.", "Send logs with `controlplane ingest FILE`, or watch `make demo`.")
        return
    with top:
        head = st.container()
        chosen = filters.pick("view", "Look at", tuple(VIEWS), "safety", lambda name: VIEWS[name])
    measured = chosen not in UNMEASURED
    since, release, wish = (
        _filters(now) if measured else (_floor(now.state.meta.now - WINDOWS[WEEK], WINDOWS[WEEK]), "", "")
    )
    intents = data_quality.intents(*now.at, since, release, _mature_until(now))
    found_bases = bases(intents)
    basis = wish if wish in found_bases else chosen_basis(found_bases)
    seen = safety(data_quality.safety(*now.at, since, "", release))
    sums, width = quality_sources.trend(now, since)
    limit = measures.limit_of(now.state.policy, "hallucination_rate")
    findings = Findings(seen, misunderstood(intents, basis), _ungrounded(sums), limit, now.baseline)
    with head:
        ui.hero(hero(findings))
    if measured:
        _cards(now, findings, calibration(intents, basis), maturity(intents, basis))
        st.caption(_small_print(now, since, release))
    asked: dict[str, Any] = {"since": since.isoformat(), "release": release}
    match chosen:
        case "safety":
            quality_safety.show(now, since, release)
        case "understanding":
            query = data_quality.intents_params(since, release, _mature_until(now))
            quality_intents.show(now, intents, basis, asked, query)
        case "sources":
            quality_sources.show(now, since, sums, width, limit, asked)
        case "label":
            quality_label.show(now)
        case _:
            quality_topics.show(now)


def _filters(now: View) -> tuple[datetime, str, str]:
    """Since when, which release ("" for all), and where labels are to come from ("" where there is no choice)."""
    known = data_quality.releases(*now.at)
    grid = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with grid:
        span = WINDOWS[filters.pick("window", "Window", tuple(WINDOWS), WEEK)]
        release = ""
        if len(known) > 1:
            release = filters.pick("release", "Release", ("", *known), "", lambda name: name or "All releases")
        start = _floor(now.state.meta.now - span, span)
        found = bases(data_quality.intents(*now.at, start, release, _mature_until(now)))
        wish = ""
        if len(found) > 1:
            names = tuple(found)
            wish = filters.pick("labels", "True intents", names, chosen_basis(found), lambda name: BASIS_NAMES[name])
    return start, release, wish


def _floor(moment: datetime, span: timedelta) -> datetime:
    """Whole hours within two days, whole days before: that is how they are kept."""
    whole = moment.replace(minute=0, second=0, microsecond=0)
    return whole if span <= timedelta(days=2) else whole.replace(hour=0)


def _mature_until(now: View) -> datetime:
    known = now.state.meta.watermark or now.state.meta.now
    return (known - measures.maturity(now.state.policy, LABEL_METRIC)).replace(minute=0, second=0, microsecond=0)


def _ungrounded(sums: pl.DataFrame) -> Share | None:
    rows = sums.filter(pl.col("arm") == "assistant")
    n, x = int(rows["n"].sum()), int(rows["x"].sum())
    found = clopper_pearson(x, n)
    return None if found is None else Share(x / n, found.low, found.high, x, n, float(n))


def _small_print(now: View, since: datetime, release: str) -> str:
    """What the numbers are of."""
    of = f"release {release}" if release else "all releases"
    return f"{stamp(since)[:16]} to {stamp(now.state.meta.now)[:16]} UTC, {of}. 95 % intervals."


def _cards(now: View, found: Findings, calibrated: Calibration | None, mature: float | None) -> None:
    cards = [
        _person_card(found.safety),
        _share_card(now, "misrouting_rate", found.safety.misrouted, _audit_note(found.safety)),
        _share_card(
            now, LABEL_METRIC, found.misunderstood, young(mature, measures.maturity(now.state.policy, LABEL_METRIC))
        ),
        _share_card(now, "hallucination_rate", found.ungrounded, "answers drawn at random"),
        _calibration_card(calibrated),
    ]
    grid = st.grid(columns=5, min_column_width=205, border=True, key="quality_cards")
    for card in cards:
        with grid.cell():
            st.html(card)


def _person_card(safe: Safety) -> str:
    """Those who must have a person: how many got one, and how large the share that is missed can be."""
    title, whole = "Reached a person", safe.mandatory
    if not whole.seen or whole.at_most is None:
        return quality_html.card(
            title, ui.chip("None seen", QUIET), "\u2013", quality_html.strip(None, 1.0), ("nobody was recognised", "")
        )
    words, tone = reached(safe)
    missed = Share(whole.nobody / whole.seen, 0.0, whole.at_most, whole.nobody, whole.seen, float(whole.seen))
    strip = quality_html.strip(missed, 1.12 * missed.high, None, "Share that is missed")
    notes = (f"missed: at most {part(missed.high)}", "fraud, legal, harassment, disputes")
    value = f"{whole.seen - whole.nobody:,} of {whole.seen:,}" if whole.nobody else f"All {whole.seen:,}"
    return quality_html.card(title, ui.chip(words[:1].upper() + words[1:], tone), value, strip, notes)


def _share_card(now: View, name: str, found: Share | None, note: str) -> str:
    """One of the catalogue's rates with its interval and the policy's limit."""
    limit = measures.limit_of(now.state.policy, name)
    word, tone = _verdict(found, limit)
    reach = 1.12 * max(0.0 if found is None else found.high, limit or 0.0) or 1.0
    value, first = (
        ("\u2013", "no label in this window") if found is None else (part(found.value), f"{ends(found)}, n {found.n:,}")
    )
    small = (first if limit is None else f"{first}, limit {part(limit)}", note)
    title = METRICS[name].title
    return quality_html.card(title, ui.chip(word, tone), value, quality_html.strip(found, reach, limit, title), small)


def _verdict(found: Share | None, limit: float | None) -> tuple[str, str]:
    if found is None:
        return "Unknown", QUIET
    if not found.enough:
        return "Few labels", QUIET
    if limit is None:
        return "No limit", QUIET
    if found.low > limit:
        return "Over limit", BAD
    return ("Within limit", GOOD) if found.high <= limit else ("Can't tell yet", WAIT)


def _audit_note(found: Safety) -> str:
    return "answers that people audited" if found.audited else "nobody has audited"


def _calibration_card(found: Calibration | None) -> str:
    title = "Confidence is off by"
    if found is None:
        return quality_html.card(
            title, ui.chip("Unknown", QUIET), "\u2013", quality_html.strip(None, 1.0), ("no labelled confidence", "")
        )
    chip = (
        ui.chip("Few labels", QUIET)
        if found.n < MANY
        else ui.chip("Fits", GOOD)
        if found.consistent
        else ui.chip("Off", WAIT)
    )
    drawn = Share(found.error, found.error, found.error, 0, found.n, float(found.n))
    strip = quality_html.strip(
        drawn,
        1.12 * max(found.error, found.chance),
        found.chance,
        "Calibration error; the mark: what chance makes",
        plain=True,
    )
    notes = (
        f"says {part(found.said)}, is right in {part(found.right)}",
        f"up to {100 * found.chance:.1f} points are chance",
    )
    return quality_html.card(title, chip, f"{100 * found.error:.1f} points", strip, notes)


main()
