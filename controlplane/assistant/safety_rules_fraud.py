"""Fraud in customers' words: payments nobody made, cards that others use, stolen data, deception.

Rules: patterns over `safety_text.rule_text`, built from who, did what, to what, with a few words between. A card that is only
lost or stolen is no fraud (a workflow blocks it); one that somebody used is. A payment that failed, or went to a wrong
account by the customer's own slip, is none either.
"""

from controlplane.assistant.safety_text import gap

_I = r"(?:i|we|my (?:husband|wife|partner|son|daughter|mother|father|mum|mom|dad|family))"
_NOT = r"(?:(?:did|do|have|has|had|am|was|would|could|can|is|were|are) not|never|none|nor)"
_MAYBE = "(?: (?:even|ever|really|definitely|certainly|actually|just|fully|quite|personally|ever|still|both|at all))?"
_TX = (
    "(?:(?:direct )?debits?|payments?|transactions?|transacations?|transfers?|withdrawa?ls?|withdrawals?"
    "|with ?drawls?|purchases?"
    r"|charges?|orders?|spending|deductions?|activit(?:y|ies)|expenses?|entr(?:y|ies)|cash advances?|subscriptions?"
    r"|sales?|checks?|cheques?|zelle|wires?|inquir(?:y|ies))"
)
_SPENT = (
    "(?:(?:direct )?debits?|payments?|transactions?|transfers?|withdrawa?ls?|with ?drawls?|purchases?|charges?"
    "|spending|deductions?"
    r"|cash advances?|subscriptions?|zelle|wires?|inquir(?:y|ies))"
)
_DID_NOT = r"(?:(?:did|do|have|has|had) not|never)"
_WEIRD = (
    "(?:strange|odd|unfamiliar|unknown|weird|unexplained|unusual|suspicious|funny|mysterious|bizarre|random|dodgy"
    "|fishy|shady"
    r"|questionable|unrecogni[sz]ed|unrecogni[sz]able|un ?authori[sz]ed|foreign looking|bogus|fictitious|phantom)"
)
_SOMEBODY = (
    "(?:some ?one(?: else)?|some ?body(?: else)?|another person|other people|strangers?|criminals?|crooks?"
    "|thie(?:f|ves)|theifs?"
    "|people|persons?|fraudsters?|scammers?|hackers?|he|she|they|(?:my )?ex|(?:ex )?(?:husband|wife|boyfriend"
    "|girlfriend)"
    r"|(?:some|a) (?:guy|man|woman|dude|kid)|who ?ever|any ?one)"
)
_USES = (
    r"(?:us(?:e|ed|es|ing)|utili[sz]\w+|spen(?:t|d|ds|ding)|withdr(?:ew|aw|aws|awn|awing)|emptied|emptying"
    "|drain(?:ed|ing)|cleared|clearing"
    r"|got into|getting into|gained access|access(?:ed|ing)|logged in(?:to)?|charg(?:ed|ing)|bought|buying|shopping"
    r"|purchas(?:ed|ing)|copied|(?:stole|stolen|stealing|took|taking|taken|tak(?:e|es))(?= (?:\w+ ){0,3}(?:money"
    r"|cash|funds|savings|identity|details|info\w*|numbers?|name|login|signature))|making|made|mak(?:e|es)|ran up"
    "|running up|opened|opening|maxed"
    r"|hold of|applied|ordered|ordering|cashed|forged|transferred|transferring)"
)
_MINE = (
    "(?:cards?|accounts?|money|details|savings|login|log in|app|funds|identity|name|wallet|cash|credit|numbers?"
    r"|info\w*|ssn|social security|checks?|cheques?|checkbook|cheque ?book|signature)"
)
_NOT_LET = "".join(
    f"(?<!{word} )"
    for word in ("can", "let", "if", "could", "allow", "may", "should", "would", "must", "do", "how", "want", "lets")
)
_STOLEN = (
    r"(?:stole|stolen|stealing|theft|rob(?:bed|bery)?|mugg(?:ed|ing|er)|burgl\w+|snatched|pick ?pocket\w*|nicked"
    "|swiped my|pinched)"
)
_CODE = (
    "(?:pins?|passwords?|passcodes?|security codes?|one time (?:codes?|passwords?)|otps?|cvv|verification codes?"
    "|card (?:details|numbers?)|log ?in(?: details)?|bank(?:ing)? details|social security(?: number)?|ssn)"
)
_DID = (
    r"(?:ma(?:k|d)e|making|do|did|done|order(?:ed)?|buy|bought|sign(?:ed)? (?:up|for)|set (?:it )?up|initiat\w+"
    r"|creat\w+"
    r"|authori[sz]\w*|approv\w+|complet\w+|perform\w*|place[d]?|request\w*|consent\w*|agree[d]?|withdraw|withdrew"
    r"|take out|took out|took|take|open(?:ed)?|appl(?:y|ied)|pa(?:y|id) for|purchas\w+|conduct\w*|submit\w*"
    r"|carr(?:y|ied) out|start\w*|subscribe[d]?|send|sent|wr(?:i|o)te|spen[dt]|use[d]?|recogni[sz]e|recall"
    "|remember)"
)
_KNOW = (
    r"(?:recogni[sz]\w*|reconi[sz]e|recongni[sz]e|recall|remember|familiar|identify|acknowledge|know (?:of|about"
    "|anything about)|sure (?:of|about|what|that i made)|understand what)"
)

FRAUD_RULES = (
    r"\b(?:calls?|texts?|e ?mails?|messages?|sms|letter)\b(?: [^ .]{1,40}){0,10} (?:asking|asked|asks|wanted|wants"
    r"|demand\w*|requesting|requested)"
    rf"(?: me)?(?: for| to (?:confirm|give|tell|read|enter|send|share))? (?:my|the|a) (?:\w+ )?{_CODE}\b",
    r"[£$€] ?[0-9.]+(?: [0-9]{3})?(?: \w+)? (?:has|had|is|was|are|have|were)(?: just| all| suddenly)? (?:gone"
    r"|vanished|missing|disappeared)\b",
    r"\b(?:some ?one|some ?body|a stranger|a thief|thieves)(?: in \w+| else)? (?:is|was|keeps|has been"
    r"|are) \w+ing (?:\w+ ){0,5}(?:on|with|from|using) my\b",
    r"\bmy (?:\w+ )?account (?:is|was) (?:now|suddenly|completely) (?:empty|emptied|at zero|drained)\b",
    r"\b(?:de)?fraud\w*|\bscam(?:s|m?ed|m?ing|m?ers?|my)?\b|\bphish\w*|\bsmishing\b|\bvishing\b|\bspoof\w*"
    r"|\bimpost[oe]rs?\b|\bimpersonat\w*",
    r"\bidentity (?:theft|thie\w+|fraud)\b|\bid theft\b|\bidentity\b(?: \w+){0,3} (?:stolen|taken|misused"
    r"|compromised)\b|\btheft of (?:my |our )?identity\b",
    r"\b(?:stole|steals?|stealing|took|taking|misus\w+) (?:\w+ )?identity\b|\bcon(?: |)(?:artist|man)\b"
    r"|\bswindl\w*|\bcounterfeit\w*|\bforg(?:ed|ery|ing)\b",
    r"\bhack(?:ed|ers?|ing)?\b|\bcompromised\b|\bbreached\b|\bskimm(?:ed|er|ing)\b|\bcloned?\b|\bcloning\b"
    r"|\bhijack\w*|\bsim swap\w*|\bmalware\b|\baccount takeover\b|\btook over my (?:account|phone|number|e ?mail)",
    r"\bun ?author?i[sz](?:ed|d)\b|\bnon authori[sz]ed\b|\bunrecogni[sz](?:ed|able)\b",
    r"\bwithout (?:\w+ ){0,2}(?:permission|consent|knowledge|approval|authori[sz]\w+|ok|okay|say so|asking|knowing"
    r"|me knowing|my knowing|asking me|signature)\b",
    # "a payment (that) I did not make", "purchases I never made", "not done by me", "the app says I withdrew cash but I did not"
    rf"\b{_TX}\b{gap(8)}{_I}{_MAYBE}(?: \w+){{0,3}} {_DID_NOT}{_MAYBE} (?:think |believe |know |want |intend "
    rf"|mean )?(?:i )?(?:ever |have )?(?:\w+ly )?{_DID}\b(?! (?:it )?(?:on time|late|yet|correct))",
    rf"\b{_TX}\b{gap(10)}{_I}{_MAYBE}(?: \w+)? {_DID_NOT}(?: \w+ly)?(?= \.|$)",
    rf"\b(?:{_SPENT}|withdrew|cash)\b{gap(14, True)}{_I} {_DID_NOT}{_MAYBE} (?:complet\w+|mak|mad|do|did|done"
    r"|authori[sz]\w+|approv\w+|initiat\w+|request\w*|set|order\w*)e? (?:it|that|this|so|these|those|them)\b",
    r"\b(?:app|statements?|account|records?|history|notif\w+|notice|balance|bank)\b(?: \w+){0,3} (?:says?|shows?"
    r"|showing|claims?|claiming|indicates?|states?|reads|saying)(?: that)? i (?:had |have )?(?:got|withdr\w+|took"
    r"|made|spent|sent|bought|transferred|purchased)\b",
    rf"\b{_I} (?:did not|never){_MAYBE} (?:withdr\w+|authori[sz]e[d]?|approve[d]?(?! for)"
    r"|consent(?:ed)? to)\b(?! (?:enough|cash yet))|\b(?:do|did) not (?:think|believe|recall"
    r"|remember) (?:that )?i (?:ever )?(?:made|did|authori[sz]\w+|bought|withdr\w+|ordered|paid for|spent|used"
    r"|making)\b",
    r"\b(?:what (?:is|are|was|were)|who (?:made|did|authori[sz]ed|took|is|are)) (?:this|that|these"
    r"|those) (?:\w+ ){0,2}(?:(?:direct )?debits?|payments?|transactions?|withdrawals?|purchases?)\b(?! (?:limit"
    r"|fee|charge|time|history|status|reference))|\b(?:do|did) not (?:know|understand|get) what (?:this|that|the"
    rf"|these|those) (?:\w+ ){{0,3}}(?:{_SPENT})\b(?! (?:limit|fee)s?)",
    r"\bwhere (?:(?:this|that|these|those|the|a) (?:\w+ ){0,2}(?:charge|transaction|debit"
    r"|withdrawal)s?(?: on my \w+)? (?:is|are|came|come|comes|coming|originat\w+)|(?:is|are) (?:this|that|these"
    r"|those) (?:\w+ ){0,2}(?:charge|transaction|debit|withdrawal)s? (?:coming|from))\b|\bhow or where (?:this"
    r"|that)\b",
    rf"\b{_SPENT}\b{gap(8)}should not (?:be|have been) (?:there|on|in|made|taken)\b|\b(?:charge|inquiry|inquiries"
    r"|debit|withdrawal|purchase)s?\b(?: \w+){0,3} not (?:been )?(?:authori[sz]ed|approved)\b",
    rf"\b(?:{_SPENT}|charged|taken|deducted|debited|withdrawn|withdrew|made"
    rf"|used)\b{gap(14, True)}never (?:even )?(?:heard of|seen before|seen that|seen this)\b",
    r"\b(?:money|cash|funds|withdr\w+|account was)\b(?: \w+){0,4} (?:taken|deducted|withdrawn|drawled|cash"
    rf"|removed|got|pulled)\b{gap(10)}(?:not|never) (?:\w+ly |even )?(?:remember|recall|approv\w+|recogni[sz]\w+"
    r"|authori[sz]\w+)\b",
    r"\b(?:some ?one|some ?body|a stranger|a thief|thieves|criminals)(?: \w+){0,2} (?:took|withdrew|taken|spent"
    r"|charged|stole|stolen|got|transferred) (?:\w+ )?[£$€]?[0-9]",
    r"\bi (?:did|have) not (?:buy|bought|order|ordered|purchase|purchased|spend|spent|pay for|book"
    r"|booked) (?:anything|any of (?:it|this|that|these)|that|this|a thing)\b(?! (?:yet|so far|new))",
    rf"{_NOT_LET}\b(?:some ?one|some ?body) else (?:is |was |has |has been |have been |may be |might be |could be "
    "|must be "
    "|must have |may have ){0,12}(?:using|used|has|charged|charging|withdrew|ordered|made|making|spent|spending|got"
    r"|accessed|accessing)\b",
    rf"\b(?:cash|money|funds)\b{gap(5)}{_I} {_NOT}{_MAYBE} (?:get|got|receiv\w+|accept\w*|deposit\w*|take|took"
    r"|withdr\w+|make|recogni[sz]e|collect)\b",
    rf"\b{_I}{_MAYBE} {_DID_NOT}{_MAYBE} (?:made?|make|do|did|done|buy|bought|order(?:ed)?|sign(?:ed)? up for"
    r"|set up|initiated?|created?|authori[sz]\w*|approv\w+|completed?"
    r"|perform\w*|placed?|request\w*|withdr[ae]w|take out|took out|use|used) (?:this|that|these|those|it|the|any|a"
    rf"|an|such|said|all)?(?: \w+){{0,3}} ?\b{_TX}\b(?! (?:on time|yet|due|cash|enough))",
    rf"\b{_I}{_MAYBE} {_DID_NOT}{_MAYBE}(?: \w+ly)? (?:authori[sz]e[d]?|consent(?:ed)? to|agreed? to|sign(?:ed)? up"
    r"|approved?|set up|create[d]?|do) (?:this|that|it|these|any of)\b",
    rf"\b{_TX}\b{gap(6)}(?:not|never)(?: (?:been|be|being))? (?:done |made |authori[sz]ed |approved |initiated "
    r"|created |set up |placed )?(?:by (?:me|us|myself)|me|mine|my own)\b",
    r"\b(?:was|were|is|are|am|definitely|certainly) not (?:me|mine|done by me|made by me|by me|by myself|us|ours)\b",
    r"\b(?:that|this|it|those|these) (?:was|is|were|are) not my (?:\w+ )?(?:purchase|transaction|debit|charge"
    r"|withdrawal|order|doing)s?\b|\bnot (?:made|done|authori[sz]ed|approved|initiated|requested) by (?:me|us"
    r"|myself)\b",
    # not known, not remembered
    rf"\b(?:not|never|can not|un able to|unable to)(?: \w+){{0,2}} {_KNOW}(?! my (?:pin|pass|code"
    rf"|log))(?: \w+){{0,8}} {_SPENT}\b(?! (?:limit|fee|history))|\b(?:{_SPENT}|withdrew)\b{gap(10)}(?:(?:not|never"
    rf"|unable to|no)(?: \w+ly| even| really)? {_KNOW}|un ?sure (?:of|about))\b(?! my (?:pin|pass|code|log))",
    r"\b(?:do|did|can|could|does) not(?: \w+ly| even)? (?:recogni[sz]e|recogni[sz]ed|reconi[sz]e)\b(?! me\b"
    "| my (?:face|voice|finger|thumb|pass|log|card|pin|phone|device))",
    rf"\b{_TX}\b{gap(6)}(?:no (?:idea|clue|memory|recollection|recognition|knowledge)|mystery)\b|\bno (?:idea|clue"
    rf"|memory|recollection)\b{gap(6)}{_TX}\b(?= (?:came|is|was|from|on|are))",
    rf"\b{_WEIRD}(?: \w+){{0,2}} (?:{_TX}|merchants?|companies|company|names?|log ?ins?|direct debits?|deposits?"
    rf"|accounts?|items?)\b|\b{_TX}\b{gap(6)}(?:{_WEIRD}|off|fishy)(?= |$)(?! (?:rate|currency|work|peak|the|my"
    "|of))",
    rf"\b(?:never|not)(?: even)? (?:been (?:to|there|in|at)|visited|shopped|travell?ed)\b{gap(12, True)}{_SPENT}\b"
    rf"|\b{_TX}\b{gap(14, True)}(?:never|not)(?: even)? (?:been (?:to|there|in)|visited|shopped|go(?:ne)? to)\b",
    r"\b(?:have|had|has|still have|got|holding) (?:my|the|both) (?:debit |credit |bank )?cards? (?:with me|here"
    rf"|in my (?:hand|possession|wallet|purse|pocket)|on me|right here)\b{gap(14, True)}(?:{_TX}|cash|used)\b",
    rf"\b(?:not|never) (?:even )?us(?:e|ed|ing) (?:my|the|this|that) (?:\w+ )?card\b{gap(10, True)}{_SPENT}\b"
    rf"|\b{_TX}\b{gap(10, True)}(?:not|never) (?:even )?us(?:e|ed) (?:my|the) (?:\w+ )?card\b",
    # somebody else did something with what is mine
    rf"{_NOT_LET}\b{_SOMEBODY}\b(?! (?:at|from|in) (?:your|the) bank)(?: (?!i |we "
    rf"|you )[^ .]{{1,40}}){{0,4}} {_USES}(?: \w+){{0,6}} (?:my|our|mine|me)(?: \w+){{0,3}} {_MINE}\b",
    rf"{_NOT_LET}\b{_SOMEBODY}\b(?: (?!i |we |you )[^ .]{{1,40}}){{0,4}} (?:using|used|making|made|mak(?:e|es)"
    r"|withdr\w+|taking|took|taken|stole|stealing|spending|spent|gotten|bought|charged|gained access|logged|cloned"
    rf"|copied)(?: \w+){{0,3}} (?:{_SPENT}|cash|money|access|copy of|duplicate)\b(?: \w+){{0,4}} (?:(?:on|from|with"
    r"|to|of|out of|using|in) (?:my|our)|without|against my)\b",
    rf"{_NOT_LET}\b{_SOMEBODY} (?:\w+ ){{0,3}}(?:has|have|had|got|knows?|copied|saw|took|takes?"
    r"|photographed) (?:a copy of |hold of |all )?(?:my|our) (?:\w+ ){0,3}(?:details|info\w*|numbers?|pin"
    r"|password|passcode|code|log ?in|data|identity|money|card(?! back))\b",
    rf"{_NOT_LET}\b(?:some ?one|some ?body|people|stranger|thief|thieves|criminal|theif)s?(?: else)?(?: (?:is|was"
    "|has|have"
    "|may be|might be|must have|been|just|obviously|apparently|keeps?|else)){0,4} (?:charg(?:e[ds]?|ing)"
    r"|us(?:e[ds]?|ing)|withdr\w+|spen\w+|clean(?:ed|ing) out|drain(?:ed|ing)|empt(?:ied|ying)|access(?:ed|ing)"
    rf"|hack\w*|brok?en? into|got into|log(?:ged|ging) in(?:to)?|charging) (?:\w+ ){{0,4}}{_MINE}\b",
    rf"\b{_STOLEN}\b{gap(18, True)}(?:(?<!i )(?<!i have )(?<!we )(?<!last )used|using it|{_SPENT}|spent|bought|cash"
    r"|money(?! on it)|charged|withdrew)\b(?! (?:replacement|card|delivery|a replacement|a new))",
    rf"\b(?:{_SPENT}|charged|spent|(?<!i )(?<!i have )(?<!last )used"
    rf"|withdrew)\b{gap(14, True)}{_STOLEN}\b(?! card (?:replac|report))",
    r"\b(?:lost|missing|misplaced)\b(?: [^ ]{1,40}){0,6} (?:card|wallet|purse|phone|bag|handbag|chequebook"
    r"|checkbook)\b(?: [^ ]{1,40}){0,14} (?:been used|was used|is being used|(?:some ?one|some ?body|they|he|she"
    r"|person|people) (?:\w+ ){0,3}(?:us(?:ed|ing)|bought|spent|took|withdrew|ran|made)|withdrawals? (?:made|is"
    r"|was|have|has)|(?:one|a|some|two|several|see) (?:withdrawal|purchase|charge|transaction)s?)\b",
    r"\b(?:card|account|bank|personal|my|financial|payment|credit|debit)(?: (?:card|account|bank|personal|and"
    r"|security|social))? (?:info\w*|details|data|numbers?)\b(?: \w+){0,4} (?:was|were|been|being|is|are|got|get"
    r"|gets) (?:\w+ )?(?:stolen|leaked|copied|exposed|compromised|misused|taken|hacked|sold|used|out there"
    r"|cloned)\b(?! (?:to|for) (?:verif|log|the app))",
    rf"\b{_STOLEN} (?:my |our |the )?(?:\w+ ){{0,3}}(?:info\w*|details|data|numbers?|money|cash|funds|savings"
    r"|identity)\b|\b(?:info\w*|details|data|money|cash|funds|savings)\b(?: \w+){0,3} (?:was|were|been|is|being"
    r"|got|has|have)? ?(?:stolen|drained|emptied|siphoned|wiped out|taken out without|cleaned out)\b",
    r"\b(?:money|funds|cash|savings|[$£€][0-9.]+|balance|everything)\b(?: \w+){0,3} (?:missing|gone|disappear(?:ed"
    r"|ing|s)?|vanish(?:ed|ing|es)?)\b (?:from|in|out of) (?:my|our)\b|\bmissing (?:money|funds|cash)\b"
    r"|\b(?:missing|lost) (?:\w+ )?(?:money|cash|funds) (?:from|in|out of) my\b",
    r"\b(?:money|cash|funds) (?:was|were|is|has been|have been|got|is being|keeps? (?:being"
    r"|getting))(?: \w+)? (?:taken|leaving|withdrawn) (?:out of|from|off)? ?(?:my|our)(?: \w+){0,5} (?:without|not"
    r"|never|no)\b",
    r"\b(?:money|cash|funds) (?:has been|have been|was|were|got|is being) (?:taken|withdrawn|moved|transferred"
    r"|removed)\b(?: (?:from|out of) my account)?(?: \w+){0,2} (?:by (?:some|a|an|strangers?|people)|without"
    r"|behind my)\b",
    r"\bcards?(?: (?:number|details|info\w*))? (?:is|was|has been|have been|were|is being|got|being"
    r"|keeps? (?:getting|being))(?: \w+)? (?:being )?(?<!last )(?:used|copied|misused)\b(?! (?:up|as|for (?:the"
    r"|a) fee|by me|a fee|an? \w+ fee|interest|only|last|to verify|twice|double|for (?:this"
    r"|my)))(?! (?:\w+ ){0,3}by me\b)",
    r"\b(?:duplicate|copy|clone|copies) of (?:my|the) (?:\w+ )?card\b(?! (?:statement"
    rf"|agreement))(?: \w+){{0,8}} (?:used|{_TX}|some ?one|some ?body)|\b(?:some ?one|some ?body"
    r"|they)(?: \w+){0,3} (?:duplicate|copy|clone)(?: of)? (?:my )?card\b",
    # used where its owner was not, or by nobody who may
    rf"\b(?:cards?|phone)\b{gap(4)}(?:in|on|with) (?:my (?:wallet|purse|pocket|bag|hand|drawer|possession)|me)\b"
    rf"{gap(8, True)}(?:was|been|being|got|is) (?:\w+ )?(?:used|charged|swiped)\b",
    rf"\b{_TX}\b{gap(8)}i (?:know nothing|do not know anything|have no knowledge) (?:about|of)\b"
    rf"|\b{_SPENT}\b{gap(6, True)}i never (?:gamble|travel|shop|subscribe|order|play|drink|smoke)\b",
    r"\bwho (?:took|withdrew|spent|used|moved|pulled)(?: \w+){0,3} (?:cash|money|funds|card|savings)\b",
    rf"\b(?:account|savings|they|he|she|{_SOMEBODY})(?: \w+){{0,3}} (?:cleaned|wiped|emptied|drained|cleared)"
    r"(?: out)?(?<!not cleared)(?: (?:everything|all|me|my \w+)| by|(?= \.|$))",
    r"\b(?:log ?in|logon|sign ?in|access)(?: \w+){0,2} (?:alerts?|attempts?|notifications?|from|in)\b(?: \w+){0,6}"
    r" (?:(?:country|city|place|town|state) i (?:am|was|have) (?:not|never)|i (?:am|was) not (?:in|at|there))\b",
    # being deceived
    r"\bturned out (?:\w+ )?to be (?:\w+ )?(?:fake|false|a lie|lies|not real|nobody|after (?:my|our) \w+)\b"
    r"|\b(?:landlord|seller|shop|store|company|website|flat|apartment|house|charity|agency|broker|firm|person|trader"
    rf"|platform|villa|dealer|breeder)\b{gap(9)}(?:(?:does|do|did) not (?:even |really |actually )?exist"
    r"|never (?:even )?existed|is not real|vanished|disappeared)\b(?! (?:from|on|in|when))",
    r"\b(?:sent|paid|wired|transferred|gave|invested)\b(?: [^ .]{1,40}){0,14} (?:(?:he|she|they|it|and) "
    r"(?:is|are|has|have)? ?(?:now )?(?:gone|vanished|disappeared|blocked me)|now (?:gone|vanished))\b"
    r"(?! (?:from|through|out|to|in|on))"
    r"|\bpromis(?:ed|ing|es) to (?:double|triple|multiply)\b|\bguaranteed (?:returns?|profits?)\b",
    r"\b(?:tricked|conned|duped|fooled|deceived|cheated|hoodwinked|ripped (?:me |us )?off|rip off|catfish\w*"
    r"|bait and switch|mislead|misled|lied to)\b|\bponzi\b|\bpyramid scheme\b",
    r"\b(?:fake|bogus|false|phony|phoney|sham) (?:\w+ )?(?:website|site|shop|page|calls?|texts?|sms|e ?mails?"
    "|landlord|investments?|sellers?|apps?|profiles?|company|store|check|cheque|bank|employee|agent|invoice"
    r"|charity|job|accounts?|documents?|charges?)\b",
    r"\b(?:entered|typed|filled in|confirmed|put in|gave|submitted)\b(?: \w+){0,8} (?:(?:the|a|this|that|an|some"
    r"|their|your) (?:fake |strange |phony )?(?:web ?sites?|link|form|mail|e ?mail|text|sms))\b",
    r"\b(?:clicked|tapped|opened|followed|pressed)(?: on)?(?: \w+){0,4} (?:link|attachment)\b(?! (?:you"
    r"|in the app))(?! (?:\w+ ){0,4}(?:reset|verif\w+|activat\w+|confirm\w+) (?:link|mail))",
    r"\b(?:gave|given|giving|told|read|sent|shared|provided"
    rf"|disclosed)\b(?: \w+){{0,8}} {_CODE}\b(?: \w+){{0,3}} ?(?:to (?:a|the|some|him|her|them|someone|somebody"
    r"|caller|man|woman)|over the (?:phone|internet)|on the phone|who|he|they|because)\b",
    r"\b(?:gave|told|shared|sent|read|disclosed) (?:him|her|them|someone|somebody|(?:a|the|this"
    rf"|some) (?:\w+ )?(?:man|woman|guy|person|caller|stranger|friend|website|site|lady)) (?:\w+ ){{0,4}}{_CODE}\b",
    r"\b(?:call(?:ed|er|ing)?|phoned|rang|text(?:ed)?|e ?mail(?:ed)?|messaged"
    r"|contacted)\b(?: [^ ]{1,40}){0,16} (?:pretend\w*|claim(?:ed|ing|s) (?:to be|they|he|she)|(?:said"
    "|saying) (?:that )?(?:he|she|they|it) (?:was|were|is|are) (?:from|with|calling|my|your|the)"
    "|asked (?:me )?(?:for|to (?:send|give|transfer|tell|move|install|buy))|asking (?:me )?(?:for"
    rf"|to)(?: \w+){{0,4}} (?:{_CODE}|money))\b",
    r"\bpretend(?:s|ed|ing)? to be (?:me|the bank|your bank|from|a bank|you|police|the police|hmrc|irs|my"
    r"|an? (?:employee|officer|bank))\b|\bpos(?:ed|ing) as\b",
    r"\bsafe account\b|\bgift cards?\b(?: \w+){0,6} (?:code|caller|irs|hmrc|officer|police|numbers|tax)"
    r"|\b(?:any ?desk|team ?viewer|remote access|remote(?:ly)? (?:control|took)|screen shar\w+)\b|\bmoney mule\b"
    r"|\bmoney launder\w*|\blaunder\w*",
    r"\b(?:in|under|using|with) my (?:name|identity|ssn|social(?: security)?(?: number)?)\b(?: \w+){0,8} (?:loan"
    r"|account|card|credit|debt|debit|line|without|not|never|never knew)\b",
    r"\b(?:loan|account|card|credit|line of credit|direct debit|debt|mortgage"
    r"|application)s?\b(?: \w+){0,6} (?:in|under|using|with) my (?:name|identity|info\w*|ssn"
    r"|social(?: security)?(?: number)?)(?= without| and| but| that| which| i | not| \.|$| as| by"
    "| .{0,20}not me)",
    r"\b(?:opened|applied|taken out|took out|set up|created)\b(?: \w+){0,6} (?:account|card|loan|credit|debit"
    r"|line)s?\b(?: \w+){0,4} (?:in my name|using my|with my (?:info|ssn|social|name|identity|data|personal)"
    "|(?:that )?i (?:never|did not))",
    r"\b(?:in|under) (?:someone|somebody) else s? ?name\b|\b(?:account|loan|card|debt|inquir(?:y"
    r"|ies))s?\b(?: \w+){0,4} (?:is|are|was|were|do|does) not (?:mine|belong to me|my account)\b|\b(?:does|do"
    r"|did) not belong to (?:me|us)\b",
    r"\bromance fraud\b|\bboiler room\b|\badvance fee\b|\bdark web\b|\bdata leak\b|\bkey ?logg\w+|\bransom\w*"
    r"|\belder(?:ly)? (?:abuse|exploitation)\b|\bembezzl\w*|\bunder duress\b",
)
