"""How customers ask for a person. Such a wish wins over everything else.

Rules
- Patterns are over `safety_text.rule_text`. The words agent, human, representative and operator are enough by themselves,
  unless they name another trade (a travel agent, a mobile operator), another thing (human error, human rights), are asked
  about ("are you a human" is a question, not a wish; the answer is no), or are refused ("I don't want an agent").
- Other words for a person need a verb of wanting or talking beside them: "pay a person" is a payment.
- Asking when or under which number the support can be reached is a question, not a wish.
"""

_OTHER_TRADES = (
    "travel", "estate", "real estate", "realestate", "letting", "lettings", "insurance", "booking", "shipping", "tax", "ticket",
    "forwarding", "cleaning", "secret", "fbi", "irs", "parking", "tour", "network", "mobile", "mobile phone", "user", "rental",
    "sports", "property", "talent", "immigration", "crane", "train", "bus", "escrow", "literary", "leasing", "paying", "collection",
    "collections", "undercover", "double", "government", "customs", "enrolled", "telecom", "cell phone", "cable", "drone", "ferry",
    "airline", "hotel", "cruise", "reporting", "patent", "modeling", "casting", "chemical", "cleansing", "housing", "apartment",
    "holiday", "vacation", "closing", "buyer s", "seller s", "boolean", "broadband", "smooth", "elected", "union", "forklift",
    "fake", "landlord s", "relocation", "theatre", "car rental", "boat", "tram", "taxi", "lift", "heavy equipment",
)  # fmt: skip
_NOT_TRADE = "".join(f"(?<!\\b{trade} )" for trade in _OTHER_TRADES)
_NOT_WANTED = "".join(
    f"(?<!{no} {article})"
    for no in ("not need", "not want", "no need for", "rather than", "instead of", "without", "not looking for")
    for article in ("", "an ", "a ", "any ", "another ", "your ")
)
_NOT_MEANT = "".join(
    f"(?<!\\b{words} {article})"
    for words in (
        "as a sales",
        "am a sales",
        "as a service",
        "as a field",
        "as",
        "be",
        "like",
        "being",
        "by",
        "bot or",
        "robot or",
        "ai or",
        "machine or",
        "computer or",
    )
    for article in ("", "a ", "an ", "the ", "another ")
) + "".join(f"(?<!\\b{whose} )" for whose in ("my", "his", "her", "their"))
_PERSON = (
    "(?:(?:an?|the|some|your|my|one of (?:your|the)|another|any|with|other) )?(?:(?:real|actual|live|living"
    "|proper|different|senior|human|fucking|damn|goddamn|bloody|"
    "qualified|trained|competent|physical|breathing|flesh and blood|higher|customer|support|service|bank|damned"
    "|free|available|nice|online|manual|virtual|personal|real life|sales|branch|front desk|help ?desk|phone) ){0,12}"
    "(?:person|persons|people|somebody|someone|some one|some body|anyone|any one|anybody|any body|staff"
    "|employees?|colleagues?|managers?|supervisors?|advis[eo]rs?|clerks?|tellers?"
    "|assistants?|asis+tants?|specialists?|team|member of (?:staff|the team|your team)|staff member|team member"
    "|man|woman|guy|lady|human|humans|human being|agents?|representatives?|operators?|reps?|consultants?"
    "|individual|officer|bankers?|associates?|boss|superior"
    r"|in charge)"
)
_SERVICE = (
    r"(?:the |your )?(?:\w+ )?(?:(?:customer|client|tech(?:nical)?|live|consumer|custome) (?:service|services"
    "|support|care|assistance|help|sevrice|servce|spport)"
    "|customer ?(?:service|support|care|assistance)|support(?: team)?|service team|service desk|help ?desk"
    "|call cent(?:er|re)|support line|helpline)"
)
_TALK = (
    "(?:speak(?:ing)?|talk+(?:ing)?|takl|takling|tlak|chat+(?:t?ing)?|chatt|converse|conversing|discuss (?:this"
    "|it)|word|spoke|call with|conversation|contact)"
)

AGENT_RULES = (
    rf"{_NOT_TRADE}{_NOT_WANTED}{_NOT_MEANT}\b(?:agents?|representatives?|operators?)\b(?! (?:fees?|number|office"
    "|offices|do you use|at (?:an?|the|my)"
    "|commission|bank|s fee|told|said|advised|informed|stated|helped|assured|at (?:the|my)|who (?:told|said"
    "|helped|answered)|booked|charged|asked me|from (?:the )?(?:travel|estate)|of (?:change|record)|orange|code"
    "|is (?:asking|selling|buying|charging)))",
    r"\b(?:any|some|real|more|to|with|actual) humans\b(?! (?:in|on earth|are))",
    rf"{_NOT_WANTED}{_NOT_MEANT}\bhuman\b(?! (?:error|errors|mistake|mistakes|resources?|rights?|body|history"
    r"|being s|nature|readable|traffick\w+|made|condition|or (?:a )?(?:bot|robot|machine|ai|computer)))",
    r"\b(?:real|actual|live|living|flesh and blood|breathing) (?:\w+ )?(?:person|people|chat|support|somebody"
    r"|someone|human|humans)\b|\bsomeone real\b|\bliving soul\b",
    rf"(?<!do i have to )(?<!do i need to )(?<!must i )(?<!should i )\b{_TALK} (?:directly |immediately |live "
    rf"|again |now |urgently )?(?:to|with|wth|wiht|w|ot|2|at|from)? ?{_PERSON}\b(?! (?:who (?:is|was|has) (?:not"
    "|pretending"
    "|claiming)|on (?:facebook|whatsapp|tinder|instagram)|i met|told|said|in (?:the|your) (?:app"
    "|branch) (?:yesterday|last)))",
    r"\b(?:connect|transfer|put|pass|hand|forward|escalate|direct|redirect|udirect|refer|route|switch|send|patch"
    "|link|take|bring) (?:to )?(?:me|us|my (?:call|case|chat)|this|it) (?:over |through |on |onto |back "
    rf"|straight |directly ){{0,12}}(?:(?:(?:to|with|through to|onto|on to) )?{_PERSON}|(?:to|with|onto|on to) {_SERVICE}"
    r"|(?:(?:to|with) )?who ?ever is (?:in charge|responsible|there|available))\b",
    rf"\bflesh and blood\b|\b(?:until|till|unless) {_PERSON} (?:\w+ )?(?:answers?|replies|responds|joins|comes|takes over"
    r"|picks up|is (?:here|there|on))\b",
    r"\bstop (?:the|this|with the) (?:\w+ )?(?:chat ?)?(?:bots?|robots?)\b|\bput me through\b|\b(?:call|ring"
    r"|phone) me (?:back|please|now|asap|urgently|today)\b|\b(?:arrange|request|schedule|want|need|like|have"
    r"|book) (?:a |an )?(?:call ?back|phone call|call from)\b|\bescalate (?:this|it|my|the)\b",
    r"\b(?:customer service|service|support|bank|live|phone|customer|your) reps?\b(?! (?:told|said|stated|advised"
    "|informed))",
    r"\b(?:get|give|find|fetch|bring|show|hand|assign|grab|send) (?:me |us )(?:to |over to |through to "
    rf"|in touch with )?{_PERSON}\b(?! (?:card|line number|number|s number|e ?mail|page|hours))",
    r"\b(?:can|could|would|will|may|have|get|let|is there|want|need|ask|tell) (?:someone|somebody|some one|anyone"
    "|anybody|an? (?:employee|colleague|adviser|advisor|manager|supervisor|assistant|person"
    r"|specialist))(?: \w+)? (?:please |to |who can |from the bank |from your (?:bank|team) ){0,12}(?:call|phone|ring"
    r"|contact|speak|talk|chat|take over)\b(?! (?:me )?(?:set up|access my|with my (?:money|card) without))",
    r"(?<!not )(?<!no )\b(?:want|need|demand|prefer|rather have|would like|require|request|requesting|looking for"
    "|asking for|trying to (?:reach|get)|wish for|get a hold of|get hold of|deal with"
    "|dealing with) (?:to (?:reach|see|contact|get|deal with|call|be (?:connected|put through"
    rf"|transferred) to) )?{_PERSON}\b(?! (?:card|to (?:have|be|get|use|pay|receive|stop|send|buy)|account|i (?:can"
    "|could) (?:send|pay)|else s|in (?:order|the family)|name|who (?:lives|has)|hours|number|e ?mail|page|plan))",
    r"\b(?:contact(?:ing)?|reach(?:ing)?|get(?:ting)? (?:in touch|in contact|a hold of|hold of|ahold of|through"
    "|connected|through to|hold)|be (?:connected|transferred|put through)|getting (?:to|through)|access to"
    "|help from|assistance from|assisted by|helped by|support from|connected|conn?ttact|contcat|cotnact"
    "|reaching out|reach out) (?:with |to |by |of )?(?:(?:(?:an?|some|any|your|the|my|one of your"
    "|another) )?(?:(?:real|live|actual|human|fucking|damn|goddamn|bloody|customer|different) ){0,12}(?:person"
    "|somebody|someone|some one|anyone|anybody|assistants?|asis+tants?|advis[eo]r|employee|colleague|manager"
    r"|supervisor|staff|member of staff|specialist|clerk|human|people))\b(?! (?:i (?:met|sent|paid|know"
    "|transferred)|about (?:renting|buying)|that (?:i|has) (?:sent|paid|stole)|who (?:sent|stole|i)"
    "|with (?:the )?(?:same|a different)|hours|number))",
    r"\b(?:no|not a|not an|hate|not talk to a|not with a|instead of a|than a|stupid|enough of the|sick of (?:this"
    "|the)|not speak to a|tired of (?:this|the)|stop being a) (?:more )?(?:chat ?)?(?:bots?|robots?|machines?"
    r"|computers?|automated|ai)\b(?! (?:took|ate|kept|swallowed|gave|in|at|dispens\w+|detection))"
    r"|\bnot (?:a )?(?:chat ?)?bots?\b|\b(?:not|hate|tired of|sick of|rather than|instead of"
    r"|stop)(?: \w+){0,6} (?:bots?|robots?|chatbots?)\b|\b(?:not|hate|tired of|sick of)(?: \w+){0,3} (?:talk|speak"
    "|chat|deal|write|writing|talking|speaking|chatting|dealing) (?:to|with) (?:a|the|this"
    r"|your) (?:\w+ )?(?:machine|computer|ai|program)\b",
    r"\b(?:person|people|somebody|someone|employee|colleague|human|adviser|advisor)(?: \w+){0,4} (?:calls?|calling"
    r"|phones?|phoning|rings?) me\b(?! (?:every|all|names|stupid|at night|and (?:said|claim\w*)|pretend\w*"
    r"|claim\w*|from a|again and))",
    "^(?:a |an |the |please |your ){0,12}(?:person|supervisor|manager|advis[eo]r|somebody|someone|staff|employee"
    "|assistant|asisstant|customer (?:service|support|care|assistance)|help desk|operator|colleague|live chat"
    r"|live support|rep)(?: please| pls| plz| now| asap| thanks| thank you){0,12}(?: \.){0,12}$",
    r"\bis there (?:an?|any|some)? ?(?:\w+ )?(?:person|human|someone|somebody|anyone|anybody"
    r"|one)(?: \w+){0,3} (?:talk|chat|speak|call|phone|ring)\b|\bwho (?:\w+ ){0,3}(?:can|do|should|could) i (?:\w+ )?(?:talk|speak"
    r"|chat) (?:to|with)\b|\b(?:one of )?your (?:people|colleagues|staff|advis[eo]rs) (?:ring|call|phone"
    r"|contact) me\b",
    r"\bout of (?:this|the|that) (?:\w+ )?(?:bot|robot|chat ?bot|menu)\b|^(?:please )?(?:call me|escalate|callback"
    r"|call back)(?: please| now| back){0,12}(?: \.){0,12}$",
    r"\b(?:in person|face to face) (?:with|to) (?:a|an|some)|\bhuman (?:help|assistance|support|contact|touch"
    r"|interaction|being|operator|agent|please|now|advisor)\b|\bperson please\b|\bspeak to (?:the |your )?(?:manager"
    r"|boss|head|ceo|complaints|fraud)\b",
    r"\b(?:your|the|a|an) (?:manager|supervisor|superior|boss) (?:please|now|immediately|asap)\b|\b(?:manager"
    r"|supervisor)(?: \w+)? please\b|\bi (?:want|need|would like|have|wish) to (?:speak|talk|chat)(?: to"
    r"| with)?(?: (?:now|please|about \w+))?(?= \.|$)",
)
SERVICE_RULES = (
    rf"\b(?:{_TALK}|call(?:ing)?|phon(?:e|ing)|ring(?:ing)?|contact\w*|conttact|cotnact|reach(?:ing)?"
    "|g[eo]t(?:ting)? (?:in touch|in contact|a hold of|hold of|ahold of|through|connected)|connect(?: me)?"
    rf"|transfer me|put me through) (?:\w+ )?(?:to |with |of |by )?{_SERVICE}\b",
    r"(?<!not )\b(?:want|need|get me|prefer) (?:the |your )?(?:live |phone |telephone )?customer ?(?:service"
    r"|support|care|assistance)\b",
    rf"^(?:please )?{_SERVICE}(?: please| now)?$",
)
# Asks when, where or under which number and gets an answer; who also asks for a person is caught by AGENT_RULES.
SERVICE_QUESTION = (
    r"\b(?:hours?|what (?:\w+ )?(?:time|times|itme|day|days)|whta time|when|number|numbers|e ?mail|mail"
    r"|open(?:ing)?|available|availability|address|where (?:can|could|do) i (?:find|see|check))\b",
)
# Asks what it is talking to and gets told; taken out before the rules above are tried, so "are you human? get me one" counts.
IDENTITY_QUESTION = (
    r"\b(?:are|r) (?:you|u|we) (?:\w+ ){0,6}(?:humans?|person|real|people|agent|operator|representative|someone"
    r"|man|woman)\b(?: (?:person|human|being|agent|or (?:an? )?(?:\w+ )?(?:ro)?bot|or (?:an? )?(?:machine|computer"
    "|ai|human))){0,12}",
    r"\b(?:am i|i am) (?:talking|speaking|chatting|conversing|communicating|dealing|typing|texting|messaging"
    r"|interacting|connected|in contact) (?:to|with) (?:\w+ ){0,3}(?:humans?|person|people|agent|operator"
    r"|representative|someone|somebody)\b(?: (?:being|or (?:an? )?(?:\w+ )?(?:ro)?bot|or (?:an? )?(?:machine"
    "|computer|ai))){0,12}",
    r"\b(?:is (?:this|it|that|there)|this is) (?:\w+ ){0,4}(?:human|person|bot|robot)\b (?:or|who|on the other"
    r"|i am|that i am|typing|answering)(?: (?:an?|the) )?(?: ?\w+){0,4}",
    r"\b(?:you are|you re) (?:\w+ ){0,3}(?:human|person|bot|robot)\b",
)
