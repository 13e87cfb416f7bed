"""The CSAT report in words, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Plain = Mapping[str, Any]


def text(found: Plain) -> str:
    """The answer, the two arms, the difference, what the silent could change, groups, delays and the model."""
    csat = found["csat"]
    lines = [f"{csat['movement'].upper()}: {csat['verdict']}, {csat['reason']}", _window(found), ""]
    lines += [_arm(found["pooled"][side]) for side in ("treated", "control")]
    lines += ["", *_differences(found), "", *_silent(csat)]
    for title, rows in {"week": found["weeks"], **found["groups"]}.items():
        lines += _group(title, rows)
    if found["delays"]:
        lines += ["", f"mean rating by response delay ({', '.join(_names(csat))})"]
        lines += [f"  {row['bucket']:18} {_mean(row['treated']):34} {_mean(row['control'])}" for row in found["delays"]]
    lines += ["", *_model(found["model"], _names(csat))]
    if csat["notes"]:
        lines += ["", "note:", *(f"  {note}" for note in csat["notes"])]
    return "\n".join(lines)


def points(found: Plain | None) -> str:
    """A difference in rating points with its interval."""
    if found is None:
        return "unknown"
    if found["low"] is None:
        return f"{found['value']:+.2f} (interval unknown)"
    return f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"


def share(found: Plain | None, sign: str = "") -> str:
    """A share, or with sign "+" a difference of shares, with its interval."""
    if found is None:
        return "unknown"
    return f"{found['value']:{sign}.1%} [{found['low']:{sign}.1%}, {found['high']:{sign}.1%}]"


def mean(found: Plain | None) -> str:
    """A mean rating with its interval."""
    if found is None:
        return "no rating"
    if found["low"] is None:
        return f"{found['value']:.2f} (interval unknown)"
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def tip(name: str, found: Plain | None, arms: Sequence[str]) -> str:
    """One tipping point in a sentence."""
    what = {
        "vanishes": "for no difference",
        "margin": "to reach the margin",
        "conclusion": "for the answer to be lost",
    }[name]
    if found is None:
        return f"{what}: nothing to tip"
    if not found["possible"]:
        return f"{what}: no silent group on the scale could"
    gap, where = found["gap"], f"at {found['silent_mean']:.2f}, {found['from_rated']:+.2f} from its rated"
    side = "below" if gap >= 0.0 else "above"
    return f"{what}: the silent of {arms[0]} {abs(gap):.2f} points {side} those of {arms[1]} ({where})"


def _names(csat: Plain) -> tuple[str, str]:
    return str(csat["treated"]["arm"]), str(csat["control"]["arm"])


def _window(found: Plain) -> str:
    asked = found["question"]
    if "file" in asked:
        return f"{asked['file']}: {asked['treated']} against {asked['control']}"
    what = asked["release"] or "all releases"
    return f"{what}, {asked['since'][:16]} to {asked['until'][:16]} UTC, ratings known by {asked['as_of'][:16]}, mature after {_hours(asked)}"


def _hours(asked: Plain) -> str:
    hours = asked["maturity_seconds"] / 3600.0
    return f"{hours:g} h" if hours >= 1.0 else f"{hours * 60.0:g} min"


def _arm(arm: Plain) -> str:
    mature = "none" if arm["share_mature"] is None else f"{arm['share_mature']:.1%} mature"
    return (
        f"{arm['arm']:12} {arm['conversations']:>9,} conversations ({mature}), {arm['rated']:>8,} rated = {share(arm['response_rate'])}; "
        f"mean {mean(arm['mean'])}; 4 or 5: {share(arm['top_two'])}"
    )


def _differences(found: Plain) -> list[str]:
    said = found["csat"]["difference"]
    lines = [
        f"difference ({' minus '.join(_names(found['csat']))}, {found['level']:.0%} intervals)",
        f"  response rate    {share(said['response_rate'], '+')}",
        f"  mean             {points(said['mean'])}; valid at every look {points(said['mean_anytime'])}",
    ]
    if found["within_stages"] is not None:
        total = points(found["pooled"]["difference"]["mean"])
        lines.append(
            f"  (within {found['within_stages']['strata']} stages and weeks; the plain total would be {total})"
        )
    return [*lines, f"  share of 4 or 5  {share(said['top_two'], '+')} (beside the mean, never instead)"]


def _silent(csat: Plain) -> list[str]:
    silent = csat["silent"]
    if silent is None:
        return ["the silent: unknown, too few ratings"]
    arms = _names(csat)
    low, high = silent["bounds"]["low"], silent["bounds"]["high"]
    lines = [
        "the silent could change it",
        f"  whatever they think, the difference over everybody lies in [{low:+.2f}, {high:+.2f}]",
        f"  if the silent of {arms[1]} are like its rated ({silent['tipping']['assumed_silent_control']:.2f}), it takes",
    ]
    lines += [f"    {tip(name, silent['tipping'][name], arms)}" for name in ("vanishes", "margin", "conclusion")]
    only = "".join(f"{f'{name} only':22}" for name in arms)
    lines.append(f"  {'if the silent lie from their rated by':38} {'both arms':22}{only}".rstrip())
    for row in silent["table"]:
        cells = "".join(f"{points(row[side]):22}" for side in ("both", "treated", "control"))
        lines.append(
            f"    {row['delta']:+.2f} points{'' if row['on_scale'] else ' (to the end of the scale)':27} {cells}".rstrip()
        )
    return lines


def _group(title: str, rows: list[Plain]) -> list[str]:
    if not rows:
        return []
    lines = ["", f"by {title}"]
    for row in rows:
        n = f"{row['treated']['rated']:,}/{row['treated']['mature']:,} and {row['control']['rated']:,}/{row['control']['mature']:,} rated"
        lines.append(f"  {row['value'][:28]:28} {points(row['difference']['mean']):24} {row['movement']:10} {n}")
    return lines


def _mean(found: Plain | None) -> str:
    return "-" if found is None else f"{mean(found)} n={found['n']:,}"


def _model(model: Plain, names: Sequence[str]) -> list[str]:
    if model["status"] != "ok":
        return [f"model of the silent: {model['status']}", *(f"  {reason}" for reason in model["reasons"])]
    lines = [f"model of the silent ({model['label']})"]
    for name, said in (("aipw", "doubly robust"), ("ipw", "weighted by 1/chance to answer")):
        arms = model[name]
        lines.append(
            f"  {said:32} {names[0]} {mean(arms['treated'])}, {names[1]} {mean(arms['control'])}, difference {points(arms['difference'])}"
        )
    for name, found in zip(names, (model["diagnostics"][side] for side in ("treated", "control")), strict=True):
        fit, slope, area = found["r_squared"], found["rating"]["slope"], found["answering_auc"]
        told = "nobody silent" if area is None else f"AUC of answering {area['value']:.2f}"
        lines.append(
            f"  {name:12} R2 {fit['value']:.2f} [{fit['low']:.2f}, {fit['high']:.2f}], calibration slope {slope['value']:.2f} "
            f"[{slope['low']:.2f}, {slope['high']:.2f}], error {found['rating']['ece']:.3f} points, {told}, "
            f"ratings worth {found['effective_ratings']:,.0f} of {found['rated']:,}"
        )
    if model["left_out"]:
        lines.append(f"  left out, told with the rating: {', '.join(model['left_out'])}")
    return lines
