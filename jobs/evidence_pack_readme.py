"""The text that lies in every evidence pack: what is what, and how to verify it with no program of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

TEXT = """Evidence pack of a control plane for an LLM support assistant
Period: {since} to {until} (UTC, the end excluded). Workspace: {kind}. Program version {program}.

What is in it
{files}
  governance.html   the records asked for by the EU AI Act, NIST AI RMF and ISO/IEC 42001, with the rows of this pack (governance.json: as data)
  manifest.json     sha256, size and number of rows of every file, and the ends of both hash chains
  files/            documents that the records name: weekly reviews, drift reports

Every file under records/ has one JSON object a line, in the order of the key that the manifest names. Times are UTC (ISO-8601, Z).
There is no customer in it: no name, no customer id, no message as it was written (topics have masked examples; notes and reasons are as people
wrote them). Ids of conversations and answers lead to them in the workspace only. Names of the
people who decided, approved, reviewed or labelled are part of the record.

How to verify it without our program
1. Files. The sha256 of each file is in manifest.json under "files" (try: sha256sum records/audit.jsonl). No other file belongs to the pack.
2. Chains. records/audit.jsonl and records/ledger.jsonl are hash chains. Go through the lines in order; expect the first line's "prev_hash" to be the
   manifest's chains.NAME.head_before. For each line:
     a. "prev_hash" is the "hash" of the line before.
     b. Take the object without "seq", "prev_hash" and "hash". Write it as JSON: keys sorted, no blanks between parts, characters as they are (UTF-8).
     c. sha256 over: prev_hash, one line feed, that JSON. It is the line's "hash".
   The last "hash" is the manifest's chains.NAME.head_end. 64 zeros as head_before: the chain begins in this pack.
3. The ends. A chain whose first or last lines were cut off is whole in itself, and a manifest can be written anew. So keep
   elsewhere what was given to you: the
   sha256 of manifest.json, which the export printed, or the heads of an earlier `controlplane audit verify --json`.
4. Policies. "policy_hash" in records/policies.jsonl is the sha256 of "text"; blocks, decisions and reviews name it.
5. What the log vouches for. An audit row of event criteria_registered, dataset_version, evaluation_finished, output_reviewed, review_pinned,
   tradeoff_recorded or backtest_finished names the record and, in its payload, a hash of what it said. The record must be there and agree.
   A weekly review's "document_hash" is the sha256 of its JSON document, written as in 2b.
6. Evidence of decisions. An automatic decision (actor "controlplane") carries the evidence it was made on ("log_e"); the block that gave it is in
   records/ledger.jsonl, in its "readings", and the counts it came from are in "counts".

With the program: `controlplane audit verify PACK` does all of this, offline and with no workspace; `--replay` also recomputes the evidence and the
automatic decisions from the counts; `--anchor FILE` compares with the output of an earlier `audit export --json` or `audit verify --json`.
"""


def readme(manifest: Mapping[str, Any], what: Iterable[tuple[str, str]]) -> str:
    """The text for a pack; `what`: each file of rows with its description."""
    rows = {name: one["rows"] for name, one in manifest["files"].items() if "rows" in one}
    lines = "\n".join(f"  {name:42} {rows[name]:>8,} rows: {text}" for name, text in what)
    period = manifest["period"]
    return TEXT.format(
        since=period["since"],
        until=period["until"],
        kind=manifest["workspace"]["kind"],
        program=manifest["program_version"],
        files=lines,
    )
