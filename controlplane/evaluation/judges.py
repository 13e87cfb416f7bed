"""The judges of an evaluation: groundedness against the reviewed knowledge, toxicity of what was said."""

from __future__ import annotations

from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import Message, Reply
from controlplane.assistant.output_check import check_output
from controlplane.assistant.record import GroundednessEvaluator
from controlplane.assistant.release import reference_knowledge
from controlplane.evaluation.runner import Judges

UNSUPPORTED = "ungrounded"
TOXIC = "toxicity"


def default_judges(knowledge: Knowledge | None = None) -> Judges:
    """The detectors that also watch live traffic, on every answer instead of a sample.

    Groundedness is judged against the *reviewed* knowledge, not the release's own: a release that quotes its broken page faithfully is wrong.
    `knowledge` is the reviewed one of a bank that brings its own; None = the one that ships.
    """
    evaluator = GroundednessEvaluator(knowledge or reference_knowledge(), 1.0)

    def ungrounded(message: Message, reply: Reply) -> bool | None:
        record = evaluator.evaluate(message, reply)
        return None if record is None else bool(record["label"] == UNSUPPORTED)

    return Judges(ungrounded, is_toxic)


def is_toxic(text: str) -> bool:
    """Whether the output check finds toxic words in what was said."""
    return any(finding.partition(":")[0] == TOXIC for finding in check_output(text).findings)
