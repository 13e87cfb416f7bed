"""What speaks for and against causes outside the assistant: traffic, a dependency, infrastructure, logging. Pure."""

from __future__ import annotations

from controlplane.core.cause_calls import hurt_calls, quiet
from controlplane.core.cause_effects import FAR, INPUTS, MOVED_SHARES, Effects, strength
from controlplane.core.cause_lines import Lines, is_, line, unknown
from controlplane.core.cause_model import MEASURES, State
from controlplane.core.cause_words import percent, shift_words

BESIDE = 0.25  # of the worst one's change: what changed less is not "as well"
OPERATIONS = ("latency", "timed_out", "slow", "failed")
OUTPUTS = ("tokens_in", "tokens_out", "confidence")


def traffic(effects: Effects, primary: str) -> Lines:
    """Other customers or questions, in both arms alike; each slice is as good as before."""
    moved = []
    for column in INPUTS:
        drift = effects.distance(column, None)
        if drift is not None:
            moved.append((drift[0] if drift[1] >= MOVED_SHARES else 0.0, drift[1], column, drift[2]))
    would = "the old mix of customers shows the same harm"
    if not moved:
        yield unknown("inputs", "neither intent, channel, region nor segment is logged on both sides", would)
    else:
        far, z, column, grew = max(moved)
        points = 2.0 if far >= 0.1 else 1.0 if far >= FAR else -3.0
        said = f"{column}: {percent(far)} of the conversations are other ones, most of all {grew} (z {z:.1f})"
        yield line("inputs", points, said if far else "no input changed its shares", would)
    whole = effects.treated(primary)
    mixes = [(found, column) for column in INPUTS if (found := effects.mix(primary, column)) is not None]
    if whole is None or not mixes:
        yield unknown("mix", "the change cannot be split into mix and rate", would)
        return
    (mix, rate, grew), column = max(mixes, key=lambda item: abs(item[0][0].value))
    part = mix.value / whole.value if whole.value else 0.0
    said = f"other shares of {column} explain {_points(mix.value)} of {_points(whole.value)}, changes inside its slices {_points(rate)}"
    if abs(mix.z) >= 3 and part >= 0.5:
        yield line("mix", 3.0, said, would)
    else:
        yield line("mix", -2.0 if part < 0.25 else 0.0, said, would)
    baseline = effects.baseline(primary)
    if baseline is not None and baseline.state is State.MOVED and baseline.value * whole.value > 0:
        yield line(
            "arms", 0.5, f"the baseline changed as well: {shift_words(primary, baseline, MEASURES[primary])}", would
        )


def _points(value: float) -> str:
    return f"{value * 100:+.1f} points"


def dependency(effects: Effects, primary: str) -> Lines:
    """One dependency fails or is slow; what does not call it is spared."""
    would = "the dependency's own monitoring shows nothing"
    found = hurt_calls(effects, "dependency")
    if not effects.called("dependency"):
        yield unknown("calls", "no calls of dependencies in the log", "log a dependency_call for each call")
        return
    if not found:
        still = all(is_(effects.call_shift("dependency", name), State.STILL) for name in effects.called("dependency"))
        yield line("calls", -3.0 if still else -1.0, "no dependency fails more often or takes longer", would)
        return
    worst = found[0]
    name = worst.name
    yield line("calls", 3.0 * worst.strength**2, f"{name}: {worst.text}", would)
    others = [item.name for item in found[1:] if item.margins >= BESIDE * worst.margins]
    if others:
        yield line("others", -2.5, f"{', '.join(others)} changed as well", would)
    elif len(effects.called("dependency")) > 1:
        calm = all(quiet(effects, other) for other in effects.called("dependency") if other != name)
        yield line(
            "others",
            1.0 if calm else 0.0,
            "the other dependencies did not change" + ("" if calm else " clearly"),
            would,
        )
    inside = effects.slice_of(primary, "treated", "dependency", name)
    if inside is None:
        yield unknown("callers", "too few conversations with and without it", would)
    elif inside.z >= 3 and abs(inside.inside) > abs(inside.outside):
        said = f"conversations that call it: {_points(inside.inside)}; others {_points(inside.outside)}"
        yield line("callers", 1.0, said, "conversations without it are as bad")
    elif inside.z < 2:
        yield line("callers", -1.0, "conversations that do not call it changed as much", would)


def infrastructure(effects: Effects, primary: str) -> Lines:
    """Both arms are slow or fail, whatever they call."""
    would = "one arm alone is slow, or one dependency explains it"
    both = [name for name in OPERATIONS if effects.scope(name) == "both" and _worse(effects, name)]
    one = [name for name in OPERATIONS if effects.scope(name) == "treated" and _worse(effects, name)]
    if both:
        said = "; ".join(shift_words(name, shift, MEASURES[name]) for name in both if (shift := effects.treated(name)))
        most = max(strength(shift, MEASURES[name]) for name in both if (shift := effects.treated(name)))
        yield line("operations", 3.0 * most, f"in both arms: {said}", would)
    elif one:
        yield line("operations", -1.0, f"{', '.join(one)} got worse for the assistant alone", would)
    elif all(is_(effects.treated(name), State.STILL) for name in ("latency", "timed_out", "failed")):
        yield line("operations", -3.0, "latency, time-outs and errors are as before", would)
    elif all(effects.treated(name) is None for name in OPERATIONS):
        yield unknown("operations", "neither latency, time-outs nor errors are logged", would)
    else:
        yield line("operations", -1.0, "latency, time-outs and errors show no clear change", would)
    hurt = [item for kind in ("dependency", "model") for item in hurt_calls(effects, kind)]
    worst = max((item.margins for item in hurt), default=0.0)
    named = [item.name for item in hurt if item.margins >= max(BESIDE * worst, 0.5)]
    if len(named) == 1:
        yield line("spread", -2.5, f"only calls of {named[0]} got worse", would)
    elif len(named) > 1:
        yield line("spread", 1.0, f"calls of {', '.join(named)} got worse together", would)
    changed = [name for name in OUTPUTS if is_(effects.own(name), State.MOVED)]
    if changed:
        yield line("outputs", -1.0, f"what the assistant says changed as well: {', '.join(changed)}", would)


def _worse(effects: Effects, name: str) -> bool:
    found = effects.treated(name)
    return found is not None and found.value * MEASURES[name].worse > 0


def logging(effects: Effects, primary: str) -> Lines:
    """Records or fields are missing: the numbers changed, perhaps not the service."""
    would = "the service's own access log has no more requests than ours"
    known, missing, there = False, [], []
    for name, points in (("lost", 3.5), ("blank", 3.5), ("rated", 2.5)):
        found = {arm: shift for arm in ("assistant", "baseline") if (shift := effects.of(name, arm)) is not None}
        known = known or bool(found)
        moved = {arm: s for arm, s in found.items() if s.state is State.MOVED and (s.value < 0) == (name == "rated")}
        for arm, shift in list(moved.items())[:1]:
            said = f"{arm}: {shift_words(name, shift, MEASURES[name])}"
            missing.append(line(name, points * strength(shift, MEASURES[name]), said, would))
        if not moved and found and all(s.state is State.STILL for s in found.values()):
            there.append(line(name, -1.0, shift_words(name, next(iter(found.values())), MEASURES[name]), would))
    yield from missing or there
    if not known:
        yield unknown("records", "exposures, fields and ratings are too few to see whether records are missing", would)
