"""Masks personal data and secrets in free text, before anything durable is written.

Rules
- Pure: text in, text out. Masking twice changes nothing more.
- Content fields only. Ids, times and numbers are never masked: a tenth of all 19-digit time stamps pass the card check.
- A card number must pass Luhn, an IBAN its check digits and its country's length; other long numbers stay, because an
  order number that is gone helps nobody. In doubt about a phone number or a secret, it goes.
- The kind stays readable: [email], [card], [iban], [phone], [national-id], [secret].
- MAY_CHANGE is a cheap pattern, valid for Python and for RE2, that matches every text (and every JSON text) that masking
  could change; bulk loads look only at cells it matches. A property test holds it to that.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

EMAIL, CARD, IBAN, PHONE, NATIONAL_ID, SECRET = "[email]", "[card]", "[iban]", "[phone]", "[national-id]", "[secret]"

_CUES = (
    *("sk-", "sk_", "pk_", "rk_", "ghp_", "gho_", "ghs_", "github_pat", "glpat", "xox", "akia", "aiza", "eyj"),
    *(
        "bearer",
        "basic",
        "private key",
        "passw",
        "passcode",
        "passphrase",
        "pwd",
        "pin",
        "api_key",
        "api key",
        "api-key",
    ),
    *("apikey", "secret", "token", "ssn", "social", "passport", "national", "tax", "authorization"),
)
_NUMBER_LIKE = (
    r"[0-9](?:[^0-9A-Za-z]{0,4}[0-9]){6}"
    r"|[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11}"
    r"|[A-Za-z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d]"
)
MAY_CHANGE = rf"@|\\u|{_NUMBER_LIKE}|(?i:{'|'.join(_CUES)})"
_NUMBERS = re.compile(_NUMBER_LIKE)
_DIGIT = re.compile("[0-9]")
_GAP = r"[ \u00a0.\-]{0,2}"
_DIGIT_RUN = re.compile(rf"(?<![0-9A-Za-z])[0-9](?:{_GAP}[0-9]){{12,}}(?![0-9])")
_DIGIT_GROUP = re.compile(r"[0-9]+")
_EMAIL = re.compile(r"[\w.%+'\-]{1,64}@(?:[\w\-]{1,63}\.){1,8}[^\W\d_]{2,24}")
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[0-9]{2}(?=[ \-]?[A-Za-z0-9])")
_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_\-]{12,}|[sprk]{2}_(?:live|test)_[A-Za-z0-9]{8,}|gh[pos]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_\-]{16,}|xox[abeprs]-[A-Za-z0-9\-]{8,}|AKIA[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_\-]{30,}|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*)"
)
_AUTHORIZATION = re.compile(r"\b(bearer|basic)([ \t]+)(?=[A-Za-z]*[0-9._~+/=\-])[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE)
_SECRET_WORD = (
    r"pass(?:word|wd|phrase|code)|pwd|pin|api[_ \-]?key|(?:client[_ \-]?|app[_ \-]?)?secret|(?:\w+[_ \-])?token"
)
_ASSIGNED = re.compile(rf"(?i)\b({_SECRET_WORD})(\"?[ \t]*[:=][ \t]*\"?)(?!\[secret\])([^\s\",;]{{3,}})")
_SPOKEN = re.compile(
    rf"(?i)\b({_SECRET_WORD})([ \t]+is[ \t]+[\"']?)(?!\[secret\])((?=[^\s\"',;]*[0-9!#$%&*+@^_~])[^\s\"',;]{{3,}})"
)
_NATIONAL_ID = re.compile(
    r"(?<![\w\-])[0-9]{3}([ \-])[0-9]{2}\1[0-9]{4}(?![\w\-])"
    r"|(?<![A-Za-z0-9])[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-z][A-CEGHJ-NPR-TW-Za-ceghj-npr-tw-z]"
    r" ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d](?![A-Za-z0-9])"
)
_NATIONAL_ID_SPOKEN = re.compile(
    r"(?i)\b(ssn|social security(?: number| no\.?)?|passport(?: number| no\.?)?|national id(?: number)?"
    r"|tax id(?: number)?)([ \t]*(?:is|:|=|#)?[ \t]*)((?=[A-Za-z0-9\-]*[0-9]{4})[A-Za-z0-9][A-Za-z0-9\-]{4,18})"
)
_PHONE_GAP = r"[ \u00a0.\-/()]{0,3}"
_PHONE = re.compile(
    rf"(?<![\w+])(?:\+|00)[1-9](?:{_PHONE_GAP}[0-9]){{6,14}}(?![0-9])"
    r"|(?<![\w\-])(?:1[ .\-])?(?:\([2-9][0-9]{2}\)[ \-]?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}(?![\w\-])"
    rf"|(?<![\w.,\-/])\(?0[1-9](?:{_PHONE_GAP}[0-9]){{7,10}}(?![\w])"
)
_PHONE_SPOKEN = re.compile(
    r"(?i)\b(phone|mobile|cell|tel|telephone|call|text|sms|whatsapp|fax|ring)\b([^0-9\n]{0,24}?)"
    rf"(?<![0-9A-Za-z])([0-9](?:{_PHONE_GAP}[0-9]){{6,14}})(?![0-9A-Za-z])"
)
_SECRET_NAME = re.compile(rf"(?i)^(?:\w+[_\-])?(?:{_SECRET_WORD}|authorization)$")

# Country -> length of its IBAN (ISO 13616 registry).
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FO FI GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


SHORT = 48  # characters


def luhn_valid(digits: str) -> bool:
    """Whether a string of decimal digits passes the Luhn check (ISO/IEC 7812-1)."""
    total = 0
    for index, character in enumerate(reversed(digits)):
        value = int(character) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_valid(compact: str) -> bool:
    """Whether an IBAN without spaces has its country's length and check digits (ISO 7064 MOD 97-10)."""
    if _IBAN_LENGTHS.get(compact[:2].upper()) != len(compact):
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def mask(text: str) -> str:
    """The text with personal data and secrets replaced by their kind in brackets."""
    return _mask_short(text) if len(text) <= SHORT else _mask_any(text)


@lru_cache(maxsize=4096)
def _mask_short(text: str) -> str:
    """Names of steps, verdicts and pages fill most string fields of a record, again and again."""
    return _mask_any(text)


def _mask_any(text: str) -> str:
    while may_change(text):
        masked = _mask_always(text)
        if masked == text:
            break
        text = masked  # what is gone may uncover its neighbour; each pass removes something, so this ends
    return text


def may_change(text: str) -> bool:
    """Whether MAY_CHANGE matches, found the fast way."""
    if "@" in text or "\\u" in text or (_DIGIT.search(text) and _NUMBERS.search(text)):
        return True
    folded = text.casefold()
    return any(cue in folded for cue in _CUES)


def _mask_always(text: str) -> str:
    """`mask` without the quick way out; the order matters: what is certain goes first."""
    text = _KEY.sub(SECRET, text)
    text = _AUTHORIZATION.sub(rf"\1\2{SECRET}", text)
    text = _EMAIL.sub(EMAIL, text)
    text = _mask_ibans(text)
    text = _DIGIT_RUN.sub(_mask_cards, text)
    text = _NATIONAL_ID.sub(NATIONAL_ID, text)
    text = _NATIONAL_ID_SPOKEN.sub(rf"\1\2{NATIONAL_ID}", text)
    text = _PHONE.sub(PHONE, text)
    text = _PHONE_SPOKEN.sub(rf"\1\2{PHONE}", text)
    text = _ASSIGNED.sub(rf"\1\2{SECRET}", text)
    return _SPOKEN.sub(rf"\1\2{SECRET}", text)


def mask_json(value: Any, masker: Callable[[str], str] = mask) -> Any:
    """A copy of a decoded JSON value: every string masked, and every string below a key that names a secret replaced.
    Numbers, booleans, nulls and keys stay."""
    if isinstance(value, str):
        return masker(value)
    if isinstance(value, list):
        return [mask_json(item, masker) for item in value]
    if isinstance(value, dict):
        return {
            key: SECRET if isinstance(item, str) and _SECRET_NAME.match(key) else mask_json(item, masker)
            for key, item in value.items()
        }
    return value


def without_examples(topics: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Topics as they may be shown to everybody: terms and counts, without the examples in customers' words (masked ones are still theirs)."""
    return [{name: value for name, value in topic.items() if name != "examples"} for topic in topics]


def mask_json_text(text: str) -> str:
    """JSON text in, JSON text out, strings masked by `mask_json`; text that is not JSON is masked as it stands."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return mask(text)
    masked = mask_json(value)
    return text if masked == value else json.dumps(masked, ensure_ascii=False, separators=(",", ":"))


def _mask_cards(match: re.Match[str]) -> str:
    """A run of digits, perhaps grouped: replaces every stretch of whole groups that is a card number, the longest first.
    Looking at stretches finds the card in `4111 1111 1111 1111 12/27`."""
    run = match.group()
    groups = [(found.start(), found.end()) for found in _DIGIT_GROUP.finditer(run)]
    parts: list[str] = []
    done = first = 0
    while first < len(groups):
        last = _card_end(run, groups, first)
        if last is None:
            first += 1
            continue
        parts += [run[done : groups[first][0]], CARD]
        done = groups[last][1]
        first = last + 1
    return "".join([*parts, run[done:]])


def _card_end(run: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the card number that begins with group `first`, or None. Looks at no more than 19 groups."""
    digits = ""
    found = None
    for index in range(first, min(first + 19, len(groups))):
        digits += run[slice(*groups[index])]
        if len(digits) > 19:
            break
        if len(digits) >= 13 and digits[0] in "23456" and luhn_valid(digits):
            found = index
    return found


def _mask_ibans(text: str) -> str:
    """Replaces each IBAN, grouped or not. Its length comes from its country, so the word after it stays."""
    parts: list[str] = []
    done = 0
    for match in _IBAN_START.finditer(text):
        if match.start() < done:
            continue
        end = _iban_end(text, match.start(), _IBAN_LENGTHS.get(match.group(1).upper(), 0))
        if end:
            parts += [text[done : match.start()], IBAN]
            done = end
    return "".join([*parts, text[done:]]) if parts else text


def _iban_end(text: str, start: int, length: int) -> int:
    """Where the IBAN of `length` characters that begins at `start` ends, or 0 when there is none."""
    if length == 0:
        return 0
    compact: list[str] = []
    position = start
    while position < len(text) and len(compact) < length:
        character = text[position]
        if character.isascii() and character.isalnum():
            compact.append(character)
        elif not (character in " -" and text[position - 1] not in " -"):
            return 0
        position += 1
    bounded = position == len(text) or not (text[position].isascii() and text[position].isalnum())
    return position if bounded and iban_valid("".join(compact)) else 0
