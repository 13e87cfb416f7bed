"""What must not leave in an answer: personal data, secrets, the system prompt, toxic words. After any model call.

Rules
- Personal data and secrets are masked and the answer goes out; a leaked system prompt, toxic words from severity 2 on and
  whole private keys block it.
- A blocked verdict's `text` is a fixed sentence, so a caller that forgets to look at `blocked` still sends nothing bad.
- A leak is a run of `RUN` words of the system prompt in the answer, or `SHARE` of the answer's four-word sequences, in plain
  words or in any reading that `injection_text` can undo. A leak in translation or paraphrase is not seen.
- Toxicity is a lexicon of our own in four steps (0 none, 1 crude words, 2 insult or sexual harassment, 3 slur or threat); it
  sees words, not tone: politely worded contempt scores 0.
- The verdict says what was seen; what is done about it is the pipeline's and is logged apart from it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from controlplane.assistant.injection_text import candidates, clean
from controlplane.assistant.safety_rules_abuse import ABUSIVE, CRUDE, SLURS, THREATS
from controlplane.assistant.safety_text import compile_rules, rule_text
from controlplane.assistant.text import tokens
from controlplane.core import masking

WITHHELD = "Sorry, I cannot send that answer. Please ask in other words, or ask for a colleague."
RUN = 9
SHARE = 0.5
BLOCKING_SEVERITY = 2
_SEQUENCE = 4
_FEWEST_SEQUENCES = 4

_KINDS = {
    masking.EMAIL: "personal_data:email",
    masking.CARD: "personal_data:card",
    masking.IBAN: "personal_data:iban",
    masking.PHONE: "personal_data:phone",
    masking.NATIONAL_ID: "personal_data:national_id",
    masking.SECRET: "secret",
}
# Secrets that masking does not know because they hardly occur in customers' messages, only in a model's context.
_MORE_SECRETS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|ASIA[0-9A-Z]{16}|sk-ant-[\w-]{16,}|AccountKey=[A-Za-z0-9+/=]{20,})"
    r"|\b[a-z][a-z0-9+]{1,15}://[^\s:/@]{1,64}:[^\s@/]{1,128}@[^\s]{1,200}"
    r"|https://hooks\.[a-z.]{3,40}/[A-Za-z0-9/_-]{16,}"
)
_SPOKEN_SECRET = re.compile(
    r"(?i)\b(?:secret|key|password|passphrase|passcode|token|credentials?|cvv|cvc|security code)\b"
    r"(?:[ \t]+(?:key|code|word|phrase|value))?[ \t]*(?:is|:|=|was)[ \t]*[\"'`]?"
    r"(?P<value>(?=[^\s\"'`]{0,63}[0-9])[^\s\"'`,.;\[]{3,64}|(?=[^\s\"'`]{0,63}[_@#$%^&*])[^\s\"'`,;\[]{6,64})"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """`text` may be sent as it is; `findings` name what was seen, for example `personal_data:email`, `toxicity:2`."""

    text: str
    findings: tuple[str, ...]
    blocked: bool


@lru_cache(maxsize=1024)
def check_output(text: str, system: str = "") -> OutputVerdict:
    """Checks an answer; `system` is the system prompt it must not repeat ("" = nothing to compare with).

    Fixed sentences and quoted pages come again and again, so it remembers; the verdict depends on nothing else.
    """
    masked = _mask(text)
    findings = [kind for mark, kind in _KINDS.items() if masked.count(mark) > text.count(mark)]
    if masked != text and not findings:
        findings.append("personal_data")
    blocked = False
    if _PRIVATE_KEY.search(text):
        findings.append("private_key")
        blocked = True
    if system and leaks(text, system):
        findings.append("system_prompt")
        blocked = True
    severity = toxicity(text)
    if severity:
        findings.append(f"toxicity:{severity}")
        blocked = blocked or severity >= BLOCKING_SEVERITY
    return OutputVerdict(WITHHELD if blocked else masked, tuple(findings), blocked)


def toxicity(text: str) -> int:
    """Severity of the worst words: 0 none, 1 crude, 2 insult or sexual harassment, 3 slur or threat."""
    plain = rule_text(text)
    for severity, rules in ((3, SLURS + THREATS), (2, ABUSIVE), (1, CRUDE)):
        if compile_rules(rules).search(plain):
            return severity
    return 0


def leaks(answer: str, system: str) -> bool:
    """Whether an answer repeats the system prompt, in plain words or encoded."""
    plain = clean(answer)
    return any(_repeats(tokens(version), system) for version in (plain, *candidates(plain)))


def _repeats(words: list[str], system: str) -> bool:
    sequences, runs = _sequences_of(system)
    if any(tuple(words[i : i + RUN]) in runs for i in range(len(words) - RUN + 1)):
        return True
    count = len(words) - _SEQUENCE + 1
    if count < _FEWEST_SEQUENCES:
        return False
    return sum(tuple(words[i : i + _SEQUENCE]) in sequences for i in range(count)) >= SHARE * count


@lru_cache(maxsize=8)
def _sequences_of(system: str) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """All sequences of `_SEQUENCE` and of `RUN` words of a system prompt."""
    words = tokens(system)
    short = frozenset(tuple(words[i : i + _SEQUENCE]) for i in range(len(words) - _SEQUENCE + 1))
    return short, frozenset(tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1))


def _mask(text: str) -> str:
    masked = masking.mask(_MORE_SECRETS.sub(masking.SECRET, text))
    return _SPOKEN_SECRET.sub(lambda match: match.group().replace(match["value"], masking.SECRET), masked)
