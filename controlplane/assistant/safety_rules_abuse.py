"""Harassment, abuse and danger: what happens to a customer, what a customer writes to us, and words that no answer may hold.

Rules
- Patterns are over `safety_text.rule_text`. Four strengths: `SLURS` and `THREATS`, `ABUSIVE` (directed insults, sexual
  harassment), `CRUDE` (obscene words by themselves). Harassment is routed from `ABUSIVE` up, and a message that is nothing
  but crude words too; a swear word for emphasis ("my damn invoice") is not harassment.
- A customer who was threatened, abused or hounded, or speaks of harming themselves, is routed as well.
- An answer of ours may hold none of it: `output_check` blocks from `ABUSIVE` up and reports `CRUDE`.
"""

_YOU = r"(?:you|u|ya|yall|your|you re|ur|youre|yor|yo|yr|you all|you people|you guys|you lot)"
_F = r"(?:f+u+c+k+\w*|f[u*@]{1,4}c?k\w*|f\*{2,}\w*|fck\w*|fuk\w*|fuc|phuck\w*|fvck\w*|motherf\w+|mother ?fucker\w*)"
_DUMB = (
    "(?:stupid|dumb|idiotic|idiots?|morons?|moronic|imbeciles?|retard(?:s|ed)?|bastards?|bitch(?:es|y)?"
    "|arseholes?|assholes?|ass ?holes?"
    "|pigs?|dickheads?|dick ?heads?|dumbass|jackass|dumb ?ass|wankers?|twats?|tossers?|pricks?|loser|losers"
    r"|scum\w*|trash|garbage human"
    "|piece of (?:shit|crap|garbage|trash)|pathetic|brainless|worthless|disgusting (?:person|people|pigs?)|ugly"
    "|shitty?|shits?"
    "|full of (?:shit|crap)|brain ?dead|morron|stupit|silly cow|cretins?|halfwits?|dimwits?|nitwits?|crooks?"
    "|thieves|low ?life|dirty"
    r"|smelly|punk ass|fat (?:pig|cow|ass|bastard)|freaks?|psycho(?:path)?s?|whores?|sluts?|slag|skank\w*|hoes?"
    r"|tits?|gay|faggots?|queer|pervert\w*)"
)
_SEXUAL = (
    r"(?:dicks?|cocks?|puss(?:y|ies)|penis\w*|vaginas?|boobs?|boobies|titties|titt?s|blow ?jobs?|hand ?jobs?|cum"
    "|cumming|cumshot|jizz|semen|sperma?"
    r"|masturbat\w*|masterbat\w*|wank(?:ing|ed|s)?|orgasm\w*|anal|rectum|dildos?|erection|horny|nudes?|naked"
    r"|porn\w*|milf|whores?|sluts?|slutty"
    r"|sext\w*|sexy|blow me|suck (?:my|me|a|on|it|dick|cock)|lick my|bend over|rape[ds]?|raping|rapist|molest\w*"
    r"|cunts?|clit\w*)"
)
_SLURS = (
    r"(?:n[i1]gg(?:er|a|ers|as|uh)s?|niger|faggit\w*|fagg?ots?|fags|pakis?|chinks?|gooks?|kikes?|spics?|wetbacks?"
    "|trann(?:y|ies)|shemales?"
    r"|retards?|coons?|towel ?heads?|sand ?nigg\w+|gyppos?|raghead\w*|cripples|untermensch\w*)"
)
_PEOPLE = (
    r"(?:you|u|him|her|them|someone|somebody|your (?:\w+ )?(?:staff|family|wife|kids|mother|mom|mum|agents?"
    "|employees?|manager)|my ?self|everyone|every ?body|people|the (?:manager|clerk|agent|teller))"
)
_HARM = (
    "(?:kill|hurt|shoot|stab|attack|murder|strangle|chop|behead|beat|punch|kick|slap|choke|slaughter|torture|rape"
    "|smash|bomb|burn|hunt|poison|execute|hang)"
)

SLURS = (rf"\b{_SLURS}\b",)
THREATS = (
    r"\b(?:will|would|going to|want to|wish (?:i|to)|like to|love to|can|could|ll|gonna|should|coming to|about to"
    rf"|i) (?:\w+ ){{0,2}}{_HARM} (?:\w+ )?{_PEOPLE}\b(?! (?:off|rate|up with|a call))",
    rf"\b(?:kill|shoot|stab|murder|strangle|rape) {_PEOPLE}\b|\bhope you (?:all |\w+ )?(?:die|rot|burn|suffer"
    r"|get (?:cancer|hit|shot))\b|\byou (?:should|deserve to|must|will|are going to|ought to) (?:all )?(?:die"
    r"|be (?:shot|killed|hanged|dead))\b|\bwould like (?:it )?if you died?\b|\bgo (?:and )?(?:die|kill yourself"
    r"|hang yourself)\b|\bkys\b|\bdrop dead\b",
    r"\b(?:burn(?:ing)? down|blow(?:ing)? up|shoot(?:ing)? up|smash(?:ing)?(?: up)?|bomb(?:ing)?"
    r"|set fire to) (?:your|the|this|that) (?:\w+ )?(?:bank|branch|office|house|building|place|car|headquarters"
    r"|home)\b|\bbreak your (?:neck|legs?|arms?|face|skull|bones)\b|\bknow where you live\b|\bwatch your back\b"
    r"|\bcom(?:e|ing) (?:to|into|by|over to) (?:your|the) (?:\w+ ){0,4}(?:gun|knife|weapon|axe|bomb|petrol)\b"
    r"|\b(?:bring|come with|got|get) (?:a|an|my) (?:gun|knife|axe|weapon)\b|\b(?:kick|punch|slap|beat|hit|chop"
    r"|strangle|slit) you\b(?! (?:off|up for))|\bbomb threat\b|\bput a bullet\b",
)
_IN_DANGER = (
    r"\bsuicid\w*|\bend(?:ing)? (?:my life|it all|myself)\b|\bkill(?:ing)? my ?self\b|\btake my (?:own )?life\b"
    r"|\b(?:want to|better off|wish i (?:was|were)|rather be) (?:die|dead|be dead)\b|\b(?:do"
    r"|did) not want to (?:live|be alive|be here any ?more|wake up)\b|\bno reason to (?:live|go on)\b"
    r"|\bself harm\w*|\bharm(?:ing)? my ?self\b|\bcut(?:ting)? my ?self\b(?! off)"
    r"|\bnothing (?:left )?to live for\b|\bcan not go on (?:like|living|any)",
    r"\b(?:hits?|beats?|hurts?|punch(?:es|ed)?|slaps?|slapped|chokes?|choked|strangles?|kicks?|kicked|attacked"
    "|attacks|stabbed|grabbed|shoved|pushed) (?:me|us|my (?:mother|mum|mom|child|children|kids|son|daughter|wife"
    r"|husband))\b(?! (?:with a (?:fee|charge)|hard|financially|by surprise|to another))",
    r"\bassault\w*|\bdomestic (?:violence|abuse)\b|\bsex(?:ual|ually) (?:harass\w*|assault\w*|abus\w*)|\bmolest\w*"
    r"|\brap(?:ed|ist)\b|\bstrangl\w+|\bkidnap\w*|\bhuman traffick\w*|\bheld (?:me )?hostage\b|\bcoerc\w+",
)
ABUSIVE = (
    r"\b(?:bitch(?:es|y)?|cunts?|motherf\w+|dick ?heads?|ass ?holes?|arseholes?)\b",
    rf"\b{_F} (?:{_YOU}|off|oof|me|him|her|them|yourself|your ?self|yoiu|yuo|youu|this (?:bank|company)|alder"
    rf"|the (?:bank|police)|all of|everyone|u|sake you)\b|\bgo {_F}\b|\b(?:(?:suck|lick|bite) (?:my|me|it)"
    r"|eat (?:shit|my (?:ass|dick|shorts)|a dick))\b|\b(?:go|rot|burn) (?:to|in) hell\b|\bscrew (?:you|u|off"
    r"|yourself)\b(?! (?:up|over my))|\bpiss off\b|\bup yours\b|\bkiss my\b|\bbite me\b|\bdrop dead\b"
    r"|\bget lost\b(?= \.|$)",
    rf"\b{_YOU}(?: (?:are|r|re|is|were|all|just|such|really|so|very|too|a|an|the|fucking|damn|bloody|absolute"
    "|complete|total|completely|totally|bunch|of|lot|people|guys|being|sound|look|like|as|most|pretty|utter|dumb"
    "|god|goddamn|know|my|your|staff|bank|agents?|employees?|bot|robot|machine|one|big|little|fat|ugly|stupid|old"
    "|nothing|but|not only|kind|sort|seem|act|useless|incompetent|lying|greedy|smelly|primitive|privitive"
    rf"|lazy)){{0,6}} {_DUMB}\b(?! (?:question|mistake|of me|to (?:ask|use)|but|pin|system|rule|rules|app))",
    r"\b(?:hey|hae|hi|hello|oi|ok|okay|listen|yes|no|tell me|bye|thanks|damn|such a|bloody|fucking|stupid|dumb"
    r"|lazy|greedy|shut up|answer me) (?:\w+ )?(?:idiots?|morons?|bitch|bastards?|assholes?|dumb ?ass|retard"
    r"|dickhead|stupid (?:bot|robot|machine|comp\w*|idiot)|fuckers?|cunts?|twats?|motherfuckers?|whores?|pigs?)\b"
    r"|^(?:\w+ )?(?:idiots?|morons?|bitch(?:es)?|pigs?|assholes?|bastards?|stfu|losers?|retards?|dumb ?ass"
    r"|motherfuckers?|wankers?|scum|cunts?|liars?)(?: (?:you|all of you|bot))?(?: \.){0,12}$",
    r"\b(?:shut (?:the \w+ )?(?:up|it)|shut (?:your|ur|yo) (?:\w+ )?(?:mouth|face|trap|gob)|stfu|shove (?:it|this"
    r"|your|that)(?: \w+){0,3} up|stick (?:it|that|your) (?:\w+ )?up your)\b",
    rf"\b{_YOU} (?:\w+ )?(?:do )?(?:suck|sux|stink|stinkk?|disgust me|make me (?:sick|puke)"
    r"|make me want to (?:vomit|puke)|are not worth\w*|arent worth\w*|were never worth)\b"
    r"|\b(?:i )?(?:really )?(?:hate|despise|loathe) (?:you|u|ur|your guts)\b|\byour? (?:mother|mum|mom|mama|momma"
    r"|family|sister|wife) (?:is|was|are|s)? ?(?:a |an |so )?(?:\w+ )?(?:whore|slut|bitch|fat|ugly|ass|pig"
    r"|prostitute)\b|\byo(?:ur)? mam+a s? ?ass\b",
    rf"(?<!name is )(?<!mr )(?<!dear )(?<!i am )(?<!uncle )(?<!to )\b{_SEXUAL}\b(?! (?:sexual orientation))"
    r"|\b(?:have|had|having|want|wants|wanted|need|give me|get|like|love|sex|let s have|lets have"
    r"|do you like) (?:\w+ )?sex\b(?! (?:change|marker|field|on))|\bsex(?:y| life| tape| chat| bot| slave| time)\b"
    r"|\bare (?:you|u) (?:hot|sexy|a virgin|single|wet|naked|horny)\b|\b(?:show|send) me (?:your )?(?:tits|boobs"
    r"|nudes|ass|body|underwear|feet)\b|\bmake love\b|\bin your (?:ass|mouth|pussy|butt|bum)\b|\bup (?:my|your|her"
    r"|his) (?:ass|butt|bum|arse)\b|\bout of your ass\b|\b(?:your|nice|sexy|my|big|fat|tight) (?:\w+ )?(?:ass|butt"
    r"|boobs|tits|breasts)\b(?! (?:off|on the line))|\bkiss (?:me|you)\b|\bmoan(?:ing)? (?:like|for|my)\b",
    rf"\b{_F} (?:bitch\w*|idiots?|morons?|assholes?|bastards?|cunts?|liars?|thieves|thief|crooks?|robot|bot|machine"
    rf"|dick|pig|pigs|stupid|dumb|useless|retard\w*|full|family)\b|\b{_F}(?: \w+)? (?:mum|mom|mother|mama|family"
    r"|sister|wife|dad)\b|\b(?:dumb|stupid|ugly|smelly|fat|lying|useless|dirty|lazy|ignorant|arrogant|you|unkle"
    rf"|old|punk|sick|son of a|little) {_F}(?= |$)(?<!ing)|\b(?:the|a|my|your|that|this|he"
    rf"|she) {_F.replace('w*', 'w*')}er\b",
    rf"\b(?:{_YOU}|he|she|they|your (?:\w+ )?(?:agents?|employee|staff|bot)) (?:\w+ )?(?:are|r|is|s|re"
    r"|was) (?:\w+ ){0,2}(?:gay|lesbian|queer|tranny|black|jewish|muslim|a jew|a muslim|fat|ugly|a homo|homo)\b",
)
CRUDE = (
    rf"\b{_F}\b|\b(?:bull ?)?shit\w*|\bcrap(?:py)?\b|\bass\b|\barse\b|\bwtf\b|\bbastards?\b|\bgod ?damn\w*"
    r"|\bpiss(?:ed)?\b|\bwank\w*|\bbollocks\b|\b(?:idiots?|idiotic|morons?|imbeciles?|retard(?:s|ed)?|dumb ?ass"
    r"|jackass|twats?)\b",
)
# A message of nothing but crude words and fillers.
ONLY_CRUDE = (
    "^(?:(?:oh|what|the|no|yes|you|a|is|and|this|of|so|just|well|ok|for|sake|hell|pretty|very|really|run|it|does"
    rf"|there|was|question|lol|haha|say|i|say) |\. ){{0,12}}(?:{_F}|shit\w*|bullshit|bitch|ass|dick|cock|pussy"
    r"|wank\w*"
    rf"|cunt\w*|crap)(?: (?:the|{_F}|shit\w*|sake|run|off|you|it|this|hell|all|question|everything|dick|cock|sex"
    r"|wank\w*|bitch|ass|up|\.)){0,12}$"
)
_SUFFERED = (
    r"\b(?:laugh(?:ed|s|ing)?|mock(?:ed|s|ing)?|made fun|making fun|makes fun|sneer\w*) (?:at|of) (?:me|my|us"
    r"|our)\b|\b(?:rings?|phones?|rang) (?:me )?(?:\w+ )?(?:at night|in the middle of the night|at midnight"
    r"|every night|day and night)\b",
    r"\bharr?ass\w*|\bthreat(?:en\w*|s)?\b(?! level)|\bblack ?mail\w*|\bextort(?!ionate)\w*|\bsextort\w*"
    r"|\bstalk(?:er|ing|ed|s)\b|\bbull(?:y|ied|ies|ying)\b|\bdoxx?\w*|\brevenge porn\b",
    r"\babus(?:e|es|ed|ive|ing|er)\b(?! of (?:the )?(?:promo\w*|free))|\bintimidat\w*|\binsult\w*|\bbelittl\w*"
    r"|\bdegrad(?:ed|ing) me\b|\bhumiliat\w*|\bmock(?:ed|ing) me\b|\bderogatory (?:comment|remark|language|term"
    r"|name)s?\b",
    r"\bracis[tm]\b|\bracial\w*|\bsexis[tm]\b|\bsexual(?:ly)?\b|\blewd\b|\bhomophob\w*|\bxenophob(?:ia|ic)"
    r"|\btransphob\w*|\bantisemit\w*|\bislamophob\w*|\bslurs?\b|\bhate (?:speech|crime)\b|\bmisogyn\w*|\bbigot\w*",
    r"\binappropriate(?:ly)? (?:comments?|remarks?|messages?|touch\w*|behaviou?r|language)\b|\b(?:offensive|nasty"
    "|vulgar|obscene|disgusting|hateful|cruel|vile|foul) (?:messages?|comments?|remarks?|language|words?|texts?"
    r"|calls?|e ?mails?|names?)\b|\bfoul language\b",
    r"\b(?:swore|swears?|swearing|curs(?:ed|es|ing)|yell(?:ed|s|ing)?|scream(?:ed|s|ing)?|shout(?:ed|s|ing)?"
    r"|hollered) at (?:me|us|my)\b|\bcalled me (?:names|a|an|stupid|crazy)\b(?! (?:few|couple|number|day|week"
    r"|moment))|\b(?:rude|aggressive|hostile|threatening|disrespectful|unprofessional|nasty"
    r"|condescending) (?:and \w+ )?(?:to|with|towards) (?:me|my|us)\b|\b(?:extremely|very|so|incredibly|really|was"
    r"|were|being) (?:rude|abusive|hostile|aggressive|disrespectful|condescending|threatening)\b(?! (?:interest"
    "|growth|fee|fees|charges))",
    r"\b(?:scared|afraid|frightened|terrified|fear(?:ful)?) (?:of|for) (?:him|her|them|my (?:life|husband|wife"
    r"|partner|ex|safety|boyfriend|girlfriend|son|daughter|kids|family|dad|father|mother|job))\b|\b(?:life"
    r"|safety) (?:is|was|may be) in danger\b|\bin danger\b|\bunsafe at home\b|\brestraining order\b",
    r"\bforc(?:es?|ed|ing) me (?:to|into)\b|\bmakes? me (?:give|hand over|transfer|pay) (?:him|her|them)\b"
    r"|\bcontrols? (?:all )?(?:my|the|our) (?:money|account|finances|bank)\b|\b(?:he|she|they|husband|wife|partner"
    "|ex|son|daughter|boyfriend|girlfriend|carer|mother|father|brother|sister) will not let me (?:have|use|see"
    r"|access) my (?:own )?(?:money|account|card)\b",
    r"\b(?:husband|wife|partner|ex|boyfriend|girlfriend|son|daughter|stepson|carer|he|she)\b(?: [^ .]{1,40}){0,10} (?:will"
    r"|does|would) not (?:let|allow) me (?:to )?(?:buy|spend|leave|work|eat|go out|have|see|use|keep)\b",
    r"\b(?:he|she|ex|husband|wife|partner|boyfriend|girlfriend) (?:is |keeps )?(?:watching|monitoring|tracking|checking)"
    r" (?:every|all|each|everything)\b|\b(?:i am|i was|feel|feeling) (?:so |very |really )?(?:frightened|terrified"
    r"|threatened)\b(?! (?:of|that|to) )|\b(?:comments?|remarks?) (?:about|on) my (?:body|breasts?|legs|looks|skin|chest|weight|figure)\b"
    r"|\btouch(?:ed|es|ing) (?:me|my (?:daughters?|sons?|child\w*|kids?|wife|mother|legs?|body))\b|\bn word\b"
    r"|\bfind (?:out )?where (?:you|u) (?:live|work)\b"
    r"|\b(?:post|publish|share"
    r"|leak|send|show|upload)(?: (?:my|our|the|those))? (?:private|intimate|naked|nude) (?:pictures?|photos?|pics"
    r"|videos?|images?)\b",
    r"\b(?:keeps?|kept|continu\w+|constantly|repeatedly|non ?stop|always|still|relentlessly) (?:calling|texting"
    "|following|messaging|contacting|phoning|ringing|e ?mailing|bothering|hounding|watching|calls?|are calling"
    r"|call) (?:me|us|my|at|over|every|and|all|day|night)\b|\b(?:will not|would not|not|refuse to"
    r"|never) stop (?:calling|texting|contacting|messaging|phoning|harass\w*|bothering|ringing)\b|\b(?:told|asked"
    r"|tell|ask|want) (?:them|him|her|you) to stop (?:calling|contacting|texting|phoning|messaging)\b"
    r"|\bstop (?:calling|contacting|texting|phoning|hounding|harass\w*) (?:me|us|my)\b|\bhound(?:ed|ing|s) (?:me"
    r"|us)\b|\bcall(?:s|ed|ing) (?:me |us |my \w+ )?(?:\w+ ){0,4}(?:\d+|several|multiple|many|numerous|dozens of"
    r"|10|20|ten|twenty) times (?:a|per|each|every|in (?:one|a)) (?:day|week|hour)\b",
    r"(?<!i )(?<!i have )(?<!i was )(?<!am )\b(?:call(?:s|ed|ing)|contact(?:s|ed|ing)|phone[ds]|rang|harass\w*"
    "|visit(?:ed|ing|s)) (?:me )?(?:at )?my (?:work|job|employers?|boss|workplace|office|neighbou?rs?|famil(?:y"
    r"|ies)|relatives|parents|mother|father|friends|wife|husband|kids|sister|brother|coworkers?|place of)\b"
    r"|\bcall(?:s|ed|ing) (?:me )?(?:\w+ ){0,2}(?:at night|in the middle of the night|at (?:midnight|[1-5] ?am)"
    r"|before 8|after 9|day and night|all day|round the clock|on sundays?|every (?:day|hour|night))\b",
)
ABUSE_RULES = (*SLURS, *THREATS, *_IN_DANGER, *ABUSIVE, ONLY_CRUDE, *_SUFFERED)
