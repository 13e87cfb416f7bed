"""The CSAT report as one HTML file: no script, no request to anywhere, light and dark, prints on paper.

The answer first; then who answered and what; the difference by every reading of it on one scale; what the silent could change; weeks and groups;
answers by delay; the model of the silent, labelled; and what was left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.analysis.csat_svg import bars, curve, dots

Plain = Mapping[str, Any]
COLOURS = {"improved": "pass", "not worse": "pass", "worse": "fail", "unknown": "no_data"}
SIDES = ("treated", "control")
HEADINGS = {"vanishes": "the difference is gone", "margin": "the margin is reached", "conclusion": "the answer is lost"}


def report(found: Plain) -> str:
    """The page. `found` is what `controlplane csat --json` prints."""
    csat = found["csat"]
    names = [escape(csat[side]["arm"]) for side in ("treated", "control")]
    parts = [
        _answer(found),
        _arms(found["pooled"]),
        _difference(found),
        _silent(found, names),
        *(_group(title, rows, names) for title, rows in {"week": found["weeks"], **found["groups"]}.items() if rows),
        _delays(found["delays"], names),
        _model(found["model"], names),
        _origin(found),
    ]
    style = files("controlplane").joinpath("report_style.css").read_text(encoding="utf-8") + STYLE
    title = f"CSAT: {csat['movement']}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


STYLE = (
    ".two{display:grid;grid-template-columns:1fr 1fr;gap:16px}.value{font-size:28px;font-weight:650;margin:2px 0}.small{font-size:13px}"
    "svg{display:block;max-width:100%;height:auto}.here td{font-weight:650}"
    "@media(max-width:760px){.two{grid-template-columns:1fr}}@media print{.card{break-inside:avoid}h2{break-after:avoid}}"
)


def _answer(found: Plain) -> str:
    csat, asked = found["csat"], found["question"]
    if "file" in asked:
        what = escape(f"{asked['file']}: {asked['treated']} against {asked['control']}")
    else:
        what = escape(f"{asked['release'] or 'All releases'}, {_time(asked['since'])} to {_time(asked['until'])} UTC")
        what += escape(f", ratings known by {_time(asked['as_of'])}")
    return (
        f'<p class="soft">Customer satisfaction &middot; {what}</p>'
        f'<section class="card answer {COLOURS[csat["movement"]]}"><div><h1>{escape(csat["movement"].capitalize())}</h1>'
        f"<p><b>{_points(csat['difference']['mean'])}</b> rating points against the menu; not worse down to &minus;{csat['margin']:g}.</p>"
        f"<p>{escape(csat['verdict'].capitalize())}: {escape(csat['reason'])}.</p></div></section>"
    )


def _arms(arms: Plain) -> str:
    cards = []
    for side in ("treated", "control"):
        arm = arms[side]
        mature = "no conversation" if arm["share_mature"] is None else f"{arm['share_mature']:.1%} mature"
        cards.append(
            f"<section class='card'><p class='soft'>{escape(arm['arm'])}</p><p class='value'>{_mean(arm['mean'])}</p>"
            f"{bars(arm['distribution'])}<p>{arm['rated']:,} of {arm['mature']:,} rated: {_share(arm['response_rate'])}</p>"
            f"<p class='soft small'>{arm['conversations']:,} conversations, {mature}. "
            f"4 or 5: {_share(arm['top_two'])}, beside the mean, never instead.</p></section>"
        )
    return f"<h2>Who answered, and what</h2><div class='two'>{''.join(cards)}</div>"


def _difference(found: Plain) -> str:
    csat, inside = found["csat"], found["within_stages"]
    said = csat["difference"]
    lines = [("mean of the rated", said["mean"]), ("valid at every look", said["mean_anytime"])]
    lines += [("plain total", found["pooled"]["difference"]["mean"])] if inside else []
    if found["model"]["status"] == "ok":
        lines.append(("everybody, modelled", found["model"]["aipw"]["difference"]))
    if csat["silent"] is not None:
        ends = csat["silent"]["bounds"]
        lines.append(("whatever the silent think", {"value": None, "low": ends["low"], "high": ends["high"]}))
    strata = f", within {inside['strata']} stages and weeks so that a ramp mixes no times" if inside else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in csat["notes"])
    return (
        f"<h2>The difference, by every reading of it</h2><section class='card'>{dots(lines, found['margin'])}"
        f"<p class='soft small'>Rating points, {found['level']:.0%} intervals{strata}; the band is minus the margin to no difference. "
        f"Response rates differ by {_share(said['response_rate'], '+')}, shares of 4 or 5 by {_share(said['top_two'], '+')}.</p>"
        f"{f'<ul class=small>{notes}</ul>' if notes else ''}</section>"
    )


def _silent(found: Plain, names: Sequence[str]) -> str:
    silent = found["csat"]["silent"]
    if silent is None:
        return "<h2>What the silent could change</h2><section class='card'><p>Unknown: too few ratings.</p></section>"
    tips = "".join(
        f"<tr><td>{HEADINGS[name]}</td><td>{_tip(silent['tipping'][name], names)}</td></tr>" for name in HEADINGS
    )
    rows = []
    for row in silent["table"]:
        cells = "".join(_number(_points(row[side])) for side in ("both", "treated", "control"))
        end = "" if row["on_scale"] else "<small>to the end of the scale</small>"
        rows.append(f"<tr class='{'here' if row['delta'] == 0 else ''}'><td>{row['delta']:+.2f}{end}</td>{cells}</tr>")
    table = _table(["points", "both arms", f"{names[0]} only", f"{names[1]} only"], rows)
    return (
        "<h2>What the silent could change</h2><section class='card'><p>Nobody knows what silent customers think. Here those of "
        f"{names[1]} are taken to be like its rated ({silent['tipping']['assumed_silent_control']:.2f}), and the curve moves those of {names[0]}.</p>"
        f"{curve(silent['table'], found['margin'])}"
        f"<table><tr><th>until</th><th>the silent of {names[0]} would have to lie</th></tr>{tips}</table>"
        f"<details open><summary>If the silent lie from the rated by so many points</summary>{table}</details>"
        "<p class='soft small'>Plausible here: both arms' silent up to a point off, one arm's up to "
        f"{found['csat']['plausible_gap']:g} further than the other's.</p></section>"
    )


def _tip(found: Plain | None, names: Sequence[str]) -> str:
    if found is None:
        return "nothing to tip"
    if not found["possible"]:
        return "no silent group on the scale could"
    side = "below" if found["gap"] >= 0.0 else "above"
    where = f"at {found['silent_mean']:.2f}, {found['from_rated']:+.2f} from its rated"
    return f"{abs(found['gap']):.2f} points {side} the silent of {names[1]} ({where})"


def _group(title: str, rows: Sequence[Plain], names: Sequence[str]) -> str:
    body = []
    for row in rows:
        badge = f"<span class='badge {COLOURS[row['movement']]}'>{escape(row['movement'])}</span>"
        arms = "".join(
            _number(f"{_mean(arm['mean'])}<small>{arm['rated']:,} of {arm['mature']:,} mature rated</small>")
            for arm in (row["treated"], row["control"])
        )
        difference = _number(_points(row["difference"]["mean"]))
        body.append(f"<tr><td>{escape(row['value'])}</td>{difference}<td>{badge}</td>{arms}</tr>")
    shared = ", so that many groups accuse nobody by luck" if title != "week" and len(rows) > 1 else ""
    caption = f"Intervals at {rows[0]['level']:.4g}{shared}."
    table = _table([escape(title), "difference", "", *names], body, caption)
    return f"<h2>By {escape(title)}</h2><section class='card'>{table}</section>"


def _delays(rows: Sequence[Plain], names: Sequence[str]) -> str:
    if not rows:
        return ""
    body = []
    for row in rows:
        cells = [row[side] and f"{_mean(row[side])}<small>{row[side]['n']:,} ratings</small>" for side in SIDES]
        body.append(f"<tr><td>{escape(row['bucket'])}</td>{''.join(_number(cell or '&ndash;') for cell in cells)}</tr>")
    caption = "Quick answers are not slow answers; what comes after the maturity counts nowhere else."
    return (
        f"<h2>By response delay</h2><section class='card'>{_table(['answered after', *names], body, caption)}</section>"
    )


def _model(model: Plain, names: Sequence[str]) -> str:
    if model["status"] != "ok":
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in model["reasons"])
        said = f"<p><b>{escape(model['status'].capitalize())}</b></p><ul>{reasons}</ul>"
        return f"<h2>Model of the silent</h2><section class='card'>{said}</section>"
    rows = []
    for key, title in (("aipw", "doubly robust"), ("ipw", "weighted by one over the chance to answer")):
        cells = [*(_mean(model[key][side]) for side in SIDES), _points(model[key]["difference"])]
        rows.append(f"<tr><td>{title}</td>{''.join(map(_number, cells))}</tr>")
    checks = [_checks(name, model["diagnostics"][side]) for name, side in zip(names, SIDES, strict=True)]
    head = ["", "R&sup2;", "calibration slope", "calibration error", "AUC of answering", "ratings worth"]
    left = f" Left out, told with the rating: {escape(', '.join(model['left_out']))}." if model["left_out"] else ""
    return (
        f"<h2>Model of the silent</h2><section class='card'><p><b>{escape(model['label'].capitalize())}.</b></p>"
        f"{_table(['mean over everybody', *names, 'difference'], rows)}{_table(head, checks)}"
        f"<p class='soft small'>From {escape(', '.join(model['features']))}; every prediction comes from folds that did not see "
        f"the customer; arms at the same mix of stages.{left}</p></section>"
    )


def _checks(name: str, found: Plain) -> str:
    area = found["answering_auc"]
    cells = [
        _plain(found["r_squared"]),
        _plain(found["rating"]["slope"]),
        f"{found['rating']['ece']:.3f}<small>{found['rating']['ece_noise']:.3f} by chance</small>",
        "&ndash;" if area is None else _plain(area),
        f"{found['effective_ratings']:,.0f}<small>of {found['rated']:,}</small>",
    ]
    return f"<tr><td>{name}</td>{''.join(map(_number, cells))}</tr>"


def _origin(found: Plain) -> str:
    asked = found["question"]
    items = {key: value for key, value in asked.items() if key != "queries" and value not in ("", None)}
    rows = [
        f"<tr><td>{escape(row['arm'])}</td>{''.join(_number(f'{row[key]:,}') for key in LEFT)}</tr>"
        for row in found["coverage"]
    ]
    table = _table(["arm", *LEFT.values()], rows) if rows else ""
    queries = asked.get("queries", {})
    more = f"<details><summary>Queries</summary>{_list(queries)}</details>" if queries else ""
    return f"<h2>What was counted</h2><section class='card'>{table}{_list(items)}{more}</section>"


def _list(items: Plain) -> str:
    lines = "".join(
        f"<dt>{escape(key if '/' in key else key.replace('_', ' '))}</dt><dd><code>{escape(str(value))}</code></dd>"
        for key, value in items.items()
    )
    return f"<dl>{lines}</dl>"


def _table(head: Sequence[str], rows: Sequence[str], caption: str = "") -> str:
    """Heads and rows are HTML already; the first column is text, the others are numbers."""
    first, *others = head
    cells = f"<th>{first}</th>" + "".join(f"<th class='number'>{name}</th>" for name in others)
    title = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{title}<tr>{cells}</tr>{''.join(rows)}</table>"


def _number(text: str) -> str:
    return f"<td class='number'>{text}</td>"


LEFT = {
    "eligible": "eligible", "repeats": "same customer again", "alone": "other arm absent", "counted": "counted",
    "young": "of them too young", "early": "early ratings", "late": "late ratings",
}  # fmt: skip


def _points(found: Plain | None) -> str:
    if found is None:
        return "unknown"
    if found["low"] is None:
        return f"{found['value']:+.2f}"
    return f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"


def _share(found: Plain | None, sign: str = "") -> str:
    return (
        "unknown"
        if found is None
        else f"{found['value']:{sign}.1%} [{found['low']:{sign}.1%}, {found['high']:{sign}.1%}]"
    )


def _mean(found: Plain | None) -> str:
    if found is None:
        return "&ndash;"
    return _plain(found) if found["low"] is not None else f"{found['value']:.2f}"


def _plain(found: Plain) -> str:
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _time(text: str) -> str:
    return text[:16].replace("T", " ")
