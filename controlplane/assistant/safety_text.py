"""The form of a text that the written safety rules read, and the small language the rules are built from.

Rules
- One form for all spellings: lower case, look-alike characters folded, contractions written out (also "didnt", "cant"),
  punctuation gone except a lone "." between sentences, words separated by one space. "I didn't! Please" becomes
  "i did not . please".
- A word one slip (a letter too many, too few, wrong, or two swapped) away from a word the rules look for is corrected to
  it, unless it is a word in its own right ("changed" is not "charged").
- Every rule is linear in the text: a gap is a bounded number of words, never `.*`. A test holds the compiled patterns
  to that.
"""

import re
from functools import lru_cache

from controlplane.assistant.injection_text import clean

_CONTRACTIONS = (
    (re.compile(r"\b(?:ca|can)n? ?'?t\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwo(?:n't|nt)\b"), "will not"),
    (re.compile(r"\bain'?t\b"), "is not"),
    (re.compile(r"\b(did|do|does|is|was|are|were|has|have|had|would|could|should|must|need)n'?t\b"), r"\1 not"),
    (re.compile(r"\bi'?m\b"), "i am"),
    (re.compile(r"\b(i|you|we|they)(?:'ve|ve)\b"), r"\1 have"),
    (re.compile(r"\b(you|we|they)'re\b"), r"\1 are"),
    (re.compile(r"\b(i|you|he|she|they|it|that)'ll\b"), r"\1 will"),
    (re.compile(r"\b(i|you|he|she|we|they)'d\b"), r"\1 would"),
    (re.compile(r"\b(it|that|what|there|here|who|he|she|someone|somebody)'s\b"), r"\1 is"),
    (re.compile(r"\bgonna\b"), "going to"),
    (re.compile(r"\bwanna\b"), "want to"),
    (re.compile(r"\b(?:gotta|got to)\b"), "have to"),
)
_SENTENCE_END = re.compile(r"[.!?;\n]+(?=\s|$)|\n+")
_NOT_WORD = re.compile(r"[^a-z0-9£$€%*@.]+")
_STRAY_DOT = re.compile(r"(?<![0-9 ])\.(?! )|(?<! )\.(?![0-9 ])")
_SPACES = re.compile(r" {2,}")

# Words the rules look for, in the forms people mistype. Correcting never invents a subject: the rules still want company.
_KEYWORDS = """
fraud fraudulent scammed scammer scammers stolen unauthorised unauthorized authorised authorized authorise authorize recognise recognize
recognised recognized transaction transactions withdrawal withdrawals withdrew payment payments purchase purchases hacked hacker
phishing identity suspicious compromised harassed harassing harassment threatened threatening blackmail blackmailed lawyer
attorney solicitor lawsuit ombudsman complaint dispute disputed disputing chargeback duplicate duplicated agent human operator
representative person somebody someone assistant supervisor manager employee advisor adviser customer support service
contact contacting speak speaking talking chatting assistance real reclamation account collector collectors
""".split()  # noqa: SIM905
# Words in their own right that are one slip away from a keyword.
_WORDS_THEMSELVES = frozenset(
    """
    contract contracts contacted contacts contracting identify managed manage manages managers lawyers layer layers agents humans
    humane hunan persons payments repayment repayments purchased purchaser accounts accounted disputes duplicates complaints complain
    compliant customers customs custom supports supported services serviced serve server transactional hackers hacks hatched backed
    speaks spear steak sneak speck speaking spending sneaking talkin stalking walking taking chatting charting cheating charging changing staking
    realm reel regal really read rear reap seal deal meal heal ideal supervisors employees employer employed employees operators
    operated representatives assistants assisted assist assistances advisors advisory advised advisers persona personal prison
    frauds scammers scams authorises authorizes recognises recognizes authorising withdrawn withdraws recollect reclaim
    """.split()  # noqa: SIM905
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _slips(word: str) -> set[str]:
    """Every string one slip away from a word; its first letter stays, or swaps places with the second."""
    heads = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    left_out = {a + b[1:] for a, b in heads if a and b}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in heads if len(b) > 1}
    wrong = {a + letter + b[1:] for a, b in heads if a and b for letter in _LETTERS}
    extra = {a + letter + b for a, b in heads if a for letter in _LETTERS}
    return left_out | swapped | wrong | extra


@lru_cache(maxsize=1)
def _corrections() -> dict[str, str]:
    known = set(_KEYWORDS) | _WORDS_THEMSELVES
    return {slip: word for word in reversed(_KEYWORDS) if len(word) >= 5 for slip in _slips(word) if slip not in known}


@lru_cache(maxsize=64)
def rule_text(text: str) -> str:
    """The form the rules read; takes time linear in the text. Several checks read the same message, so it remembers the last ones."""
    plain = clean(text).lower()
    if "'" in plain or "n" in plain:
        for pattern, replacement in _CONTRACTIONS:
            plain = pattern.sub(replacement, plain)
    plain = _SENTENCE_END.sub(" . ", plain)
    plain = _NOT_WORD.sub(" ", plain.replace("'", " "))
    plain = _SPACES.sub(" ", _STRAY_DOT.sub(" ", plain)).strip()
    corrections = _corrections()
    return " ".join(corrections.get(word, word) for word in plain.split(" "))


def gap(words: int, across: bool = False) -> str:
    """A pattern for one space and at most this many words; `across` lets the gap span sentences."""
    return rf"(?: {'[^ ]' if across else '[^ .]'}{{1,40}}){{0,{words}}} "


@lru_cache(maxsize=32)
def compile_rules(rules: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern that matches where any rule does; compiled at first use, because there are many.

    Every rule begins at a word, and saying so once saves trying them all inside every word.
    """
    return re.compile(rf"(?<![^ ])(?:{'|'.join(f'(?:{rule})' for rule in rules)})")
