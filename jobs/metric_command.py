"""`controlplane metric list | show | diff | register`: from options to the registered definitions and back to text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.core.metric_versions import catalogue, definition
from controlplane.core.metrics import METRICS, metric
from controlplane.settings import SettingsError
from controlplane.store.queries import load
from jobs import metric_definitions, metric_impact
from jobs.compose import open_state, workspace_settings
from jobs.console import stderr
from jobs.work import do

WORK_NAME = "metric_register"


def list_command(home: str | None, now: datetime) -> dict[str, Any]:
    """Metrics of the program, registered versions, and whether both agree."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        found = metric_definitions.versions(state)
        changed = {change.name for change in metric_definitions.unregistered(state)}
    rows = [
        {"name": name, "title": one["title"], "unit": one["unit"], "hash": one["hash"], "changed": name in changed}
        for name, one in catalogue(METRICS.values(), load).items()
    ]
    keys = ("version", "catalogue_hash", "actor", "reason", "registered_at")
    told = [{key: row.summary[key] for key in keys} | {"changed": _names(row.summary)} for row in found]
    return {"metrics": rows, "versions": told}


def list_text(value: Mapping[str, Any]) -> str:
    """The list for people."""
    lines = [
        f"{row['name']:26} {row['hash'][:12]}  {row['title']} ({row['unit']}){'  CHANGED, not registered' if row['changed'] else ''}"
        for row in value["metrics"]
    ]
    lines += [_version_line(row) for row in value["versions"]]
    return "\n".join(
        [*lines, *([] if value["versions"] else ["nothing is registered yet: `controlplane metric register`"])]
    )


def show_command(home: str | None, name: str, now: datetime) -> dict[str, Any]:
    """One metric and its history. Raises SettingsError for a name that the catalogue does not have."""
    try:
        entry = metric(name)
    except KeyError as error:
        raise SettingsError(str(error.args[0])) from None
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        found = metric_definitions.versions(state)
    history = []
    for row in found:
        said = row.summary
        if said["changes"] and name not in _names(said):
            continue
        one = {key: said[key] for key in ("version", "actor", "reason", "registered_at")}
        one["hash"] = said["definitions"].get(name, {}).get("hash")
        one["fields"] = next((change["fields"] for change in said["changes"] if change["name"] == name), {})
        one["impact"] = ((said["impact"] or {}).get("metrics") or {}).get(name)
        one["month"] = (said["impact"] or {}).get("month")
        history.append(one)
    return {"name": name, "definition": definition(entry, load), "versions": history}


def show_text(value: Mapping[str, Any]) -> str:
    """One metric for people."""
    found = value["definition"]
    lines = [f"{key:12} {item}" for key, item in found.items() if key != "queries"]
    lines += [f"{'query':12} {name} {digest[:12]}" for name, digest in found["queries"].items()]
    for one in value["versions"]:
        lines.append(_version_line(one | {"changed": sorted(one["fields"])}))
        if one["impact"] is not None:
            lines += metric_impact.lines({"metrics": {value["name"]: one["impact"]}})
    return "\n".join(lines)


def diff_command(home: str | None, now: datetime) -> dict[str, Any]:
    """What differs from the newest registered version; `registered` None while there is none."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        before = metric_definitions.newest(state)
        found = metric_definitions.unregistered(state)
    registered = None if before is None else before["version"]
    return {"ok": not found, "registered": registered, "changes": [change.to_dict() for change in found]}


def diff_text(value: Mapping[str, Any]) -> str:
    """The difference for people."""
    if value["registered"] is None:
        return "nothing is registered yet: `controlplane metric register --actor NAME --reason WHY` does it"
    if value["ok"]:
        return f"the definitions are those of version {value['registered']}"
    return "\n".join(line for change in value["changes"] for line in _change_lines(change))


def register_command(home: str | None, actor: str, reason: str, now: datetime) -> dict[str, Any]:
    """Register, here or in the control process."""
    with stderr.status("counting last month again where a definition has changed"):
        return do(home, WORK_NAME, {"actor": actor, "reason": reason}, now)


def register_text(value: Mapping[str, Any]) -> str:
    """What was registered."""
    if not value["new"]:
        return (
            f"nothing has changed since version {value['version']} ({value['registered_at'][:16]}Z by {value['actor']})"
        )
    lines = [f"registered version {value['version']} ({value['catalogue_hash'][:12]})"]
    lines += [line for change in value["changes"] for line in _change_lines(change)]
    if value["impact"] is not None and value["changes"]:
        month = value["impact"]["month"]
        lines.append(f"last month ({month['since'][:10]} to {month['until'][:10]}, end excluded):")
        lines += metric_impact.lines(value["impact"])
    return "\n".join(lines)


def _change_lines(change: Mapping[str, Any]) -> list[str]:
    if not change["fields"]:
        return [f"{change['name']}: {change['kind']}"]
    return [
        f"{change['name']}: {field} was {_short(old)}, is {_short(new)}"
        for field, (old, new) in change["fields"].items()
    ]


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _names(summary: Mapping[str, Any]) -> list[str]:
    return [change["name"] for change in summary["changes"]]


def _version_line(row: Mapping[str, Any]) -> str:
    what = f" ({', '.join(row['changed'])})" if row["changed"] else ""
    return f"version {row['version']}  {row['registered_at'][:16]}Z  {row['actor']}: {row['reason']}{what}"
