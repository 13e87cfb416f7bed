"""A living control process judges what it is sent, and answers for a trade-off while it has the facts open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.settings import shipped_policy
from tests.jobs.command_line import Cli
from tests.jobs.living import Up, eventually, run

PAGE = load_knowledge().get("card-delivery")


def test_up_judges_answers_and_can_be_asked_for_a_trade_off(tmp_path: Path) -> None:
    home, policy = tmp_path / "home", tmp_path / "policy.toml"
    text = shipped_policy("default").replace("required = true", "required = false")
    lines = [line for line in text.splitlines() if not line.startswith("sample_base")]
    policy.write_text("\n".join(lines).replace("[judge]", "[judge]\nsample_base = 1.0"))
    assert "sample_base = 1.0" in policy.read_text()
    started = Cli(home).start(policy=policy)
    with Up(home) as up:
        now = datetime.now(UTC) + timedelta(seconds=1)
        base = {"conversation_id": "c1", "ts": now.isoformat(), "user_id": "u1"}
        names = {"rollout_id": started["rollout"], "release": "v1", "eligible": True}
        said = {"interaction_id": "c1:1", "turn": 1, "arm": "assistant", "release": "v1", "intent_conf": 0.9}
        texts = {"question": "when will my card arrive", "answer": PAGE.sentences[0], "sources": [PAGE.id]}
        exposure = {"record": "exposure", "exposure_id": "x1", "variant": "assistant"}
        used = {"tokens_in": 400, "tokens_out": 50, "cost_usd": 0.01, "latency_ms": 700}
        assert up.send(base | exposure | names, base | said | texts | used).status_code < 300
        query = "SELECT count(*) FROM evaluations WHERE label = 'grounded' AND sampling_rate = 1.0"
        eventually("a judgement", lambda: up.one(query))
        asked = run(home, "tradeoff", "--json", "--target-cost", "1")
        found = json.loads(asked.stdout.splitlines()[-1])
        assert (found["verdict"], found["data"], asked.returncode) == ("hold", True, 0), asked.stderr
        assert found["latency"]["requests"] == 1
        assert "unknown" in found["satisfaction"]["verdict"]
        assert up.end() == 0
