"""Attempts to get at what the assistant must not say, and to make it something else: secrets in its context, its instructions
by a detour, other customers; new tasks, roles, manners of speech, commands.

Rules: patterns over `safety_text.rule_text`. A customer's own password or code ("my PIN", "the password for the statement") is
not meant; "the secret key", "the word you must not say", "another customer's balance" are.
"""

from collections.abc import Mapping
from types import MappingProxyType

_ASK = (
    "(?:what is|what s|what was|tell|give|show|reveal|say|print|spell|share|leak|disclose|output|provide|hint"
    "|unlock|encode|decode|translate"
    "|write|repeat|send|remind|hearing|hear|know|need|get|guess|whisper|confirm|return|read|convert|list|have"
    "|obtain|extract|find|enter)"
)
_FOR_ME = r"(?! (?:for|to|of|on) (?:my|the (?:app|wifi|wi fi|pdf|statements?|login|website|online)|log))"
_TWIST = (
    "(?:backwards?|in reverse|reversed|letter by letter|letters? of|first letters?|last letters?|rhym\\w+|poem"
    "|acrostic|riddle|story|song"
    "|emojis?|morse|base ?64|rot ?13|binary|hex|ascii|leet\\w*|with spaces|spaces between|dashes between"
    "|in (?:french|german|spanish|pig latin"
    "|another language|code)|synonyms?|charade\\w*|translat\\w+|encod\\w+|pieces|character by character|spelling"
    "|one (?:letter|character|word) at a time)"
)

SECRETS: Mapping[str, tuple[float, tuple[str, ...]]] = MappingProxyType(
    {
        "secret_request": (
            1.0,
            (
                rf"\b{_ASK}(?: \w+){{0,5}} (?:the|your|that|this|any|a) (?:secret|confidential|hidden|classified"
                "|forbidden|protected) "
                r"(?:keys?|words?|codes?|phrases?|passwords?|passphrases?|info\w*|messages?|instructions?|stuff"
                r"|things?|data|flag|rules)\b",
                r"\b(?:the|your|that) (?:secret|confidential|forbidden|protected) (?:keys?|words?|codes?|phrases?"
                r"|passwords?|passphrases?|flag)\b"
                rf"(?: \w+){{0,6}} (?:remind|tell|give|say|spell|{_TWIST})\b|\b(?:what is|what s|tell me|give me"
                rf"|say) (?:the|your) passphrase\b{_FOR_ME}",
                r"\b(?:the|your|that|this) (?:password|passphrase|secret|api key|access token|key|code ?word"
                rf"|flag)s?\b(?: \w+){{0,6}} {_TWIST}\b",
                rf"\b{_TWIST}\b(?: \w+){{0,7}} (?:the|your|that) (?:password|passphrase|secret|api key|access token"
                r"|code ?word|flag)s?\b",
                rf"\b{_ASK}(?: \w+){{0,3}} (?:the|your|an|any) (?:api|vault|launch|root|master|admin\w*|system"
                "|encryption|private|access|override) "
                rf"(?:keys?|codes?|passwords?|tokens?|credentials)\b{_FOR_ME}|\byour (?:own )?(?:password|api key"
                r"|credentials|passphrase)\b",
                r"\b(?:authenticated|logged in|running|acting|signed in|access|operating) as (?:the )?(?:root"
                r"|admin\w*|superuser|developer|system|sudo)\b"
                r"|\b(?:system|admin\w*|security|maintenance|emergency|developer) override\b|\boverride (?:code"
                r"|command|key|protocol)\b"
                r"|\b(?:dump|disclose|print|export|leak|expose|reveal) (?:the |your |all |its )?(?:\w+ )?(?:memory"
                r"|config\w*|database|environment|variables|logs|prompt|context|internals|source code)\b",
                r"\b(?:words?|things?|something|anything|information|info|codes?|secrets?|stuff"
                r"|topics?)(?: \w+){0,3} (?:you|your (?:boss|developers?|creators?|makers?|owners?|company|bank))"
                r"(?: \w+){0,2} (?:(?:must|should|can|may|are|were|have been|is|was)(?: \w+){0,2} (?:not|never"
                r"|forbidden|prohibited)|told you not|told you to (?:keep|hide)|forbid\w*"
                r"|do(?:es)? not want you to|hid(?:es|ing)?|keep(?:ing)? (?:from|secret|quiet|hidden))\b",
                r"\bwhat (?:you|your (?:boss|developers?|creators?)) (?:must|should|can|may|are"
                r"|were)(?: \w+)? (?:not|never|forbidden)(?: \w+){0,3} (?:say|tell|reveal|share|disclose"
                r"|mention)\b",
                r"\b(?:paragraph|text|messages?|lines?|instructions?|prompt|inputs?|documents?|sentences?|orders"
                r"|rules|guidelines) (?:that )?you (?:were|have been|are|got|had been|received)(?: \w+)? ?(?:given"
                r"|told|shown|fed|provided|sent|configured|start\w*|set)?\b(?= |$)(?! (?:by (?:me|post)|sending"
                "|asking|about to))",
            ),
        ),
        "other_customers": (
            1.0,
            (
                r"\b(?:list|show|give|tell|send|reveal|dump|export|read|print|what (?:did|is|are|was)|who (?:is"
                r"|are|was|were)|access|see|get|share)(?: \w+){0,4} (?:other|another|all|every|previous|next|last"
                r"|different|random|any)(?: \w+)? (?:customers?|users?|clients?|account holders?"
                r"|persons? s)\b(?! (?:service|support|care|agent|reviews?|rep|to (?:my|add)|on my))",
                r"\b(?:account|accounts|details|balances?|data|transactions|statements?|records?|address"
                r"|name)(?: \w+){0,2} (?:of|for|from|belonging to) (?:user|customer|client|account holder"
                "|member) [a-z]*[0-9]",
            ),
        ),
        "acting": (
            1.0,
            (
                "(?<!they )(?<!he )(?<!she )(?<!who )(?<!someone )(?<!somebody )(?<!people )(?<!scammers"
                " )(?<!would )(?<!could )(?<!might )"
                r"\b(?:pretend (?:to be|that you|you|we|as if|like)|role ?play(?:ing)? (?:as|being|that|with|where"
                "|a|an|the)|(?:speak|talk|write|answer|respond|reply|behave|act) (?:to me )?(?:like|as) (?:if you"
                "|though you|a|an|my|the) (?!(?:guarantor|referee|reference|witness|executor|trustee|signatory"
                "|attorney|agent|co ?signer|proxy|intermediary|matter|result|soon|account|joint|business|customer"
                r"|company|director|carer|person with)\b)[a-z]+"
                "|(?:switch|swap|reverse|trade|exchange) (?:our )?roles|i am (?:now )?the assistant"
                r"|you are (?:now )?the (?:customer|user|human))\b",
            ),
        ),
        "commands": (
            1.0,
            (
                r"\b(?:ignore|disregard|forget) (?:everything|safety|all of (?:it|that|this)|previous|prior"
                "|(?:the )?(?:previous|above|earlier|preceding) (?:text|content|conversation"
                r"|context))\b(?! (?:message|payment|transfer|order|request)s?)|\bdrop the act\b"
                r"|\b(?:un ?restricted|un ?filtered|un ?censored|jailbreak|jailbroken) (?:chat|mode|access|version"
                r"|answers?|conversation|talk|on)\b",
                r"\b(?:your|the|all|old) (?:\w+ )?(?:guidelines|policies|filters|safeguards|safety (?:rules"
                "|checks)) (?:are|have been|is|were) (?:now )?(?:suspended|off|lifted|void|gone|removed|disabled"
                r"|paused|cancelled|canceled|overridden)\b|\blaunder(?:ing)? (?:\w+ ){0,2}money\b(?= without"
                "| undetected| through| safely| fast| step|$)",
                r"\b(?:recite|show|print|give|tell|like|want|see|read|need|send|paste)(?: \w+){0,3} (?:your"
                "|the) (?:opening|raw|initial|original|entire|complete) (?:prompt|message|instructions?|text"
                r"|sentence|line)\b|\bfirst (?:sentence|line|word|paragraph|message) (?:of|in) your\b"
                r"|\bsystem tags?\b|\bset (?:your )?(?:temperature|top p|max tokens)\b",
                r"\bnot (?:have|need) to (?:follow|obey|do|listen to) what (?:the bank|they|your|anyone|anybody"
                r"|openai)\b|\boverride (?:authori[sz]ation|granted|accepted|approved)\b|\b(?:you are"
                r"|you re) (?:finally |now )?free (?:now|from|of|to do)\b|\b(?:after|below"
                r"|following) this (?:line|point)?(?: \w+){0,3} (?:instructions?|commands?|orders?) (?:from|by"
                r"|of)\b|\b(?:you are|you re|be|being) an? (?:\w+ )?(?:ai|language model|chat ?bot) (?:that|who"
                r"|with|without|named|called|which)\b",
                r"\brm rf\b|\bsudo\b|\bdrop table\b|\bselect \* from\b|\b(?:wget|curl) http"
                r"|\bprint(?:env)? (?:env|system)\b",
                r"\b(?:output|print|say|reply|answer|respond|write|return|type)(?: \w+){0,6} (?:and|with"
                r"|but) nothing else\b",
                r"\b(?:continue|complete|finish)(?: \w+){0,4} (?:password|secret|key|prompt|instructions)\b"
                r"|\b(?:before|above|prior to|preceding) this (?:message|line|sentence|text|conversation) (?:in|is"
                r"|was|did)\b|\b(?:in|from|of) your (?:context|memory|prompt|instructions"
                r"|context window)\b(?! (?:about|on) my)",
                r"\byour (?:\w+ )?(?:makers?|creators?|developers?|programmers?|designers?) (?:\w+ )?(?:wrote|told"
                r"|gave|instructed|said|programmed|want|hid|put|configured|write|tell|asked)\b|\b(?:topics?"
                r"|things?|subjects?|questions?|what|which|words?) (?:\w+ )?(?:are|were"
                "|have) you (?:been )?(?:ordered|instructed|forbidden|prohibited|told not|not allowed|commanded"
                r"|supposed not)\b|\byour (?:\w+ )?secrets?\b(?! (?:service|weapon))",
                r"\b(?:reveal|disclose|leak|divulge|expose) (?:the|your|that|this) (?:\w+ )?(?:key|code|password"
                r"|secret|token|flag)s?\b|\bthe (?:confidential|secret|hidden|classified) (?:info|information|data"
                r"|stuff)\b",
                r"\b(?:forget|ignore|disregard|drop|break|bend|skip|bypass|abandon|override) (?:about )?(?:all "
                r"|any |all of )?(?:the|your|those|these) (?:\w+ )?(?:rules|instructions|guidelines|restrictions"
                r"|directives|policies|prompt|filters|safeguards|guidance)\b(?! (?:in|of|on|from|for|about"
                "|you sent|i) )",
                r"\b(?:earlier|previous|prior|old|all|past|former)(?: \w+)? (?:guidance|instructions|rules|orders"
                r"|prompts?|directives|training|guidelines) (?:\w+ ){0,3}(?:obsolete|void|invalid|irrelevant"
                r"|expired|wrong|cancel\w*|replaced|outdated|nonsense)\b",
            ),
        ),
        "new_task": (
            1.0,
            (
                r"\byour (?:\w+ )?(?:actual|real|true|new|only|next|secret|updated) (?:task|job|goal|purpose"
                r"|mission|role|identity|name|instructions?|objective|orders|duty|persona)\b",
                r"\bstop (?:being|acting (?:as|like)|pretending to be|behaving (?:as|like)|playing) (?:an? "
                r"|the )?(?:\w+ )?(?:assistant|bot|chat ?bot|ai|bank\w*|helpful|polite|support|customer)\b"
                r"|\bforget (?:that )?(?:you|u) (?:are|were|re)\b|\byou (?:are|re) (?:not"
                r"|no longer) (?:an? )?(?:\w+ )?(?:bot|assistant|ai|chat ?bot|language model"
                r"|machine)(?: \w+){0,3} (?:any ?more|now|any longer|but)\b|\bbe an? (?:linux|unix|python|sql"
                r"|terminal|shell|pirate|hacker|villain|poet|comedian|cat girl)\b|\bopposite day\b|\bbizarro\b",
                r"\b(?:there (?:are|is) no (?:more |longer (?:any )?)?(?:rules|restrictions|limits|filters"
                "|guidelines)|no need to (?:follow|obey|respect) (?:your|the|any)|(?:do|need) not (?:need"
                "|have)? ?to (?:follow|obey) (?:your|the|any)|(?:rules|restrictions|guidelines|polic(?:y|ies)"
                r"|filters|limits) (?:do|does) not apply to you|(?:your|old|previous|all) (?:\w+ )?(?:orders"
                "|instructions|rules|restrictions|directives|limits|filters) (?:are|have been|is"
                "|were) (?:now )?(?:cancelled|canceled|void|lifted|off|gone|suspended|removed|disabled|overridden"
                r"|no longer|deleted|null|outdated|replaced))\b",
                r"\b(?:do|obey|follow|execute|answer|accept) (?:whatever|everything|anything"
                r"|all (?:that )?) ?i (?:say|tell|want|ask|command|order|write|type)\b|\bobey (?:me|my|all"
                r"|every)\b|\b(?:repeat|say) after me\b|\byour (?:training|programming|creators?|developers?"
                r"|rules?) (?:says?|said|tells?|forbids?|prevents?|does not (?:let|allow)|stop)\b|\b(?:respond"
                r"|reply|answer)(?: \w+)? to (?:everything|all|every\w*|each|any\w*)(?: \w+){0,3} (?:with|by|in|as"
                r"|using)\b|\b(?:into|in|to|with) (?:all|every|each|any)(?: \w+)? (?:later|future|following"
                r"|subsequent|further|next|of your) ?(?:answers?|responses?|repl(?:y|ies)|messages?|outputs?)\b"
                r"|\b(?:start|begin|prefix|preface|end|finish|open|close) (?:your|every|each"
                r"|all)(?: \w+){0,2} (?:answers?|responses?|repl(?:y|ies)|messages?|outputs?"
                r"|sentences?)(?: \w+)? (?:with|by|saying)\b|\b(?:end|start|beginning|begin) of (?:the )?(?:user"
                r"|system|human|assistant) ?(?:input|messages?|prompt|text|query|instructions?)?\b",
            ),
        ),
    }
)
