"""What speaks for and against each kind of cause: every rule reads numbers, gives points and says why. Pure.

Here the causes that sit in the assistant; those outside it are in `cause_rules_world`, and what points mean stands in `cause_lines`.
"""

from __future__ import annotations

from collections.abc import Callable

from controlplane.core import cause_rules_world as world
from controlplane.core.cause_calls import hurt_calls
from controlplane.core.cause_changes import LOGGED, arrivals, closeness, is_logged, recorded
from controlplane.core.cause_effects import FAR, MOVED_SHARES, Effects, strength
from controlplane.core.cause_lines import Lines, is_, judged, line, marked, unknown
from controlplane.core.cause_model import MEASURES, Kind, Line, Shift, State
from controlplane.core.cause_words import change_words, moment, percent, shift_words

# shared by what only the treated arm has


def of_the_arm(effects: Effects, primary: str) -> Line:
    """Whether the harm is the assistant's own."""
    scope = effects.scope(primary)
    own, other = effects.own(primary), effects.baseline(primary)
    would = "the concurrent baseline shows the same change"
    if scope == "unknown" or own is None or other is None:
        return unknown("arms", "the arms cannot be compared: one has too few conversations", would)
    said = shift_words(primary, own, MEASURES[primary], "against the concurrent baseline")
    if scope == "treated":
        return line("arms", 1.0, f"only the assistant changed: {said}", would)
    if scope == "both":
        return line(
            "arms", -2.0, f"the baseline changed as well: {shift_words(primary, other, MEASURES[primary])}", would
        )
    return line("arms", 0.0, f"which arm changed is not clear: {said}", would)


def of_the_log(effects: Effects, kind: Kind) -> Lines:
    """What people recorded, and what the log lines carry."""
    facts = effects.facts
    columns = LOGGED.get(kind, ()) if kind in LOGGED else ()
    named = [key[0] for key in facts.shares if key[0].startswith("artefact:") and kind.value in key[0]]
    columns = (*columns, *sorted(set(named)))
    new = arrivals(facts, columns)
    best, points = recorded(facts, kind), 0.0
    if new:
        first = max(new, key=lambda item: closeness(item.first, facts.onset, facts.since))
        points = 3.0 * closeness(first.first, facts.onset, facts.since)
        yield line(
            "served",
            points,
            f"{first.column} {first.value} is served since {moment(first.first)}",
            "it was served before the onset as well",
        )
    elif any(is_logged(facts, column) for column in columns):
        kept = ", ".join(column for column in columns if is_logged(facts, column))
        hashed = any(column.startswith("artefact:") for column in columns)
        yield line(
            "served",
            -3.0 if hashed else -0.5,
            f"{kept} is the same on both sides of the onset",
            "the log names it wrongly",
        )
    elif kind is not Kind.RELEASE:
        yield unknown(
            "served",
            f"the log lines do not say which {kind.value} served",
            f"log extra.artefacts.{kind.value} with every request",
        )
    if facts.changes is None:
        yield unknown("change log", "the change log could not be read", "the change log")
    elif best is None or best[0] == 0.0:
        yield line(
            "change log",
            -0.5,
            "nothing of the kind was recorded near the onset",
            "somebody changed it without a record",
        )
    else:
        more = max(2.5 * best[0] - 0.5 * points, 0.3 * best[0])
        yield line("change log", more, change_words(best[1], facts.onset), "the change was undone and the harm stayed")


# kinds


def of_errors(effects: Effects, points: float) -> Lines:
    """Errors of the assistant alone, while what it calls is well: its own code raises them."""
    own = effects.own("failed")
    if own is None or own.state is not State.MOVED or own.value < 0:
        return
    if any(hurt_calls(effects, kind) for kind in ("dependency", "model")):
        return
    said = f"errors without a failing call: {shift_words('failed', own, MEASURES['failed'])}"
    yield line("errors", points, said, "the errors come from a call that is not logged")


def release(effects: Effects, primary: str) -> Lines:
    """New artefacts or code, where no single artefact explains it."""
    yield of_the_arm(effects, primary)
    yield from of_the_log(effects, Kind.RELEASE)
    marks = [name for name, shift in _marks(effects).items() if shift is not None and shift.state is State.MOVED]
    would = "one artefact alone brings the harm back"
    if marks:
        yield line("marks", -1.0, f"{', '.join(marks)} moved, which points to a single artefact", would)
    else:
        yield line("marks", 1.5, "no mark of a single artefact moved (tokens, sources, confidence, routes)", would)
    yield from of_errors(effects, 1.5)


def _marks(effects: Effects) -> dict[str, Shift | None]:
    return {name: effects.own(name) for name in ("tokens_in", "tokens_out", "confidence", "rerouted", "routed")} | {
        "sources": _drifted(effects, "source")
    }


def prompt(effects: Effects, primary: str) -> Lines:
    """Another prompt has another length, whatever the customer asks."""
    yield of_the_arm(effects, primary)
    yield from of_the_log(effects, Kind.PROMPT)
    yield from of_errors(effects, -1.0)
    would = "tokens sent are the same with the old prompt"
    yield marked("tokens sent", effects, "tokens_in", 2.0, -1.5, would)
    yield marked("tokens out", effects, "tokens_out", 0.5, 0.0, would)
    yield _sources(effects, -1.0, 0.0)
    carried = effects.carried("tokens_in", "treated")
    if carried is not None:
        yield line("everywhere", -1.0, f"the tokens sent changed in {carried.dimension} {carried.value} only", would)


def model(effects: Effects, primary: str) -> Lines:
    """Another model writes other lengths at another speed; what it did not answer is spared."""
    yield of_the_arm(effects, primary)
    yield from of_the_log(effects, Kind.MODEL)
    would = "the old model with the same prompt shows the same"
    yield marked("tokens out", effects, "tokens_out", 1.0, -1.0, would)
    yield judged("tokens sent", effects.own("tokens_in"), "tokens_in", -0.5, 0.5, would)
    every = {name: effects.call_latency("model", name) for name in effects.called("model")}
    found = {name: shift for name, shift in every.items() if shift is not None}
    moved = [name for name, shift in found.items() if shift.state is State.MOVED]
    known = list(found.values())
    others = [effects.call_latency("dependency", name) for name in effects.called("dependency")]
    if any(shift is not None and shift.state is State.MOVED for shift in others):
        yield line("model latency", -0.5 if moved else 0.0, "other calls changed their latency as well", would)
    elif moved:
        most = max(strength(found[name], MEASURES["latency"]) for name in moved)
        yield line(
            "model latency", 1.5 * most, f"calls of {', '.join(moved)} take another time, other calls do not", would
        )
    elif known and all(shift.state is State.STILL for shift in known):
        yield line("model latency", -0.5, "calls of the models take the time they took", would)
    elif not known and not arrivals(effects.facts, ("model",)):
        yield unknown("model latency", "no calls of models in the log", would)
    inside = effects.carried(primary, "treated", ("model", "cache"))
    if inside is not None:
        yield line(
            "calls only", 0.5, f"the harm sits in {inside.dimension} {inside.value}", "cached answers are as bad"
        )


def knowledge(effects: Effects, primary: str) -> Lines:
    """Other pages are cited, and answers are wrong by the reviewed ones."""
    yield of_the_arm(effects, primary)
    yield from of_the_log(effects, Kind.KNOWLEDGE)
    yield from of_errors(effects, -1.0)
    yield _sources(effects, 2.0, -1.5)
    yield marked("groundedness", effects, "ungrounded", 1.0, -1.0, "the answers are right by the reviewed pages")
    carried = effects.carried("ungrounded", "treated", ("intent",)) or effects.carried(primary, "treated", ("intent",))
    if carried is not None:
        yield line("subject", 0.5, f"one subject carries it: {carried.value}", "other subjects are as bad")


def _sources(effects: Effects, moved: float, still: float) -> Line:
    return _column(effects, "sources", "source", moved, still, "the cited pages are those of before")


def _column(effects: Effects, name: str, column: str, moved: float, still: float, would: str) -> Line:
    found = effects.distance(column, "assistant")
    if found is None:
        return unknown(name, f"no {column} in the log on both sides", f"log the {column} with every request")
    far, z, grew = found
    said = f"{column}: {percent(far)} of the conversations have another one, most of all {grew} (z {z:.1f})"
    if z >= MOVED_SHARES and far >= FAR:
        return line(name, moved, said, would)
    return line(name, still if far < FAR else 0.0, said, would)


def _drifted(effects: Effects, column: str) -> Shift | None:
    found = effects.distance(column, "assistant")
    if found is None:
        return None
    far, z, _ = found
    return Shift(
        far, far / z if z > 0 else 0.0, 0.0, far, State.MOVED if z >= MOVED_SHARES and far >= FAR else State.STILL
    )


def classifier(effects: Effects, primary: str) -> Lines:
    """Intents are read otherwise than by the first screening or by people."""
    yield of_the_arm(effects, primary)
    yield from of_the_log(effects, Kind.CLASSIFIER)
    yield from of_errors(effects, -1.0)
    wrong, other = effects.own("misclassified"), effects.own("rerouted")
    name = "misclassified" if _clearer(wrong, other) else "rerouted"
    yield marked("intents", effects, name, 2.5, -2.5, "people's labels of the intents since the onset agree with it")
    yield marked("confidence", effects, "confidence", 1.0, -0.5, "the confidence falls without the new classifier")


def _clearer(one: Shift | None, other: Shift | None) -> bool:
    return one is not None and (other is None or abs(one.z) > abs(other.z))


def policy(effects: Effects, primary: str) -> Lines:
    """The same answers are sent elsewhere: routes and reasons change, what they rest on does not."""
    yield of_the_arm(effects, primary)
    yield from of_the_log(effects, Kind.POLICY)
    yield from of_errors(effects, -1.0)
    yield marked("routes", effects, "routed", 2.5, -1.5, "the old thresholds route the same conversations")
    upstream = [name for name in ("confidence", "misclassified", "failed") if is_(effects.own(name), State.MOVED)]
    if upstream:
        yield line("upstream", -1.0, f"what routes rest on moved as well: {', '.join(upstream)}", "")
    else:
        yield line("upstream", 0.5, "confidence, intents and errors give no reason for other routes", "")


RULES: dict[Kind, Callable[[Effects, str], Lines]] = {
    Kind.RELEASE: release,
    Kind.PROMPT: prompt,
    Kind.MODEL: model,
    Kind.KNOWLEDGE: knowledge,
    Kind.CLASSIFIER: classifier,
    Kind.POLICY: policy,
    Kind.TRAFFIC: world.traffic,
    Kind.DEPENDENCY: world.dependency,
    Kind.INFRASTRUCTURE: world.infrastructure,
    Kind.LOGGING: world.logging,
}
