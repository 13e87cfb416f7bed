"""The what-ifs on the cost page: what would save money, and what it costs with people in it. Assumptions stand in the address."""

from __future__ import annotations

from datetime import timedelta
from html import escape

import streamlit as st

from controlplane.analysis.tradeoff import dollars
from controlplane.analysis.tradeoff_measure import CostFound
from controlplane.analysis.tradeoff_savings import Gpu, Saving
from controlplane.core.roles import Permission
from dashboards import control, filters, tasks, ui
from dashboards.cost import charts as charts_cost
from dashboards.cost import savings as cost_savings
from dashboards.cost import values as cost_values
from dashboards.cost.savings import Assumptions, Traffic
from dashboards.shell import View
from dashboards.tasks import lacking
from dashboards.words import duration, stamp

KEY = "cost_traffic"
ASKED = {  # name in the address -> label, default, least, most, step, explanation
    "small": (
        "A small model costs, % of today's",
        20,
        0,
        100,
        5,
        "A request on the small model, as a share of what it costs now.",
    ),
    "trim": (
        "Prompts shorter by, %",
        20,
        0,
        90,
        5,
        "Only input tokens that the provider does not read from its cache.",
    ),
    "cache": ("A cached answer lives, h", 24, 1, 8760, 1, "After its last use. Needs the logs to be read again."),
    "person": (
        "A conversation with a person, $",
        0,
        0,
        1000,
        0.5,
        "What it costs when somebody takes over. 0: left out.",
    ),
    "target": ("A resolved one may cost, $", 0, 0, 1000, 0.01, "0: compared with what the baseline costs."),
}
NARROW = 0.02  # an interval of a share that is shorter is told with a digit after the point
CAP_USD = 0.05  # what a first request may cost where the policy has no cap


def show(now: View, hours: float, name: str) -> Traffic | None:
    """Assumptions, the button that reads the logs, and what follows; the traffic once it was read."""
    ui.section(
        "What would save money",
        "Each line asks what the same requests would have cost. They are not added up: two of them may save the same dollar.",
    )
    said = _assumptions()
    if not now.config.may_act or not now.person.may(Permission.QUERY):
        text = lacking(Permission.QUERY) if now.config.may_act else control.READ_ONLY
        ui.empty("What-ifs need the logs.", f"{text} On the command line: `controlplane tradeoff --out tradeoff.html`.")
        return None
    asked = {"hours": hours, "cache_hours": said.cache_hours, "cap_usd": cap(now)}
    answer = tasks.button(
        now, KEY, f"Work it out from the logs: {name.lower()}", "cost_traffic", asked, Permission.QUERY
    )
    tasks.failed(KEY)
    if answer is None:
        st.caption(
            "Reads the requests of that time in the control process; nothing is changed. Assumptions can be moved afterwards."
        )
        return None
    found = cost_savings.traffic(answer)
    st.caption(
        f"Requests from {stamp(found.since)[:16]} to {stamp(found.until)[:16]} UTC: {dollars(found.spent)} in model calls,"
        f" {duration(timedelta(hours=found.logged_hours))} of logs."
        + (
            ""
            if found.cache_hours == said.cache_hours
            else " The life of the cache has changed since: work it out again."
        )
    )
    _savings(now, found, said)
    _people(now, found, said)
    _firsts(found)
    _hardware(found)
    return found


def cap(now: View) -> float:
    """What a first request may cost, in US dollars: by the policy's trigger, else a round figure."""
    triggers = now.state.policy.triggers if now.state.policy else ()
    caps = [trigger.cap_usd for trigger in triggers if trigger.metric == "costly_share" and trigger.cap_usd]
    return min(caps, default=CAP_USD)


def _assumptions() -> Assumptions:
    said = {}
    grid = st.grid(columns=5, min_column_width=180, key="cost_assumptions")
    for name, (label, default, low, high, step, note) in ASKED.items():
        with grid.cell():
            said[name] = filters.number(name, label, default, low, high, step, help=note)
    target = said["target"] or None
    return Assumptions(said["small"] / 100, said["trim"] / 100, said["cache"], said["person"], target)


def _savings(now: View, found: Traffic, said: Assumptions) -> None:
    rows = cost_savings.savings(found, said)
    frame = cost_savings.savings_frame(rows)
    if frame.is_empty():
        ui.empty(
            "Nothing was paid for.",
            "No request of this time has a price, so nothing could be saved. Choose a longer time.",
        )
        return
    best = rows[0]
    alt = f"Share of the model cost that each what-if saves; most: {best.title.lower()}, {_share(best)}"
    ui.figure(charts_cost.savings(frame, now.colours), alt, "cost_savings")
    a_month = found.a_month
    head = ["What if", "Requests served by it", "Of the model cost", "In this time", "A month", "If"]
    cells = [_row(row, a_month) for row in rows]
    ui.table(head, cells, numeric=(1, 2, 3, 4))
    if a_month is None:
        st.caption(
            f"No month is told from {duration(timedelta(hours=found.logged_hours))} of logs; it takes a whole day."
        )
    unknown = [price.model for price in found.prices if not price.known and price.model]
    if unknown:
        st.caption(
            f"The price of a token could not be read back from the log for {', '.join(unknown)}: the costs follow no line, or prompts and"
            " answers grow together, so that their prices cannot be told apart."
        )


def _row(row: Saving, a_month: float | None) -> tuple[str, ...]:
    served = "unknown" if row.served is None else f"{100 * row.served.estimate:.0f} %"
    usd = "unknown" if row.usd is None else dollars(row.usd)
    month = "\u2013" if row.usd is None or a_month is None else dollars(row.usd * a_month)
    return (
        escape(row.title),
        served,
        _share(row),
        usd,
        month,
        f'<span class="cp-small">{escape(row.assumption)}</span>',
    )


def _share(row: Saving) -> str:
    if row.saved is None:
        return "unknown"
    low, high = max(row.saved.low, 0.0), row.saved.high
    digits = 1 if high - low < NARROW else 0
    return f"{100 * row.saved.estimate:.{digits}f} % ({100 * low:.{digits}f} to {100 * high:.{digits}f})"


def _people(now: View, found: Traffic, said: Assumptions) -> None:
    """A resolved conversation with the people who were needed for the others."""
    ui.section(
        "With people in it",
        "US dollars per conversation resolved without a person: model calls of all conversations, and the people who took over the"
        f" rest. Conversations older than {duration(timedelta(seconds=found.maturity_seconds))}, so that their outcome is known; 95 % intervals.",
    )
    treated, control_arm = cost_savings.against_people(found, said)
    grid = st.grid(columns=3, min_column_width=240, key="cost_people")
    for label, one in (("Assistant", treated), (now.baseline.capitalize(), control_arm)):
        with grid.cell():
            ui.tile(label, *_per_resolved(one))
    with grid.cell():
        ui.tile(*_verdict(treated, said, now.baseline))
    if not said.person and said.target is None:
        st.caption("Say above what a conversation with a person costs you: without it only model calls are compared.")


def _per_resolved(one: CostFound) -> tuple[str, str]:
    if one.interval is None:
        return "unknown", "too few resolved conversations"
    low, high = one.interval.low, one.interval.high
    spread = f"{dollars(max(low, 0.0))} to {dollars(high)}"
    return dollars(one.interval.estimate), f"{spread} \u00b7 {one.resolved:,} resolved of {one.conversations:,}"


def _verdict(one: CostFound, said: Assumptions, baseline: str) -> tuple[str, str, str, str]:
    """Label, value, note and tone of the comparison."""
    tone = {"within target": "good", "above target": "bad"}.get(str(one.verdict), "quiet")
    if said.target is None and one.difference is not None:
        found = one.difference
        sign = "less" if found.estimate < 0 else "more"
        note = (
            f"{dollars(abs(found.estimate))} {sign} than the {baseline}; {dollars(found.low)} to {dollars(found.high)}"
        )
        return f"Against the {baseline}", str(one.verdict).capitalize(), note, tone
    line = "no target" if one.target is None else f"target {dollars(one.target)}"
    return (
        "Against the target" if said.target is not None else f"Against the {baseline}",
        str(one.verdict).capitalize(),
        line,
        tone,
    )


def _firsts(found: Traffic) -> None:
    """How dear single requests are, and how many are dearer than the cap."""
    q = {name: "unknown" if value is None else dollars(value) for name, value in found.quantiles.items()}
    rate = cost_values.share("costly_share", found.dear_firsts, found.priced_firsts)
    above = f"{cost_values.text(rate)} of {found.priced_firsts:,} are dearer than {dollars(found.cap_usd)}"
    spread = f" ({cost_values.interval(rate)})" if rate.value is not None else ""
    st.caption(
        f"First requests: half cost up to {q['median']}, 95 % up to {q['p95']}, the dearest {q['most']}; {above}{spread}."
    )


def _hardware(found: Traffic) -> None:
    """API or hardware of one's own, behind a click: few ask."""
    with st.expander("An API, or hardware of our own?"):
        grid = st.grid(columns=3, min_column_width=180, key="cost_gpu")
        with grid.cell():
            usd = filters.number("gpu", "One GPU, $ an hour", 2, 0.01, 100, 0.5)
        with grid.cell():
            tokens = filters.number("gpu_tokens", "Tokens a second that it serves", 1500, 1, 1e6, 100)
        with grid.cell():
            used = filters.number("gpu_used", "How full at the peak, %", 50, 1, 100, 5)
        told = cost_savings.hardware(found, Gpu(usd, tokens, used / 100))
        st.html(f"<b>{escape(told.text[:1].upper() + told.text[1:])}</b>")
        st.html("".join(f'<div class="cp-small">{escape(reason)}</div>' for reason in told.reasons))
