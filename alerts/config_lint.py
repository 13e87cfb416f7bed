"""What can be run, and will disappoint: warnings about an alerting file that is valid."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.config import Alerting
from alerts.config_values import Reader
from alerts.pipeline import Matcher
from controlplane.core.metrics import METRICS
from controlplane.core.toml_lines import Path

LABELS = frozenset(
    [
        *(
            "alertname",
            "release",
            "rollout_id",
            "phase",
            "trigger",
            "metric",
            "segment",
            "action",
            "category",
            "safety",
        ),
        *("analysis", "review", "week", "receiver", "outbox_id"),
    ]
)
"""Labels that alerts of ours have. A matcher may ask for others: whoever embeds the control plane may send their own."""
PSEUDO = frozenset(["severity", "status", "kind", "incident"])
CATEGORIES = frozenset(["metric", "validity", "safety", "delivery", "drift", "review", "governance"])


def lint(reader: Reader, alerting: Alerting, matchers: Iterable[tuple[Path, Matcher]]) -> None:
    """Add warnings to the reader. `matchers`: all of the file, with the paths of their tables."""
    metrics = frozenset(METRICS)
    for path, matcher in matchers:
        for label, values in matcher.any_of.items():
            if label not in LABELS | PSEUDO:
                _warn(reader, (*path, label), f"no alert of ours has the label '{label}'", "check the spelling")
            known = {"metric": metrics, "category": CATEGORIES}.get(label)
            for value in sorted(values - known) if known else ():
                _warn(reader, (*path, label), f"{value!r} is no {label} of ours", "check the spelling")
    for position, rule in enumerate(alerting.rules.inhibitions):
        if rule.target.any_of.get("incident") != frozenset({"no"}):
            path = ("inhibitions", position, "target")
            _warn(
                reader,
                path,
                "it may keep back what the machine did: an incident of which nobody hears",
                'add incident = "no"',
            )
    used = {name for route in alerting.rules.routes for name in route.receivers}
    for position, spec in enumerate(alerting.receivers):
        if spec.name not in used and ("receivers", position) in reader.index:
            _warn(
                reader,
                ("receivers", position),
                f"nothing goes to receiver '{spec.name}'",
                "name it in a route or drop it",
            )
    if not alerting.ladder:
        _warn(reader, (), "there is no [[ladder]]: nobody is told that nobody acknowledged", "add a tier")
    called = {name for tier in alerting.ladder for name in tier.people}
    for position, rota in enumerate(alerting.rotas):
        if rota.name not in called:
            _warn(reader, ("rotas", position), f"no tier calls rota '{rota.name}'", "name it in people of a [[ladder]]")
    reached = [name for name in called if name not in {rota.name for rota in alerting.rotas}]
    reached += [name for rota in alerting.rotas if rota.name in called for name in rota.people]
    for position, person in enumerate(alerting.people):
        if person.name in reached and not person.slack:
            _warn(
                reader, ("people", position), f"{person.name} is called but cannot be mentioned", 'add slack = "U..."'
            )


def _warn(reader: Reader, path: Path, message: str, remedy: str) -> None:
    reader.problem(path, message, remedy, "warning")
