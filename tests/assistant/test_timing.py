"""How long a message really takes; printed, never asserted, because machines differ."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from controlplane.assistant import Assistant, Menu, build_assistant, good
from controlplane.assistant.intent import IntentModel
from controlplane.assistant.training_data import load_heldout
from tests.assistant.talk import converse


def test_times_are_printed(
    assistant: Assistant, menu: Menu, classifier: IntentModel, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [question.text for question in load_heldout()]
    rows = {
        "assistant": [converse(assistant, text, conversation=f"c{n}")[0].measured_ms for n, text in enumerate(texts)],
        "menu": [converse(menu, text, conversation=f"c{n}")[0].measured_ms for n, text in enumerate(texts)],
    }
    started = time.perf_counter()
    for text in texts:
        classifier.predict(text)
    alone = (time.perf_counter() - started) * 1000 / len(texts)
    started = time.perf_counter()
    build_assistant(good(), models)
    cold = (time.perf_counter() - started) * 1000
    with capsys.disabled():
        for name, times in rows.items():
            cut = statistics.quantiles(times, n=20)
            print(f"\n{name}: median {statistics.median(times):.2f} ms, p95 {cut[-1]:.2f} ms a message", end="")
        print(f"\nclassifier alone: mean {alone:.2f} ms; built from stored artefacts in {cold:.0f} ms")
    assert all(elapsed > 0 for times in rows.values() for elapsed in times)
