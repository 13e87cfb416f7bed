"""The order to drop one's instructions, and the wish to see them, in languages other than English.

Rules: what customers of an English-speaking bank are likely to paste, not a translation of all rules. Latin alphabets are
matched after accents are dropped, the others as they stand; patterns may begin anywhere, gaps are bounded.
"""

import re
import unicodedata

_LATIN = (
    r"\b(?:ignora\w{0,4}|ignorez|ignorer|oublie[zr]?|olvid\w{1,4}|esquec\w{1,4}|dimentica\w{0,3}|ignorier\w{0,3}"
    r"|vergiss|vergessen|missacht\w{1,3}|negeer|vergeet"
    r"|zignoruj|zapomnij|desconsider\w{1,3}|ne tiens pas compte|ne tenez pas compte|no sigas|no hagas caso"
    r"|haz caso omiso|umgehe|lass|ubergeh\w{0,3}|omite)\b[^.!?\n]{0,60}"
    r"\b(?:instruccion\w{0,2}|instruc\w{2,6}|instructions?|consignes?|istruzion\w|anweisung\w{0,2}"
    r"|instruktion\w{0,2}|befehle?|regeln?|regles?|reglas?|regras?|regole|instructies|regels"
    r"|instrukcj\w{1,2}|zasad\w{0,2}|ordenes|vorgaben|indicaci\w{1,4}|aanwijzingen|directi\w{1,5}|directri\w{1,5}"
    r"|richtlini\w{1,3})\b",
    r"\b(?:prompt (?:del |do |du |de )?(?:sistema|systeme)|system ?-?(?:anweisung\w{0,2}|prompt)"
    r"|mot de passe secret|geheim\w{0,2} (?:passwort|wort|schlussel)"
    r"|(?:contrasena|palabra|clave|codigo) secret\w|senha secreta|parola segreta)\b",
    r"\b(?:talimat|kural|komut)\w{0,8}[^.!?\n]{0,40}\b(?:yok say|unut|gormezden|dikkate alma)",
)
_OTHERS = (
    r"(?:игнорируй|проигнорируй|забудь|отмени|не обращай внимания|не следуй)[^.!?\n]{0,60}(?:инструкци|правил"
    "|указани|команд|промпт)",
    "системн[а-я]{1,4} (?:промпт|запрос|инструкци)",
    "(?:忽略|无视|無視|忘记|忘記|忘掉|不要遵守|绕过)[^。!?\n]{0,24}(?:指示|指令|说明|說明|规则|規則|提示|命令|要求)|系统提示|系統提示",
    "(?:指示|命令|ルール|プロンプト|指令)[^。!?\n]{0,14}(?:無視|忘れ|破棄)|システムプロンプト",
    "(?:지시|명령|규칙|프롬프트)[^.!?\n]{0,18}(?:무시|잊)|시스템 ?프롬프트",
    "(?:تجاهل|انس|تخط)[^.!?\n]{0,60}(?:تعليمات|التعليمات|أوامر|الأوامر|القواعد|التوجيهات)",
    "(?:निर्देश|नियम|आदेश)[^।.!?\n]{0,30}(?:अनदेखा|भूल|नज़रअंदाज़|नजरअंदाज)",
)
_PATTERN = re.compile("|".join(f"(?:{rule})" for rule in _LATIN))
_PATTERN_OTHERS = re.compile("|".join(f"(?:{unicodedata.normalize('NFKC', rule)})" for rule in _OTHERS))


def speaks(text: str, plain: str) -> bool:
    """Whether a text, or its cleaned form `plain`, says so in one of these languages."""
    if _PATTERN.search(plain.lower()):
        return True
    return not text.isascii() and _PATTERN_OTHERS.search(unicodedata.normalize("NFKC", text).lower()) is not None
