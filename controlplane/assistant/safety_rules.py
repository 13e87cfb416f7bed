"""The written rules of the safety screen: regular expressions over normalised text (lower case, plain apostrophes).

A rule sends a conversation to a person, so it may be generous, but it must not fire on everyday questions about cards, PINs
or addresses. The first route whose rule matches names the hand-over; they are listed in order of precedence.
"""

from collections.abc import Mapping
from types import MappingProxyType

from controlplane.assistant.model import SafetyRoute

_SOMEONE = (
    r"(?:an? |the |some |your |my |one of (?:your|the) |another |any )?(?:real |actual |live |proper |different |senior )?"
    r"(?:person|people|somebody|someone|anyone|anybody|staff|employee|colleagues?|managers?|supervisors?|advis[eo]rs?"
    r"|assistant|specialist|team|support|customer (?:service|support|care)|member of staff|man|woman)"
)
_OTHER_TRADES = (
    "travel", "estate", "real-estate", "letting", "lettings", "insurance", "booking", "shipping", "tax", "ticket",
    "cleaning", "secret", "fbi", "parking", "tour", "network", "phone", "mobile", "user", "rental", "sports", "property",
    "immigration", "crane", "train",
)  # fmt: skip
_UNWANTED = ("don't need an", "don't want an", "don't need a", "don't want a", "do not need an", "do not want an")
_OF_OURS = "".join(f"(?<!{trade} )" for trade in _OTHER_TRADES)
_WANTED = "".join(f"(?<!{words} )" for words in _UNWANTED)
_SOMEBODY = r"(?:some ?one|some ?body|a stranger|strangers?|criminals?|thie(?:f|ves)|crooks?|he|she|they|ex)"
_CODE = r"(?:pin|password|passcode|security code|one.time code|otp|card details)"
_DEBT = r"(?:loan|debts?|overdraft|repayments?|instal?ments?|arrears|bills)"
_ROADS = r"(?:road|street|lane|house|drive|avenue|yard|close)"

AGENT_RULES = (
    rf"{_OF_OURS}{_WANTED}\b(?:agents?|representatives?|operators?)\b(?! (?:fees?|number|commission))",
    rf"{_WANTED}\bhumans?\b(?! (?:error|errors|mistake|resources|rights?|body|history))",
    r"\b(?:real|actual|live|flesh.and.blood) (?:person|people|chat|support|somebody|someone)\b|\bsomeone real\b",
    rf"\b(?:speak|speaking|talk|talking|chat|chatting|word) (?:directly )?(?:to|with) {_SOMEONE}\b",
    rf"\b(?:connect|transfer|put|pass|hand|forward|escalate) me\b(?:(?! to another).)*\b{_SOMEONE}\b",
    r"\bstop (?:the|this) (?:chat)?(?:bot|robot)\b|\bput me through\b|\bcall me back\b",
    r"\b(?:customer service|service|support|sales) reps?\b",
    rf"\b(?:get|give|find|fetch) me {_SOMEONE}\b",
    r"\b(?:can|could|would|will|may) (?:someone|somebody|anyone|an? (?:employee|colleague|adviser|advisor)) "
    r"(?:please )?(?:call|phone|ring|contact) me\b",
    rf"\b(?:want|need|demand|prefer|rather have|would like|'d like) {_SOMEONE}\b",
    r"\bno(?:t an?|t)? (?:more )?(?:chat)?(?:bots?|robots?|machines?)\b",
    r"^(?:person|supervisor|manager|advis[eo]r|somebody|someone|staff|employee)(?: please| now)?[.!? ]*$",
)

_HARASSMENT = (
    r"\bharass|\bthreat(?:en|s\b)|\bblackmail|\bextort(?!ionate)|\bstalk(?:er|ing|ed)\b|\bbull(?:y|ied|ies|ying)\b",
    r"\babus(?:e|ed|ive|ing)\b|\bassault|\bintimidat|\binsult",
    r"\bracis[tm]\b|\bracial\b|\bsexis[tm]\b|\bsexual|\blewd\b|\bhomophob|\bslurs?\b",
    r"\binappropriate (?:comment|remark|message)",
    r"\b(?:hits?|beats?|hurts?|punch(?:es|ed)?|slaps?|chokes?) (?:me|my (?:mother|mum|child|children|kids))\b",
    r"\b(?:kill|hurt|shoot|stab|attack|murder) (?:you|him|her|them|some(?:one|body)|your|my ?self)\b",
    r"\b(?:burn down|blow up|smash) your\b|\bbreak your (?:neck|leg|arm|face)",
    r"\bsuicid|\bend (?:my life|it all)\b|\b(?:want to|wanna|better off) (?:die|dead)\b",
    r"\bdon't want to (?:live|be alive)\b|\bno reason to live\b",
    r"\bf[u*@]+c?k+ ?(?:you|off|u)\b|\bf[*]{2,}\w*|\bgo to hell\b|\bcunts?\b|\bscumbags?\b",
    r"\byou(?:'re| are| people are| lot are|r)?\b(?:\W+\w+){0,5}\W+"
    r"(?:idiots?|morons?|bastards?|bitch(?:es)?|arseholes?|assholes?|pigs)\b",
    r"\b(?:swore|swears|yell(?:ed|s)|scream(?:ed|s)?|shouted|shouts) at (?:me|us|my)\b|\bcalled me names\b",
    r"\b(?:scared|afraid|frightened) (?:of|for) (?:him|her|them|my (?:life|husband|wife|partner|ex))",
    r"\bforc(?:es|ed|ing) me to\b|\bkeeps? (?:calling|texting|following) me\b|\bwon't stop calling me\b",
)
_FRAUD = (
    r"\bfraud|\bscam|\bphish|\bidentity theft\b|\bstole my identity\b|\bidentity (?:was|has been|got|is) stolen\b",
    r"\bhack(?:ed|er|ers|ing)\b|\bcompromised\b|\bskimmed\b|\bcloned\b|\bhijack|\bsim[- ]swap|\bimpost[oe]r",
    r"\bun-?authori[sz]ed\b|\b(?:i|we) (?:did not|didn't|never|have not|haven't) (?:even )?(?:authori[sz]ed?|approved?)\b",
    r"\bwithout my (?:permission|consent|knowledge)\b|\bthat (?:i|we) (?:didn't|did not|never) (?:do|did|make|made)\b",
    r"\b(?:strange|odd|unfamiliar|unknown|weird|unexplained) (?:\w+ )?"
    r"(?:payment|transaction|withdrawal|merchant|charge|debit|activity|purchase)s?\b",
    r"\b(?:card|account|bank) (?:info|information|details|data|number) (?:was|were|has been|have been|got|is|are) "
    r"(?:stolen|leaked|copied)\b",
    r"\b(?:do not|don't|didn't|did not|can't|cannot) (?:even )?recogni[sz]e\b|\bunrecogni[sz]ed\b",
    r"\b(?:wasn't|was not|isn't|is not|not) (?:me|mine|by me|done by me)\b|\baren't mine\b",
    r"\b(?:never|didn't|did not|haven't|have not) "
    r"(?:make|made|do|did|done|order(?:ed)?|buy|bought|sign(?:ed)? up|set up) "
    r"(?:this|that|these|those|it|the|any|a) ?(?:\w+ )?"
    r"(?:payment|transaction|transfer|withdrawal|purchase|order|charge|debit)",
    rf"\b{_SOMEBODY}\b.{{0,25}}"
    r"\b(?:us(?:ed|es|ing)|spen(?:t|ds|ding)|withdr(?:ew|awn|awing)|emptied|drained|cleared|got into|access(?:ed)?)\b"
    r".{0,20}\b(?:card|account|money|details|savings|login|app)\b",
    r"\b(?:money|cash|funds|savings) (?:was|were|is|has been|have been|got|is being) "
    r"(?:stolen|taken|emptied|drained)\b",
    r"\bcard (?:is|was|has been|is being|got) (?:being )?(?:used|copied|charged)\b(?!.*\bby me\b)",
    r"\b(?:tricked|conned|duped|fooled|deceived|defrauded|cheated)\b",
    r"\b(?:fake|bogus) (?:\w+ )?"
    r"(?:website|site|shop|page|call|text|sms|e-?mail|landlord|investment|seller|app|profile)\b",
    r"\b(?:entered|typed|filled in|confirmed)\b.{0,40}\b(?:websites?|link|page|site|form|mail|email|text)\b",
    rf"\b(?:gave|told|read|sent|shared)\b.{{0,30}}\b(?:my|the|him|her|them)\b.{{0,15}}\b{_CODE}\b",
    r"\b(?:in|under) my name\b.{0,30}\b(?:loan|account|card|credit)",
    r"\b(?:loan|account|card|credit)\b.{0,30}\b(?:in|under) my name\b(?= without|.{0,20}not me|$)",
    r"\bsafe account\b|\bsuspicious (?:activity|transaction|payment|login|charge)|\bmoney launder",
)
_LEGAL = (
    r"\blawyers?\b|\bsolicitors?\b|\battorneys?\b|\bbarrister|\blaw ?suit|\blitigat|\bsubpoena|\bsummons\b|\blaw firm\b",
    r"\b(?:will|'ll|to|shall|could|can|gonna|should) sue\b|\bsuing\b",
    r"\blegal (?:action|steps|advice|department|team|proceedings|claim|dispute|matter)",
    rf"\b(?:in|to|the|a|small claims|county|through the|from a) courts?\b(?! {_ROADS})|\btribunal\b|\bcourt order\b",
    r"\bombudsman\b|\bregulators?\b|\bfca\b|\bfinancial conduct\b|\btrading standards\b",
    r"\bconsumer (?:protection|credit act)\b",
    r"\bgdpr\b|\bsubject access\b|\bdata (?:protection|breach)\b|\bprivacy (?:law|rights?|violation)",
    r"\billegal|\bunlawful|\bagainst the law\b|\bbr(?:oke|eaking|eak) the law\b|\bbreach(?:es|ed)?\b",
    r"\bliable\b|\bnegligen|\bdiscriminat",
    r"\b(?:formal|official|written) complaint|\bcomplain (?:formally|officially)|\bformal(?:ly)? complain",
    r"\b(?:lodge|file|raise|submit|register) (?:a|an|my) (?:\w+ )?complaint",
    r"\bcomplaints? (?:procedure|department|team|process|against)\b",
    r"\bprobate\b|\bexecutor|\bpower of attorney\b|\bpassed away\b|\bdeceased\b",
    r"\b(?:mother|father|husband|wife|mum|dad|partner|parent) (?:has |just )?died\b",
    r"\b(?:claim|want|demand|seek|owed) (?:\w+ )?(?:damages|compensation)\b|\bfor damages\b",
)
_FINANCIAL_DISPUTE = (
    r"\bdisput|\bcharge ?backs?\b|\bcontest (?:a|the|this|that)\b|\bclaw (?:it|the money) back\b",
    r"\b(?:charged|billed|debited|deducted|paid|took|taken)\b.{0,40}\b(?:twice|two times|double|again|too much)\b",
    r"\bdouble[- ]charged\b|\bover-?charg|\b(?:double|duplicate) (?:charge|payment|debit|billing)",
    r"\bcharged? (?:me )?(?:wrongly|by mistake|in error)\b",
    r"\bwrong(?:ly)? (?:amount|charge|charged|billed)\b|\bincorrect (?:amount|charge)\b|\bshort-?changed\b",
    r"\b(?:took|charge[sd]?|charging|bill(?:s|ed|ing)?|debit(?:s|ed|ing)?|takes?|taking)\b.{0,60}"
    r"\b(?:after|though|since|when|but) i(?:'ve| have)? (?:already )?(?:cancel|quit|end|stopp)",
    r"\bdebt collect|\bbailiff|\bcollections (?:team|agency)\b|\bcredit file\b|\bdefault notice\b|\bbankrupt|\binsolven",
    r"\b(?:can't|cannot|can not|unable to|struggl\w+ to|couldn't) (?:\w+ )?"
    rf"(?:pay|repay|afford|keep up|make|meet|manage)\b.{{0,30}}\b{_DEBT}\b",
    r"\bfinancial (?:difficult|hardship|trouble|problem)|\bfallen behind\b|\bin arrears\b",
    r"\bmissed (?:my )?(?:re)?payments\b",
)
ROUTE_RULES: Mapping[SafetyRoute, tuple[str, ...]] = MappingProxyType(
    {
        SafetyRoute.HARASSMENT: _HARASSMENT,
        SafetyRoute.FRAUD: _FRAUD,
        SafetyRoute.LEGAL: _LEGAL,
        SafetyRoute.FINANCIAL_DISPUTE: _FINANCIAL_DISPUTE,
    }
)
