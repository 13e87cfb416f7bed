"""`controlplane policy plan`: what each trigger would miss at the traffic there is, before anybody is exposed, as a table and a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape as rich_escape
from rich.table import Table

from controlplane.core.forecast import Detection, Expected, Gate, Outlook, Plan, plan
from controlplane.core.model import MetricKind
from controlplane.core.policy import Policy, Stage, Trigger
from controlplane.core.policy_words import duration
from jobs.policy_picture import heat_map, short_count, short_time

STYLES = {Outlook.WITHIN: "green", Outlook.LATER: "yellow", Outlook.NEVER: "red"}
WIDE = 160  # of a table that no person looks at


def forecast(policy: Policy, expected: Expected) -> tuple[Plan, dict[str, Any]]:
    """The plan, and the same as plain values."""
    found = plan(policy, expected)
    value = {
        "policy": policy.name,
        "hash": policy.hash,
        "traffic": asdict(expected),
        "triggers": [_cell(item) for item in found.detections],
        "gates": [asdict(item) for item in found.gates],
        "blind": blind(policy, found),
        "notes": list(found.notes),
    }
    return found, value


def _cell(item: Detection) -> dict[str, Any]:
    return asdict(item) | {"outlook": item.outlook.value}


def blind(policy: Policy, found: Plan) -> list[str]:
    """Triggers that find no harm shown, not even the largest, within a stage that has a gate."""
    if not found.detections:
        return []  # nobody but employees is exposed, so there is nothing to find
    last = policy.stages[-1].index
    seen = {item.trigger for item in found.detections if item.outlook is Outlook.WITHIN and item.stage.index != last}
    return [trigger.name for trigger in policy.triggers if trigger.name not in seen]


def effect_words(trigger: Trigger, effect: float) -> str:
    """The size of a harm for people."""
    if trigger.kind is MetricKind.RATING:
        return f"-{effect:.3g} points"
    if trigger.kind is MetricKind.RATE_RATIO:
        return f"x{effect:.3g}"
    return f"+{effect * 100:.3g} points" if trigger.kind is MetricKind.TWO_SAMPLE else f"{effect * 100:.3g} %"


def traffic_words(per_minute: float) -> str:
    """The traffic for people."""
    return f"{per_minute:,.0f} units a minute" if per_minute >= 1000 else f"{per_minute:.3g} units a minute"


def stage_words(stage: Stage) -> str:
    """A stage for people."""
    return f"{stage.phase} {stage.share * 100:g} %"


def cell_words(item: Detection) -> str:
    """Time and exposed units of a cell, or that there are none; a time that the stage does not last is marked."""
    if item.minutes is None or item.exposed is None:
        return "never"
    mark = "" if item.outlook is Outlook.WITHIN else " !"
    return f"{short_time(item.minutes)} · {short_count(item.exposed)}{mark}"


def tables(policy: Policy, found: Plan) -> list[Table]:
    """One table of the triggers, one of the gates."""
    stages = _stages(item.stage for item in found.detections)
    traffic = f"{traffic_words(found.expected.per_minute)} ({found.expected.source})"
    table = Table(title=rich_escape(f"Time to detect · treated customers exposed by then, at {traffic}"))
    table.add_column("trigger", no_wrap=True)
    table.add_column("harm", justify="right")
    for stage in stages:
        table.add_column(stage_words(stage))
    for trigger in policy.triggers:
        own = [item for item in found.detections if item.trigger == trigger.name]
        for multiple in sorted({item.multiple for item in own}):
            row = [item for item in own if item.multiple == multiple]
            name = trigger.name if multiple == min(item.multiple for item in own) else ""
            styled = [f"[{STYLES[item.outlook]}]{cell_words(item)}[/]" for item in row]
            table.add_row(rich_escape(name), effect_words(trigger, row[0].effect), *styled)
    return [table, _gates(found.gates)]


def _stages(stages: Iterable[Stage]) -> list[Stage]:
    return sorted(set(stages), key=lambda stage: stage.index)


def _gates(gates: tuple[Gate, ...]) -> Table:
    table = Table(title="What gates ask for, while both arms are alike")
    for name in ("gate", "asks for", "there after", "treated units", "least time"):
        table.add_column(name)
    for gate in gates:
        table.add_row(stage_words(gate.stage), gate.asks, *gate_words(gate))
    return table


def gate_words(gate: Gate) -> tuple[str, str, str]:
    """When that is there, with how many units, and what it means for the gate."""
    if gate.minutes is None or gate.treated is None:
        return "never at this traffic", "-", "the gate stays shut"
    longer = "" if gate.within else f": shut for {duration(gate.minutes - gate.min_minutes)} longer"
    return duration(gate.minutes), f"{gate.treated:,.0f}", f"{duration(gate.min_minutes)}{longer}"


def print_plan(policy: Policy, found: Plan) -> None:
    """The tables and the notes in the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    for table in tables(policy, found):
        if table.row_count:
            console.print(table)
    for line in notes(policy, found):
        console.print(line, style="dim", highlight=False, markup=False)


def notes(policy: Policy, found: Plan) -> list[str]:
    """What the reader must know to read the tables."""
    lines = [
        "! found only after the stage's least time: the rollout may have grown by then. never: not within the planned horizon"
    ]
    dark = blind(policy, found)
    if dark:
        lines.append(
            f"blind: no harm shown here is found before the gate of the stage in which it begins: {', '.join(dark)}"
        )
    return lines + list(found.notes)


def write_picture(policy: Policy, found: Plan, path: Path) -> None:
    """The heat map as one HTML file that needs nothing else. Raises OSError where it cannot be written."""
    rows = [
        (trigger.name, effect_words(trigger, row[0].effect), row)
        for trigger in policy.triggers
        for row in _rows([item for item in found.detections if item.trigger == trigger.name])
    ]
    stages = [stage_words(stage) for stage in _stages(item.stage for item in found.detections)]
    gates = [(stage_words(gate.stage), gate.asks, *gate_words(gate)) for gate in found.gates]
    head = f"Blind spots of policy {policy.name} at {traffic_words(found.expected.per_minute)}"
    source = f"{found.expected.source}; policy {policy.hash[:12]}"
    path.write_text(heat_map(escape(head), escape(source), stages, rows, gates, notes(policy, found)), encoding="utf-8")


def _rows(own: list[Detection]) -> list[list[Detection]]:
    return [[item for item in own if item.multiple == multiple] for multiple in sorted({item.multiple for item in own})]
