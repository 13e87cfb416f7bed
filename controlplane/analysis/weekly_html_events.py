"""Sections of the weekly review about what happened: incidents and drills with their times, drift, trade-off and cost, decisions and owners."""

from __future__ import annotations

from html import escape

from controlplane.analysis.weekly_html_parts import (
    Plain,
    badge,
    code,
    empty,
    facts,
    mapping,
    moment,
    rows_of,
    section,
    table,
    text,
)
from controlplane.analysis.weekly_svg import timeline
from controlplane.core.weekly_changes import OVER
from controlplane.core.weekly_drift import TITLES, broken_columns, reference_words
from controlplane.core.weekly_format import count_text, day, duration, known, number, percent, range_text, value_text

OWNERS = (("policy", "policy"), ("release_author", "author of the release"))
MOMENTS = ("onset", "detected", "cut", "verified", "alerted", "resolved")


def incidents(document: Plain) -> str:
    """Each incident with its line of times."""
    parts = []
    for item in rows_of(document.get("incidents")):
        over = bool(item.get("resolved_at")) or str(item.get("state") or "").lower() in OVER
        exposed = item.get("customers_exposed")
        harm = f"{count_text(exposed)} customers exposed" if known(exposed) else "customers exposed: unknown"
        line = timeline([(name, item.get(f"{name}_at")) for name in MOMENTS if name != "resolved" or over])
        parts.append(
            f'<div class="card incident"><p>{badge("pass" if over else "fail", "over" if over else "open")} <b>{text(item.get("title"))}</b></p>'
            f'<p class="soft">{text(item.get("severity"))} &middot; trigger {text(item.get("trigger"))} &middot; release {text(item.get("release"))} '
            f"&middot; {harm} &middot; {code(item.get('incident_id'))}</p>{line}</div>"
        )
    body = "".join(parts) or empty("No incident this week.")
    return section("Incidents", body, name="incidents", note="Time since the moment before; UTC." if parts else "")


def drills(document: Plain) -> str:
    """Drills of the week, and when the others were last carried out: what was rehearsed, whether it held, how long it took."""
    rows = []
    for item in rows_of(document.get("drills")):
        passed = item.get("passed")
        minutes = [
            f"{name} {number(value, 1)} min"
            for name, value in sorted(mapping(item.get("minutes")).items())
            if known(value)
        ]
        wrong = "; ".join(str(failure) for failure in item.get("failures") or ())
        rows.append(
            (
                text(item.get("name") or item.get("drill_id")),
                moment(item.get("started_at") or item.get("at"))
                + ("<small>not this week: its last run</small>" if item.get("earlier") else ""),
                "unknown"
                if passed is None
                else badge("pass" if passed else "fail", "held" if passed else "did not hold"),
                escape(", ".join(minutes)) + (f"<small>{escape(wrong)}</small>" if wrong else ""),
            )
        )
    heads = ("drill", "when (UTC)", "outcome", "times")
    body = table(heads, rows, "Rehearsed incidents.") or empty(
        "No drill was ever recorded: `controlplane drill` rehearses one."
    )
    return section("Drills", body, name="drills")


def drift(document: Plain) -> str:
    """Columns that moved or broke in the newest drift analysis at the pin."""
    found = mapping(document.get("drift"))
    if not found:
        return section(
            "Drift", empty("No drift analysis was there at the pin: `controlplane drift run` makes one."), name="drift"
        )
    columns, broken = mapping(found.get("columns")), broken_columns(found)
    names = [*broken, *sorted(name for name, item in columns.items() if item.get("drifted") and name not in broken)]
    rows = [_column(name, mapping(columns.get(name)), name in broken) for name in names]
    current = mapping(mapping(found.get("windows")).get("current"))
    span = (
        f" {day(current['since'])} to {day(current['until'])}" if current.get("since") and current.get("until") else ""
    )
    caption = f"The current window{span} against {reference_words(found)}; {len(columns)} columns were looked at."
    heads = ("column", "before", "now", "score", "since about", "verdict")
    quiet = f"No column of {len(columns)} drifted against {reference_words(found)}."
    return section("Drift", table(heads, rows, caption, numbers=(1, 2, 3)) or empty(quiet), name="drift")


def _column(name: str, item: Plain, broken: bool) -> tuple[str, ...]:
    title, unit = TITLES.get(name, (name, ""))
    means = [item.get(f"{side}_mean") for side in ("reference", "current")]
    shown = [value_text(mean, unit) if known(mean) else "\u2013" for mean in means]
    score, threshold = item.get("score"), item.get("threshold")
    judged = (
        f"{number(score, 2)}<small>of {number(threshold, 2)}</small>" if known(score) and known(threshold) else "\u2013"
    )
    verdict = badge("fail", "broken") if broken else badge("inconclusive", "drifted")
    reason = f"<small>{escape(str(item.get('reason') or item.get('problem') or ''))}</small>" if broken else ""
    onset = escape(day(item["onset"])) if item.get("onset") else "\u2013"
    return (f"{escape(title)}<small>{escape(name)}</small>", *map(escape, shown), judged, onset, f"{verdict}{reason}")


def money(document: Plain) -> str:
    """Trade-off and cost, side by side."""
    tradeoff, cost = mapping(document.get("tradeoff")), mapping(document.get("cost"))
    left = "<h3>Trade-off of satisfaction, latency and cost</h3>"
    if tradeoff.get("verdict"):
        said = str(tradeoff.get("reason") or "").strip().rstrip(".")
        left += (
            f"<p><b>{text(str(tradeoff['verdict']).capitalize())}</b></p><p>{text(said[:1].upper() + said[1:])}.</p>"
        )
        left += (
            f'<p class="soft">{code(tradeoff.get("id"))} {moment(tradeoff.get("created_at") or tradeoff.get("at"))}</p>'
        )
    else:
        left += '<p class="soft">No trade-off is recorded: <code>controlplane tradeoff --record</code> keeps one.</p>'
    right = f"<h3>Model cost</h3>{_cost(cost)}"
    return section(
        "Trade-off and cost",
        f'<div class="pair"><div class="card">{left}</div><div class="card">{right}</div></div>',
        name="cost",
    )


def _cost(cost: Plain) -> str:
    if not cost:
        return '<p class="soft">Nothing was spent, or nothing is known of it.</p>'
    forecast = mapping(cost.get("forecast"))
    low, high = (forecast.get(end) for end in ("low", "high"))
    ends = f"<small>{escape(range_text(low, high, 'USD'))}</small>" if known(low) and known(high) else ""
    why = "" if known(forecast.get("value")) else f"<small>{text(cost.get('reason'))}</small>"
    budget, unpriced = cost.get("budget"), cost.get("unpriced_share")
    pairs = [
        ("this week", escape(value_text(cost.get("spent"), "USD"))),
        ("month so far", escape(value_text(cost.get("month_so_far"), "USD"))),
        (f"forecast of {text(cost.get('month'))}", f"{escape(value_text(forecast.get('value'), 'USD'))}{ends}{why}"),
        ("budget of the month", escape(value_text(budget, "USD")) if known(budget) and budget else "none was set"),
        ("requests without a price", percent(unpriced) if known(unpriced) else "unknown"),
    ]
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>"


def people(document: Plain) -> str:
    """Decisions with who and why, who answers for what, and the delivery figures of releases."""
    rows = [
        (
            moment(item.get("at")),
            text(item.get("actor")),
            text(str(item.get("event") or "").replace("_", " ")),
            text(item.get("reason")),
        )
        for item in rows_of(document.get("decisions"))
    ]
    done = table(("when (UTC)", "who", "what", "why"), rows, "Decisions of the week, oldest first.") or empty(
        "No decision was taken this week."
    )
    parts = section("Decisions", done, name="decisions")
    owners = facts([*_owners(mapping(document.get("owners"))), *_exposure(mapping(document.get("exposure")))])
    return parts + section("Who answers for what, and how releases go", owners, name="owners")


def _owners(owners: Plain) -> list[tuple[str, str]]:
    found = [(name, text(owners.get(key)) if owners.get(key) else "nobody is named") for key, name in OWNERS]
    signers = [str(name) for name in owners.get("programme") or ()]
    found.append(("signs reviews", text(", ".join(signers)) if signers else "any person"))
    for key, name in (
        ("open_actions", "open actions"),
        ("overrides", "overrides in force"),
        ("contained", "categories sent to people"),
    ):
        items = [_item(item) for item in owners.get(key) or ()]
        found.append((name, "<br>".join(items) if items else "none"))
    return found


def _item(item: object) -> str:
    if not isinstance(item, dict):
        return text(item)
    what = str(item.get("what") or item.get("trigger") or "")
    who = str(item.get("owner") or item.get("actor") or "") or "nobody has taken it"
    since = f", since {day(item['since'])}" if item.get("since") else ""
    until = f", until {moment(item['until'])} UTC" if item.get("until") else ""
    why = f": {item['reason']}" if item.get("reason") else ""
    return f"{text(what)} ({text(who)}{since}{until}){text(why) if why else ''}"


def _exposure(found: Plain) -> list[tuple[str, str]]:
    """The delivery figures (DORA): how many changes failed, how soon that was found and contained, who was exposed."""
    if not found:
        return []
    rate, low, high = (found.get(key) for key in ("change_fail_rate", "change_fail_low", "change_fail_high"))
    ends = f"<small>{escape(range_text(low, high, 'share'))}</small>" if known(low) and known(high) else ""
    failed = f"{count_text(found.get('failed'))} of {count_text(found.get('releases'))} changes"
    harm = found.get("customers_exposed")
    return [
        ("window", f"the last {count_text(found.get('days'))} days"),
        ("change-fail rate", f"{percent(rate) if known(rate) else 'unknown'} ({failed}){ends}"),
        ("time to detect", escape(duration(found.get("time_to_detect_s"))) + " (median, from the likely onset)"),
        ("time to contain", escape(duration(found.get("time_to_contain_s"))) + " (median, from detection to verified)"),
        (
            "customers exposed",
            f"{count_text(harm)} in {count_text(found.get('incidents'))} incidents" if known(harm) else "unknown",
        ),
    ]
