"""Ingest of dirty lines against DuckDB's own read of the clean file, measured in the same run.

Dirty = 2 % duplicates and 1 % bad lines of eight kinds, mixed into the clean lines. The plain read creates a table in a
DuckDB file from `read_json`, which is what ingest does less the checking. Each side runs in a process of its own, so that
the peak memory is its own.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BAD_SHARE = 0.01
DUPLICATE_SHARE = 0.02
_TEXT = (
    "my card was charged twice for the same order please help me get a refund now the transfer is still pending what is"
    " your policy on late fees and how do i close the account that was opened without asking me first"
)
_WORDS = _TEXT.split()

_PLAIN = """
import json, resource, sys, time, duckdb
source, target = sys.argv[1:]
started = time.perf_counter()
connection = duckdb.connect(target, config={"storage_compatibility_version": "v1.5.0"})
connection.execute("CREATE TABLE plain AS SELECT * FROM read_json(?)", [source])
connection.close()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak / 1024}))
"""

_INGEST = """
import json, resource, sys, time
from datetime import UTC, datetime
from controlplane.store.facts import ingest_file
from controlplane.store.warehouse import Warehouse
source, target = sys.argv[1:]
started = time.perf_counter()
with Warehouse.open(target) as warehouse:
    counts = ingest_file(warehouse, source, source="bench", now=datetime(2026, 7, 1, tzinfo=UTC), key=b"bench")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak / 1024, "read": counts.read,
    "stored": counts.stored, "duplicates": counts.duplicates, "quarantined": counts.quarantined}))
"""


def run(rows: int = 1_000_000, seed: int = 7) -> dict[str, Any]:
    """Measure once with `rows` clean lines; returns seconds, their ratio, peak memory and counts, and prints a summary."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        expected = write_files(home / "clean.jsonl", home / "dirty.jsonl", rows, random.Random(seed))
        plain = _measure(_PLAIN, home / "clean.jsonl", home / "plain.duckdb")
        ingest = _measure(_INGEST, home / "dirty.jsonl", home / "facts.duckdb")
        megabytes = (home / "clean.jsonl").stat().st_size / 1e6
    counts = {name: ingest[name] for name in ("read", "stored", "duplicates", "quarantined")}
    if counts != expected:
        raise AssertionError(f"ingest counted {counts}, the file holds {expected}")
    result = {
        "rows": rows,
        "megabytes": round(megabytes),
        "plain_seconds": round(plain["seconds"], 2),
        "ingest_seconds": round(ingest["seconds"], 2),
        "ratio": round(ingest["seconds"] / plain["seconds"], 2),
        "peak_mb": round(ingest["peak_mb"]),
        **counts,
    }
    print(
        f"ingest: {result['ratio']} x read_json ({result['ingest_seconds']} s for {counts['read']:,} dirty lines,"
        f" {result['plain_seconds']} s plain; aim <= 3.5), peak {result['peak_mb']} MB (aim < 1,000)"
    )
    return result


def write_files(clean: Path, dirty: Path, rows: int, rng: random.Random) -> dict[str, int]:
    """Write the clean file and its dirty twin; returns the counts that ingest must find."""
    bad = duplicates = 0
    with clean.open("w", encoding="utf-8") as tidy, dirty.open("wb") as soiled:
        for number, line in enumerate(records(rows, rng)):
            tidy.write(line + "\n")
            soiled.write(line.encode() + b"\n")
            if rng.random() < DUPLICATE_SHARE:
                soiled.write(line.encode() + b"\n")
                duplicates += 1
            if rng.random() < BAD_SHARE:
                soiled.write(_spoil(line, number, bad % 8) + b"\n")
                bad += 1
    return {"read": rows + duplicates + bad, "stored": rows, "duplicates": duplicates, "quarantined": bad}


def records(rows: int, rng: random.Random) -> Iterator[str]:
    """Clean interaction records as JSON lines: conversations of three turns, in time order over 20 days."""
    for number in range(rows):
        conversation, turn = divmod(number, 3)
        if turn == 0:
            who = random.Random(conversation)
            user, arm, region = (
                who.randrange(rows // 6 + 1),
                "baseline" if conversation % 5 else "assistant",
                who.choice(["eu", "us"]),
            )
        second = number * 20 * 86_400 // rows
        yield json.dumps(
            {
                "interaction_id": f"i-{number:09d}",
                "conversation_id": f"c-{conversation:08d}",
                "turn": turn + 1,
                "ts": _moment(second, rng.randrange(1000)),
                "user_id": f"u-{user}",
                "segment": "retail",
                "region": region,
                "channel": "chat",
                "arm": arm,
                "phase": "canary",
                "release": "r-1",
                "model": "small",
                "agent_version": "1.0",
                "intent_pred": "refund",
                "intent_true": None,
                "intent_conf": round(rng.random(), 4),
                "latency_ms": round(rng.expovariate(1 / 300), 2),
                "tokens_in": rng.randrange(900),
                "tokens_cached": 0,
                "tokens_out": rng.randrange(300),
                "cost_usd": round(rng.random() / 100, 6),
                "csat": rng.choice([None, None, None, 1, 2, 3, 4, 5]),
                "escalated": rng.random() < 0.1,
                "escalation_reason": None,
                "resolved": rng.random() < 0.7,
                "error_type": None,
                "timed_out": False,
                "safety_route": None,
                "workflow": None,
                "question": " ".join(rng.choices(_WORDS, k=12)),
                "answer": " ".join(rng.choices(_WORDS, k=25)),
                "sources": ["kb-1", "kb-2"],
                "extra": {"measured_ms": round(rng.random() * 5, 3)},
            }
        )


def _spoil(line: str, number: int, kind: int) -> bytes:
    """One bad line: torn, wrong type, missing field, impossible value, unknown arm, future time, changed duplicate, not UTF-8."""
    if kind == 0:
        return line[: len(line) // 2].encode()
    record = json.loads(line)
    if kind != 6:
        record["interaction_id"] = f"bad-{number}"
    changes: dict[int, dict[str, Any]] = {
        1: {"latency_ms": "fast"},
        2: {"conversation_id": None},
        3: {"csat": 9},
        4: {"arm": "blue"},
        5: {"ts": "2031-01-01T00:00:00Z"},
        6: {"answer": "something else"},
        7: {"answer": "XX"},
    }
    spoiled = json.dumps(record | changes[kind]).encode()
    return spoiled.replace(b'"XX"', b'"\xff\xfe"') if kind == 7 else spoiled


def _measure(program: str, source: Path, target: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", program, str(source), str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the measured process failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _moment(second: int, milli: int) -> str:
    """ISO time so many seconds into March 2026."""
    hours = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{milli:03d}"
    return f"2026-03-{1 + second // 86_400:02d}T{hours}Z"


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)))
