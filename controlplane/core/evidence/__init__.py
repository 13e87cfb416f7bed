"""Evidence: exact, anytime-valid decisions from counts per block. `forms` are the tests, `weights` the error budget over time, `detector` the
alarm engine, `certificate` the promotion test, `alarm` many weeks at once."""

from controlplane.core.evidence.alarm import first_alarm
from controlplane.core.evidence.certificate import CertificateReading, CertificateSpec, CertificateState
from controlplane.core.evidence.counts import Counts, effective
from controlplane.core.evidence.detector import DetectorState, Events, Reading, StreamSpec, step, step_many
from controlplane.core.evidence.weights import WeightAccount, WeightPlan

__all__ = [
    "CertificateReading",
    "CertificateSpec",
    "CertificateState",
    "Counts",
    "DetectorState",
    "Events",
    "Reading",
    "StreamSpec",
    "WeightAccount",
    "WeightPlan",
    "effective",
    "first_alarm",
    "step",
    "step_many",
]
