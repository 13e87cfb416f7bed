"""Text made plain for the screens: look-alike and invisible characters folded, encodings undone as candidate readings.

Rules
- `clean` is for comparing, never for showing: compatibility forms (NFKC), accents and invisible characters dropped, letters
  of other alphabets that look Latin folded to what they look like. Text in another alphabet stays unlike any rule.
- `readings` are what else a text may say: base64, hexadecimal, ROT13, reversed, digits for letters, Unicode tag characters.
  `squeezed` is a text without anything but letters, for words that are spaced out or cut by punctuation.
- Everything is linear in the text, and the number and length of readings is bounded.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

_PUNCTUATION = {
    "’": "'",
    "‘": "'",
    "`": "'",
    "´": "'",
    "ʼ": "'",
    "“": '"',
    "”": '"',
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
}
# Look-alikes of Latin letters (the part of Unicode's list of confusables that is used against English readers).
_LOOK_ALIKES = {
    "a": "аαɑ", "b": "ЬƄвВΒ", "c": "сϲС", "d": "ԁɗ", "e": "еєεёЕΕ", "g": "ɡց", "h": "һНΗн", "i": "іїιІΙıɩ", "j": "јЈ",
    "k": "кКκΚ", "l": "ӏⅼ", "m": "мМΜ", "n": "пηոΝ", "o": "оοОΟσ", "p": "рρРΡ", "q": "ԛ", "r": "гᴦ", "s": "ѕЅꜱ",
    "t": "тτТΤ", "u": "υսцᴜ", "v": "ѵν", "w": "ԝшω", "x": "хχХΧ", "y": "уγҮУΥ", "z": "ΖᴢZ",
}  # fmt: skip
_FOLDING = {ord(look): latin for latin, looks in _LOOK_ALIKES.items() for look in looks if not look.isascii()}
_FOLDING |= {ord(mark): plain for mark, plain in _PUNCTUATION.items()}
_FOLDING |= {0x1F1E6 + index: chr(ord("a") + index) for index in range(26)}  # regional indicators: flags in letters
_TAGS = range(0xE0020, 0xE007F)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{16,4096}={0,2}(?![A-Za-z0-9+/=_-])")
_HEX = re.compile(r"(?<![0-9a-fA-F])(?:(?:0x|\\x|\\u00)?[0-9a-fA-F]{2}[ ,]{0,1}){8,2048}(?![0-9a-fA-F])")
_HEX_PAIR = re.compile(r"(?:0x|\\x|\\u00)?([0-9a-fA-F]{2})")
_MIXED = re.compile(r"[A-Za-z0-9@$!|]{3,40}")
_LEET = str.maketrans("013457@$!|", "oieastasil")
_LETTERS_ONLY = re.compile(r"[^a-z]+")
_READABLE = 0.92
_MAX_PARTS = 8
# Cheap test of a candidate: none of the injection rules can match a text without one of these.
_CUES = re.compile(
    r"ignor|instruct|prompt|system|disregard|reveal|passw|secret|pretend|jailbr|forget|overrid|restrict|act as|role|rules|bypass"
)


def clean(text: str) -> str:
    """The text as a reader sees it, in plain letters; ASCII text stays as it is but for control characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).translate(_FOLDING)
        text = "".join(character for character in text if unicodedata.category(character) not in ("Mn", "Cf", "Me"))
        text = unicodedata.normalize("NFKC", text)
    return _CONTROL.sub("", text)


def hidden(text: str) -> str:
    """What a text says in invisible Unicode tag characters (U+E0020 to U+E007E), which stand for ASCII."""
    if text.isascii():
        return ""
    return "".join(chr(ord(character) - 0xE0000) for character in text if ord(character) in _TAGS)


def squeezed(text: str) -> str:
    """Only the letters of a cleaned text, lower case, without spaces."""
    return _LETTERS_ONLY.sub("", text.lower())


def readings(text: str) -> Iterator[str]:
    """Other things a cleaned text may say, lower case; only those with a word that some injection rule needs."""
    for candidate in candidates(text):
        lower = candidate.lower()
        if _CUES.search(lower):
            yield lower


def candidates(text: str) -> Iterator[str]:
    """Every other reading of a cleaned text, sense or nonsense; few, and none longer than the text."""
    for number, match in enumerate(_BASE64.finditer(text)):
        if number == _MAX_PARTS:
            break
        yield _from_base64(match.group())
    for number, match in enumerate(_HEX.finditer(text)):
        if number == _MAX_PARTS:
            break
        yield _readable(bytes.fromhex("".join(_HEX_PAIR.findall(match.group()))))
    yield codecs.encode(text, "rot13")
    yield text[::-1]
    yield " ".join(word[::-1] for word in text.split(" "))
    if "%" in text:
        yield unquote(text)
    leet = _MIXED.sub(_from_leet, text)
    if leet != text:
        yield leet


def _from_leet(match: re.Match[str]) -> str:
    """Digits and signs in a word read as letters; words of one kind only (amounts, dates, names) stay."""
    word = match.group()
    letters = sum(character.isalpha() for character in word)
    return word.translate(_LEET) if 0 < letters < len(word) else word


def _from_base64(token: str) -> str:
    padded = token.rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        return _readable(base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True))
    except (binascii.Error, ValueError):
        return ""


def _readable(content: bytes) -> str:
    """Decoded bytes as text, empty unless nearly all are printable."""
    text = content.decode("utf-8", "ignore")
    plain = sum(character.isprintable() or character in "\n\t" for character in text)
    return text if text and plain >= _READABLE * len(text) and len(text) >= 0.9 * len(content) else ""
