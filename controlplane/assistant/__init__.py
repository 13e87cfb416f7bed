"""The embedded assistant: intent -> safety -> retrieval -> generation -> workflow -> decision record.

Importable alone (nothing of the control plane but its pure core) and quickly: scikit-learn, joblib, onnxruntime, openai and
OpenTelemetry are imported only where a classifier is trained or opened, a remote model is called, or telemetry is begun.

    assistant = build_assistant(good(), folder)
    state, reply = assistant.respond(ConversationState(), Message(...))
    for piece in assistant.stream(state, Message(...)):   # text as it may leave, then (state, reply)
        ...
"""

from controlplane.assistant.bank import SqliteBank
from controlplane.assistant.breaker import Breakers
from controlplane.assistant.cache import CacheConfig
from controlplane.assistant.menu import Menu
from controlplane.assistant.model import ConversationState, Message, ReleaseArtefacts, Reply, ReplyKind, SafetyRoute
from controlplane.assistant.pipeline import Assistant, AssistantParts, AssistantPolicy, Screening
from controlplane.assistant.protocols import Responder
from controlplane.assistant.record import GroundednessEvaluator, RecordContext, landing_records
from controlplane.assistant.release import (
    MENU_SERVICE,
    Outside,
    RateLimit,
    ReleaseConfig,
    bad,
    build_assistant,
    build_menu,
    good,
    reference_knowledge,
)
from controlplane.assistant.routing import Routing
from controlplane.assistant.service import ServiceModel, ServiceProfile

__all__ = [
    "MENU_SERVICE",
    "Assistant",
    "AssistantParts",
    "AssistantPolicy",
    "Breakers",
    "CacheConfig",
    "ConversationState",
    "GroundednessEvaluator",
    "Menu",
    "Message",
    "Outside",
    "RateLimit",
    "RecordContext",
    "ReleaseArtefacts",
    "ReleaseConfig",
    "Reply",
    "ReplyKind",
    "Responder",
    "Routing",
    "SafetyRoute",
    "Screening",
    "ServiceModel",
    "ServiceProfile",
    "SqliteBank",
    "bad",
    "build_assistant",
    "build_menu",
    "good",
    "landing_records",
    "reference_knowledge",
]
