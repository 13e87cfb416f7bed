"""The catalogue of incidents: harms that must be contained, traps in which a common rule is wrong, and faults of the machinery."""

from __future__ import annotations

from types import MappingProxyType

from controlplane.simulation.incident_harms import HARMS
from controlplane.simulation.incident_machinery import MACHINERY
from controlplane.simulation.incident_traps import TRAP_INCIDENTS
from controlplane.simulation.incidents import Incident

INCIDENTS = MappingProxyType({item.name: item for item in (*HARMS, *TRAP_INCIDENTS, *MACHINERY)})


def incident(name: str) -> Incident:
    """The incident of that name; KeyError lists the names."""
    try:
        return INCIDENTS[name]
    except KeyError:
        raise KeyError(f"no incident '{name}' in the catalogue; it has {', '.join(INCIDENTS)}") from None
