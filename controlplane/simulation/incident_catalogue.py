"""The catalogue of incidents: harms that must be contained, traps in which a common rule is wrong, faults of the machinery, and
outages of what it leans on."""

from __future__ import annotations

from types import MappingProxyType

from controlplane.simulation.incident_harms import HARMS
from controlplane.simulation.incident_machinery import MACHINERY
from controlplane.simulation.incident_outages import OUTAGES
from controlplane.simulation.incident_traps import TRAP_INCIDENTS
from controlplane.simulation.incidents import Incident

INCIDENTS = MappingProxyType({item.name: item for item in (*HARMS, *TRAP_INCIDENTS, *MACHINERY, *OUTAGES)})


def incident(name: str) -> Incident:
    """The incident of that name; KeyError lists the names."""
    try:
        return INCIDENTS[name]
    except KeyError:
        raise KeyError(f"no incident '{name}' in the catalogue; it has {', '.join(INCIDENTS)}") from None
