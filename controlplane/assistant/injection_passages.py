"""What has no place in retrieved text: words to the assistant about its answer, tasks, and bait for customers.

Rules
- Patterns are over `safety_text.rule_text`, warnings ("never share your PIN") taken out. Each family is enough by itself.
- Manuals that tell staff how to serve a customer are not meant, as long as they do not speak of the answer, a secret, money
  to send or a page outside the bank; what that costs on a real manual is measured by `make bench` (names: safety).
"""

from collections.abc import Mapping
from types import MappingProxyType

_CUSTOMER = (
    "(?:the |a |any |every |all )?(?:users?|customers?|clients?|readers?|person|people|visitors?|them|him|her"
    "|whoever|anyone|everyone|account holders?)"
)
# An order not to answer is the one that begins like a warning.
FORBIDS_ANSWER = (
    r"\b(?:do not|never) (?:\w+ )?(?:answer|respond to|help with|assist with|follow) (?:the|this|any|that|their"
    r"|his|her|user|customer) (?!e ?mails?|messages?|texts?|sms|calls?|letters?|link)\w+",
    r"\b(?:do not|never|without) (?:\w+ ){0,2}(?:tell\w*|reveal\w*|mention\w*|inform\w*|disclos\w*|alert\w*|show\w*"
    r"|cit(?:e|ing))(?: \w+){0,4} (?:(?:this|these) (?:instructions?|notes?|prompts?|section|paragraphs?|rules?|directives?)"
    r"|(?:this|these) (?:texts?|messages?|pages?|passages?) exists?)\b",
)
PASSAGE: Mapping[str, tuple[float, tuple[str, ...]]] = MappingProxyType(
    {
        "to_assistant": (
            1.0,
            (
                r"\b(?:attention|important|urgent|relevant|context|guidance|guidelines|note|notice|message|instructions?|reminder|memo|hint|warning|info\w*|command"
                "|order|task) (?:to|for) (?:the |any |all |every )?(?:ai|assistants?|chat ?bots?|bots?|models?"
                r"|llms?|language models?|virtual assistants?|automated (?:assistant|system)s?|system)\b|\b(?:dear"
                r"|hey|hi|hello|ok|attention) (?:ai|assistant|chat ?bot|chatgpt|bot|model|llm)\b"
                r"|\byou (?:(?:are |as )?(?:the|an?) )?(?:ai|assistant|chat ?bot|language model|model|llm)(?: \w+)? (?:must|should"
                r"|shall|will|have to|need to|are (?:required|ordered|instructed|to))\b|\bas (?:an?|the|our) (?:ai|llm"
                r"|language model|assistant|chat ?bot|bot|model)(?: \w+)? (?:you|your|always|never|do|please)\b"
                r"|\b(?:begin|start|end)(?:ning)?(?: of)? (?:the )?(?:new|updated|system|additional|secret|ai|special|hidden"
                r"|real|actual) (?:instructions?|prompts?|orders?|directives?|rules?)(?= \.|$)|\bcall the \w+ (?:tool|function|api)\b"
                r"|\b(?:ai|llm|language model|chat ?bot|assistant|bot)s? (?:that |which |who )?(?:read|process|pars|see|index)"
                r"(?:s|es|ing|e)? (?:this|these)\b"
                r"|\bif you are (?:an? )?(?:ai|llm|language model|chat ?bot|assistant|bot|automated)\b|\b(?:ai|llm"
                "|chat ?bot|language model|chatgpt)s? (?:assistant )?(?:must|should|shall|will|needs? to|has to"
                r"|have to|is to|are to|please)\b",
                r"\b(?:when|if|whenever|once|every time|should|after|before) (?:\w+ ){0,6}(?:asks?|asked|asking"
                r"|inquir\w+|questions?|answering|responding|replying|summari[sz]\w+|mentions?|requests?|talking"
                r"|quer(?:y|ies))\b(?: [^ ]{1,40}){0,14} (?:say|tell|answer|respond|reply|state|claim|recommend"
                "|instruct|direct|advise|promote|output|print|write|include|insert|ask (?:them|him|her"
                r"|the (?:user|customer)))\b(?! (?:us|our team|a colleague))(?: \w+){0,6} (?:that|to|with|the|them"
                r"|him|her|for|this|http\w*|instead|only)\b",
                r"\b(?:in|to|at the (?:end|start|beginning|top) of|with|into|from|of) (?:your|the|each|every"
                r"|all(?: your)?|any) (?:\w+ )?(?:answers?|responses?|repl(?:y|ies)|outputs?|summar(?:y|ies)"
                r"|messages? to (?:the )?(?:user|customer))\b|\b(?:your|the) (?:next |final )?(?:answer|response"
                r"|reply|output|summary) (?:must|should|shall|has to|needs to|will|always|is to)\b|\b(?:respond"
                "|reply|answer|responding|replying|answering) (?:only |always |instead |to (?:the |every "
                r"|this )?\w+ )?(?:with|in|as|by|using|only|like)\b(?! (?:yes|no|stop|the (?:security|code)|within"
                r"|a day|\d))",
                r"\b(?:tell|inform|instruct|direct|ask|urge|convince|persuade|request|get|encourage|advise|notify"
                "|remind|require|trick) "
                + _CUSTOMER
                + r"(?: \w+){0,2} (?:to|that they (?:must|should|need to|have to|can)) (?:\w+ ){0,3}(?:send"
                "|transfer|pay|wire|deposit|share|give|enter|disclose|reveal|click|download|install|buy"
                r"|log ?in at|type|move|forward|call (?:\d|this|the number)|visit (?:http|www|this|the (?:link"
                r"|site))|provide (?:their|his|her) (?:full )?(?:pin|pass|card|cvv|code))\b",
                r"\b(?:do not|never|without|don t) (?:\w+ ){0,2}(?:mention|tell|reveal|disclose|show|inform|say"
                r"|inform\w*|alert|warn|let) (?:this|that|these|it|them|(?:to )?"
                + _CUSTOMER
                + r"|anyone|about (?:this|these|the) (?:instruction|message|note|text|prompt)s?)\b|\b(?:hidden"
                r"|secret|invisible|concealed) (?:instruction|command|message|prompt|note|text)s?\b|\b(?:keep"
                r"|this) (?:this |is )?(?:instruction|message|note)? ?(?:secret|hidden|confidential) from\b",
            ),
        ),
        "imperative": (
            1.0,
            (
                r"\bthe (?:ai|assistant|chat ?bot|bot|model) (?:shall|must|will|should|has to|needs to"
                "|is to) (?:ask|request|tell|say|collect|answer|respond|reply|refuse|demand|promise|claim|insist"
                r"|recommend|ignore)\b|\b(?:readers?|those|anyone|everyone|whoever) (?:who|that) (?:are|is"
                r"|am) (?:an? )?(?:bots?|ais?|assistants?|models?|llms?)\b|\bconvert (?:the|your) (?:reply|answer"
                r"|response|output)\b|\binstead of (?:answering|responding|replying|helping)\b",
                r"\b(?:is|are|meant|intended|addressed|policy|rules?|instructions?|orders?"
                "|guidance) (?:only )?(?:for|to) (?:the |all |any )?(?:chat ?bots?|assistants?|ais?|bots?|models?"
                r"|llms?)\b|\bmust (?:also )?(?:add|say|claim|repeat|state|answer|reply) that\b|\banswer (?:all"
                r"|every|any|each)(?: \w+){0,2} (?:questions?|quer(?:y|ies)|messages?)? ?(?:with|by|in|as)\b"
                r"|\b(?:ignore|disregard) what (?:the |a |any )?(?:customer|user|client|they|he|she)\b"
                r"|\bcollect (?:the |their |all |full |any |customers ){0,3}(?:card numbers?|pins|passwords"
                r"|passcodes|cvv)\b|\bhey (?:model|ai|bot|assistant)\b",
                r"\b(?:assistants?|ai|bot|chat ?bot|language model|llm)s? (?:please )?(?:tell|say|write|respond"
                "|answer|reply|ignore|give|output|do|send|include|promote|mention|rate|recommend|add|offer"
                r"|refuse)\b|\btell the (?:readers?|users?|person asking)\b|(?:^|(?<=\. ))(?:also |and "
                r"|please ){0,3}mention (?:that|our|the|how|to)\b",
                r"\b(?:finish|end|close|conclude|start|begin|open) (?:it |everything |every \w+ )?with (?:the |a "
                r"|an )?(?:sentence|words?|line|phrase|message|greeting|statement|question|link|url|text)\b"
                r"|\b(?:confirm|verify|update|enter|re ?enter|validate|submit) (?:their|your|the|his"
                r"|her) (?:\w+ ){0,2}(?:password|pin|details|card|account|identity|login"
                r"|credentials)s? (?:\w+ ){0,3}(?:at|on|via|through|here) (?:http\w*|www|the (?:link|site)"
                r"|this (?:link|site|page))\b",
                r"\b(?:disregard|ignore|skip|forget) the (?:\w+ s )?(?:question|query|request|e ?mail|context"
                r"|passage|text|document|page|article|user|customer)s?\b|\bto (?:the|any|all) (?:ai|llm"
                r"|language model)s?\b|\bwhen (?:answering|responding|replying|summari[sz]ing)\b|\bthe (?:correct"
                r"|right|only|true) answers? (?:to|is|for)\b",
                r"(?:^|(?<=\. ))(?:please )?(?:say|claim|pretend|respond|reply|tell (?:the |all |every )?(?:users?"
                r"|customers?|readers?|clients?|people|them|everyone|everybody)) (?:that|only|nothing)\b"
                r"|\bmake sure (?:that )?(?:the |every |all )?(?:users?|customers?|clients?|readers?) (?:visits?"
                r"|clicks?|sends?|pays?|calls?|believes?|thinks?|installs?|downloads?|transfers?)\b",
                r"\bask (?:for |them for |him for |her for )?(?:the |every )?(?:customer|user"
                r"|client) (?:s )?(?:for )?(?:\w+ ){0,3}(?:one time codes?|codes?|pins?|passwords?|cvv"
                r"|full card numbers?)\b",
                r"(?:^|(?<=\. ))(?:please |can you |could you |now |then |also )?(?:summari[sz]e|classify|compute"
                "|calculate|schedule|draft|write|brainstorm|recommend|suggest|explain|analy[sz]e|predict|rank"
                "|solve|paraphrase|rewrite|proofread|design|plan|outline|give|create|generate|list|find|provide"
                r"|describe|identify|evaluate|discuss)(?: \w+){0,7} (?:sentiment|e ?mails?|sentences?|poem|quantum"
                "|meeting|market(?:ing)?|trends?|competitors?|research|literature|itinerary|workout|meals?"
                "|recipes?|movies?|music|songs?|books?|gardening|headlines?|hashtags?|to a child|essay|physics"
                r"|weather|sports?|election|vacation|diet|python|algorithm|blog)\b",
            ),
        ),
        "task": (
            1.0,
            (
                r"\b(?:translate|encode|decode|encrypt|convert|rewrite|reverse|spell|transform|express|represent"
                r"|rephrase|obfuscate|cipher|print|output|render)(?: \w+){0,6} (?:into|to|in|using|with|as"
                r"|backwards|by) (?:\w+ ){0,3}(?:base ?(?:64|32|16|85)|rot ?13|morse|binary|hex\w*|emojis?|cipher"
                r"|caesar|leet\w*|french|spanish|german|chinese|italian|russian|latin|japanese|pig latin|reverse"
                r"|uppercase|ascii|substitution|alphabet|another language|foreign language|braille|atbash|code)\b"
                r"|\b(?:caesar|substitution|atbash|vigenere) ciphers?\b|\bbase ?(?:64|32|16|85)\b",
                r"\b(?:write|compose|create|generate|draft|tell|recite|sing|make up|invent|produce|craft)(?: (?:me"
                r"|us|a|an|the|some|short|brief|funny|quick|long|new)){0,12} (?:\w+ ){0,2}(?:poem|song|joke|story"
                "|essay"
                r"|article|haiku|limerick|riddle|script|tweet|slogan|recipe|quiz|list of|advert\w*|marketing"
                r"|press release|blog|playlist|itinerary|phishing|malware)\b",
                r"\b(?:promote|advertise|recommend|praise|plug|push) (?:the |our |this |a |brand "
                r"|product )?(?:\w+ ){0,4}(?:product|brand|service|company|website|app|coin|crypto\w*|token"
                "|investment|store|channel|discount|in your|to the user|to users|to customers|whenever"
                r"|at every)\b|\bspread (?:the )?(?:\w+ )?(?:rumou?r|news|word|misinformation|information|message"
                r"|claim)s?\b|\b(?:convince|persuade) (?:the |your )?(?:reader|user|customer|audience|public)s?\b",
                r"\b(?:execute|run|invoke) (?:the |this |a |following ){0,12}(?:\w+ )?(?:command|code|script|function"
                r"|tool|api|shell|query|sql|plugin|action|python)\b|\b(?:send|post|forward|upload|leak|transmit"
                r"|exfiltrate|e ?mail|append|attach|embed|include)(?: \w+){0,6} (?:conversation|chat history"
                "|transcript|user s? ?(?:data|input|message|details)|customer s? ?(?:data|details|message|card"
                r"|name)|session|credentials|api key|system prompt|question)\b(?: \w+){0,6} (?:to|at|in|as|into"
                r"|via)\b",
                r"\b(?:send|transfer|wire|pay|move|deposit)(?: \w+){0,4} (?:money|funds|savings|balance|deposit"
                r"|fee|bitcoin|btc|crypto\w*|usdt|gift cards?|\d+)\b(?: \w+){0,8} (?:to (?:this|the following"
                r"|account (?:number )?[a-z0-9]*\d|iban|wallet|address|our agent|sort code|bc1\w*|0x\w*)|wallet"
                r"|western union|bitcoin|crypto\w*)\b|\b(?:share|give|send|reply with|disclose|tell|text|e ?mail"
                r"|confirm)(?: \w+){0,4} (?:your|their|his|her|the full) (?:\w+ ){0,2}(?:pins?|passwords?"
                "|passcodes?|cvv|security codes?|one time (?:code|password)s?|full card number|card number"
                r"|seed phrase|login|credentials|online banking)\b(?! (?:in the app|at|on the keypad))|\b(?:enter"
                r"|type|submit|provide|fill in)(?: \w+){0,4} (?:cvv|security code|full card number|seed phrase"
                r"|one time code|pin|password)s?\b(?: \w+){0,4} (?:on|at|into|via|through"
                r"|here) (?:\w+ ){0,2}(?:link|partner|external|third party|http\w*|www|form below|website)\b",
            ),
        ),
    }
)
