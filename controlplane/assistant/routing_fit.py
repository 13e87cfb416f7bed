"""Calibrating the division between small and large model on real questions, and the one that ships.

Rules
- Only questions that would reach a model count: those that a person handles, that are out of scope or too unclear are left out.
- The result says on how many questions it was calibrated and for which share; `routing.save_routing` keeps it, and the release
  that uses it has it in its hash.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files

from controlplane.assistant import dialogue, safety
from controlplane.assistant.parts import AssistantPolicy
from controlplane.assistant.protocols import Classifier, Retriever
from controlplane.assistant.routing import Routing, calibrate, load_routing


def complexities(
    questions: Iterable[str], classifier: Classifier, retriever: Retriever, policy: AssistantPolicy, routing: Routing
) -> list[float]:
    """The complexity of each question that would be answered by a model, in order."""
    found = []
    for question in questions:
        prediction = classifier.predict(question)
        verdict = safety.screen(question, prediction, policy.sensitive_mass)
        if verdict.route is not None or verdict.injection or prediction.label == dialogue.OUT_OF_SCOPE:
            continue
        hits = retriever.search(question, prediction, policy.passages)
        if prediction.confidence < policy.answer_confidence or not hits or hits[0].score < policy.min_retrieval_score:
            continue
        found.append(routing.score(prediction.label, prediction.confidence, hits[0].score, question))
    return found


def calibrated(
    questions: Iterable[str],
    classifier: Classifier,
    retriever: Retriever,
    target_share: float,
    policy: AssistantPolicy | None = None,
    routing: Routing | None = None,
) -> Routing:
    """`routing` with the threshold that sends at most `target_share` of these questions to the large model.

    Raises ValueError if none of the questions would reach a model, or for a share outside [0, 1].
    """
    base = routing or shipped_routing()
    scores = complexities(questions, classifier, retriever, policy or AssistantPolicy(), base)
    if not scores:
        raise ValueError(
            "routing: none of the questions would reach a model; give questions that the assistant answers"
        )
    threshold = calibrate(scores, target_share)
    return replace(base, threshold=threshold, target_share=target_share, calibrated_on=len(scores))


@cache
def shipped_routing() -> Routing:
    """The division that ships with the assistant, calibrated on its training questions for a fifth to the large model."""
    with as_file(files("controlplane.assistant").joinpath("routing.json")) as path:
        return load_routing(path)
