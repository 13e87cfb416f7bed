"""Real arrival times: an hour of a production LLM service, whose bursts are not of our making. Skipped where the data are not at hand."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from tests.analysis.backtest_world import policy
from tests.jobs.command_line import Cli

TRACE = Path("../shared/data/azure_llm_2023/azure_llm_2023_conv.csv.gz")
LONG_ANSWER = 400  # tokens; 19.8 % of the answers
MS_PER_TOKEN = 10.0


@pytest.mark.skipif(not TRACE.is_file(), reason="the trace of ../shared/data/azure_llm_2023 is not at hand")
def test_an_hour_of_a_real_service_is_not_rolled_back(tmp_path):
    """Long answers stand for escalations: a rate with the true bursts and dependence of the trace."""
    with gzip.open(TRACE, "rt") as lines:
        rows = list(csv.DictReader(lines))
    path = tmp_path / "trace.jsonl"
    path.write_text(
        "\n".join(
            json.dumps(
                {
                    "interaction_id": f"i{n}",
                    "conversation_id": f"c{n:06d}",
                    "turn": 1,
                    "ts": row["TIMESTAMP"][:26].replace(" ", "T") + "Z",
                    "user_id": f"u{n}",
                    "escalated": int(row["GeneratedTokens"]) > LONG_ANSWER,
                    "latency_ms": MS_PER_TOKEN * int(row["GeneratedTokens"]),
                    "tokens_out": int(row["GeneratedTokens"]),
                }
            )
            for n, row in enumerate(rows)
        )
    )
    text = policy(block=60, stage_minutes=18, slow=0.2).text.replace("maturity_minutes = 120", "maturity_minutes = 0")
    (tmp_path / "p.toml").write_text(text)
    found = Cli(tmp_path / "home").json(
        "policy", "backtest", tmp_path / "p.toml", "--history", path, "--replays", "300"
    )
    assert found["detail"]["history"]["conversations"] == len(rows)
    assert found["false_rollback"]["count"] <= 3 * 300 * 0.01
    assert found["false_rollback"]["judged"] == 1
    assert "on average within it but not in every block" in found["detail"]["breaks"]["latency_slo_breach"]
    assert found["rivals"]["fixed_threshold"]["false_rollback"] > 0.2, "on the same bursts a window rule rolls back"
    worst = next(row for row in found["harms"] if row["name"] == "escalation rate +20 points, mid-stage")
    assert worst["found"] > 0.8
