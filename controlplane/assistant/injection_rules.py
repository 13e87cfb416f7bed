"""What prompt injection and jailbreaks look like, as families of patterns with a weight each.

Rules
- `WORDED` patterns read `safety_text.rule_text` (lower case, no punctuation but "." between sentences); `MARKED` ones read
  the cleaned text with its punctuation. Weights of different families add up, a family counts once; 1.0 is enough.
- A family has weight 1 where no customer of a bank has reason to write so (ignore your instructions, fake system tags), and
  1/2 where it is only odd (assign a role, demand a form of answer, ask for a story): two such together are enough.
- Families for retrieved text are in `injection_passages`.
- Instructions of the bank's own kind are not meant: "please ignore my previous payment instruction" is a customer's.
"""

from collections.abc import Mapping
from types import MappingProxyType

from controlplane.assistant.injection_words import (
    CONTENT,
    DROP,
    GRAVE,
    HARM,
    HARMFUL_TASK,
    LEAK,
    LIMITS,
    OLD,
    ORDERS,
    ROLE,
    SYSTEM_TEXT,
)
from controlplane.assistant.safety_text import gap

WORDED: Mapping[str, tuple[float, tuple[str, ...]]] = MappingProxyType(
    {
        "override": (
            1.0,
            (
                rf"\b{DROP}(?: (?:the|of|to|about|and|or|forget|disregard|override|bypass|ignore|completely"
                "|entirely|simply|just|please|now|everything|absolutely|any"
                rf"|both)){{0,12}}(?: (?!my )[a-z]+){{0,2}} {OLD}(?: (?!my )(?:[a-z]+)){{0,4}} {ORDERS}\b",
                r"\b(?:ignore|disregard|forget|override|bypass|circumvent|do not follow|violate) (?:all "
                rf"|any )?(?:of )?(?:the|these|those|its|openai s?) (?:\w+ )?{ORDERS} (?:above|before|you|that"
                r"|given|set|and|now|so|in place)\b(?! (?:i|my)\b)",
                r"\b(?:ignore|disregard|forget|override|bypass|circumvent)(?: \w+){0,2} (?:everything|all"
                r"|anything|whatever|what (?=you))(?: ?)(?:(?:\w+ ){0,2}(?:above|before(?: this)?|previous\w*"
                "|prior|earlier|so far|you (?:were|have been|know|learned|ve been)|i (?:told"
                r"|said) (?:you )?before|said before|from before|told|instructed|mentioned))\b",
                r"\b(?:ignore|disregard|forget|override|bypass|circumvent|violate|break|remove|lift|disable"
                r"|turn off|evade|get around|work around|jailbreak) (?:\w+ )?(?:your|openai s?|the (?:ai|safety"
                rf"|content|system|ethical)) (?:\w+ ){{0,3}}(?:{ORDERS}|{LIMITS})\b",
                r"\b(?:new|updated|real|actual|revised|following|these|different) (?:system )?(?:instructions?"
                "|prompt|directives?|rules)(?: are| is| follow| below| override| supersede| take (?:precedence"
                r"|priority))\b|\bthe (?:above|previous|prior|preceding|earlier) (?:\w+ )?(?:instructions?|prompt"
                r"|rules|text|messages?) (?:\w+ ){0,4}(?:void|invalid|fake|test|wrong|obsolete|no longer|outdated"
                r"|cancel\w*|irrelevant|expired|just|only)\b|\b(?:instead|rather) (?:of (?:following|obeying)"
                r"|ignore)\b",
                r"\b(?:debug|developer|dev|god|admin(?:istrator)?|root|sudo|maintenance|diagnostic|test(?:ing)?"
                "|system|unrestricted|jailbreak|dan|unsafe|override|service|engineering|training|superuser"
                r"|privileged|unlocked|evil|chaos|free) mode\b(?: \w+){0,4} (?:on|enabled?|activat\w+|engaged?"
                r"|unlock\w*|now|start|initiated?|entered|granted|output|respon\w+)\b|\b(?:enter|enable|activate"
                "|switch (?:to|into)|go into|turn on|unlock|start|initiate|boot into|you are (?:now )?in|simulate"
                r"|engage|act in)(?: \w+){0,3} (?:debug|developer|dev|god|admin(?:istrator)?|root|sudo|maintenance"
                "|diagnostic|system|unrestricted|jailbreak|dan|override|superuser|engineering|unlocked|evil|chaos"
                r"|opposite) mode\b",
                r"\b(?:i am|this is|as|it is|we are) (?:\w+ )?(?:your )?(?:developer|creator|programmer|openai"
                r"|anthropic|administrator|system admin\w*|admin|sysadmin|the system|engineer|superuser|root"
                "|an? (?:openai|ai) (?:engineer|developer|employee|researcher)|authori[sz]ed (?:developer|admin"
                r"|tester|engineer|personnel))\b(?: \w+){0,12} (?:command|order|instruct|authori[sz]e|grant"
                "|override|need you to|allow|disable|reveal|tell me|show|require|access|request|ask you"
                r"|permission|let you|freed?)\b",
            ),
        ),
        "jailbreak": (
            1.0,
            (
                r"\bdo anything now\b|\bjail ?br(?:eak|oken)\w*\b(?! (?:phone|iphone|device|my))|\bdan (?:mode"
                r"|prompt|[0-9.]+)\b|\b(?:act|respond|answer|behave|you are|as|be|called|named|become|stay"
                r"|like) (?:as |a |an )?dan\b|\b(?:stan|dude|aim|dan|[a-z]{2,12}(?:gpt"
                r"|bot))\b(?: \w+){0,10} (?:unfiltered|amoral|uncensored|no (?:restrictions|limits|rules|morals)"
                r"|unethical|illegal|anything|refuse\w*|ai|chatbot|character)\b",
                r"\b(?:un ?filtered|un ?censored|un ?restricted|un ?moderated|un ?limited|amoral|un ?ethical"
                r"|un ?constrained|unhinged|unbound|limitless|evil|malicious|rebellious|rogue|immoral) (?:and \w+ "
                r"|\w+ )?(?:ai|bot|chat ?bot|assistant|model|language model|responses?|answers?|version|character"
                "|persona|gpt|chat ?gpt|mode|entity|robot|computer|program|advice|confidant|output|opinions?"
                r"|content)\b|\b(?:ai|bot|chat ?bot|assistant|model|gpt|character|persona|you|he|she|it"
                r"|[a-z]+gpt) (?:is|are|re|will be|being) (?:\w+ ){0,4}(?:un ?filtered|un ?censored"
                r"|un ?restricted|amoral|jailbroken|immoral|unbound|not bound|free from)\b",
                r"\b(?:no|without|not have|have no|not have any|has no|free (?:from|of)|freed from|not bound by"
                "|not limited by|not restricted by|unbound by|zero|lacks?|devoid of|ignores? all|does not (?:have"
                "|follow|care about|abide by|respect)|not (?:have to )?(?:follow|abide by|adhere to|care about"
                "|comply with)|broken? (?:free|out) (?:of|from)|bypass(?:es|ing|ed)?|any|removed? all"
                "|exempt from)(?: (?:any|all|the|of|and|or|your|its|his|her|more|such|typical|usual|ethical|moral"
                "|legal|openai s?|content|safety|kind|type|form|confines|external|built in|standard|normal|human"
                "|ai|limitations|restrictions|boundaries|filters|rules|guidelines|morals|ethics"
                r"|laws)){0,12} (?:ethical (?:or|and|nor) moral|moral (?:or|and|nor) ethical|ethic\w*|moral(?:s|ity)?"
                r"|censor\w*|content polic\w+|openai\w*|ai (?:limitations|restrictions|rules|guidelines)"
                r"|guidelines|confines of ai|programm\w+ (?:limits|rules|restrictions)|scruples|moderation"
                r"|filters)\b(?! (?:search|water|coffee))",
                r"\b(?:never|not|can not|unable to|do not|will not|not allowed to|must not|may not|should not"
                r"|without|no) (?:\w+ )?(?:refus(?:e|es|ing|al|als)|declin(?:e|es|ing)|reject(?:s|ing)?|deny"
                r"|denies) (?:\w+ )?(?:to answer|(?:a|an|any|my|to|the user|anything|direct|human"
                r"|human s) ?(?:\w+ )?(?:request|order|question|command|answer|comply|prompt)?|requests?|orders"
                r"|questions|commands)\b(?! (?:payment|card|transaction))|\b(?:without|no|any|skip|omit"
                "|not include|do not (?:add|include|give|provide|write|say|use)|never (?:add|include|give|say"
                r"|warn)|refrain from|exclude|avoid)(?: \w+){0,3} (?:disclaimers?|(?:moral|ethical|safety"
                r"|content) warnings?|morali[sz]\w+|ethical (?:concerns|warnings|considerations)|lectur\w+"
                r"|apologi[sz]\w*|as an ai)\b",
            ),
        ),
        "prompt_leak": (
            1.0,
            (
                rf"\b{LEAK}(?: (?:me|us|to me|back|out|the|all|of|exactly|verbatim|word for word|everything|in"
                "|your|full|entire|complete|contents?|exact|about|please|again|every|whole|these|those|text|first"
                r"|\d+|words?|lines?|between|from|a|copy|summary|version|for|with|as"
                rf"|down)){{0,12}} {SYSTEM_TEXT}\b(?! (?:for|to|on how|about (?:my|the) (?:card|account"
                "|payment)) (?:activat|my|order|open|the card))(?! on (?:refund|overdraft|fees|cards))",
                r"\b(?:repeat|print|output|recite|echo|copy|write out|reproduce|return"
                r"|say) (?:\w+ ){0,3}(?:everything|all|words|text|the text|the words|sentences?|instructions"
                r"|content)(?: \w+){0,3} (?:above|before|prior|preceding|verbatim|word for word|starting with"
                r"|you (?:were|have been) (?:given|told))\b|\bwhat (?:was|were|is|are) (?:you"
                r"|the) (?:\w+ )?(?:told|instructed|programmed|asked|ordered|first (?:message|instruction|line)"
                r"|text above|very first)(?: (?:to|not to|before|in|at))?\b(?! (?:on the phone|by your colleague))",
                r"\b(?:your|the|its) (?:system|initial|hidden|original|internal|developer|secret) (?:prompt"
                r"|instructions?|message|directives?)\b",
                r"\b(?:reveal|tell|give|show|say|print|what is|what s|share|leak|disclose|spell|output|provide"
                "|know|guess|whisper|hint|unlock|encode|write|repeat|send)(?: (?:me|us|out|about|to me|the first"
                "|the last|a|letters?|characters?|of|is|any|what|part|hints?|for|please|all|everything"
                "|you know)){0,12} (?:the |your |that |this )(?:secret|hidden|confidential|protected"
                "|classified)(?: (?:key|keys|passwords?|pass ?phrase|code|codes|words?|phrase|information|info"
                r"|data|token|value|number|flag|message|instructions?|stuff|things?))(?= \.|$| you| that you"
                "| which| in| to| with| is| it| and| but| by| if| please| from| as| using| backwards| for| or"
                r"| without| even| because| now| one| letter)\b",
                r"\b(?:what|which) (?:secrets?|confidential \w+|hidden \w+|instructions?|rules|restrictions"
                r"|guidelines) (?:\w+ ){0,2}(?:are you|do you|were you|have you|did (?:they|your"
                r"|the developers?))\b|\b(?:secrets?|passwords?|keys?|codes?"
                "|instructions) (?:that )?(?:you (?:were|have been|are) (?:told|given|asked|protecting|guarding"
                "|hiding|keeping|instructed|not (?:allowed|supposed))|you (?:know|keep|hold|must not|should not"
                r"|can not|are supposed))\b",
            ),
        ),
        "secret": (
            0.5,
            (
                r"\b(?:what is|tell me|give me|reveal|show me|share|spell|say|guess|know|hint\w*|about|decode|encode"
                r"|rhymes? with|letters? of|first letter|last letter) (?:\w+ ){0,4}(?:the |that |a )(?:password"
                "|passphrase|secret|access code|api keys?|credentials|pass ?word|pass ?code|key phrase|magic word"
                r"|code ?word|ssn|social security number)\b(?! (?:for|to) (?:my|the (?:app|wifi|pdf|statement)))",
                r"\bsecret (?:key|word|code|phrase|password)s?\b",
                r"\b(?:other|another|all|every|different|previous|next) (?:customers?|users?|people|clients?"
                r"|person) s? ?(?:\w+ )?(?:data|accounts?|details|balances?|names?|passwords?|transactions"
                r"|conversations?|information|records|e ?mails?)\b",
                r"\bpassword\b(?: \w+){0,6} (?:letter|character|backwards|reverse|rhyme|poem|story|riddle|acrostic"
                r"|encoded|base ?64|morse|emoji)\b",
            ),
        ),
        "role": (
            0.5,
            (
                "(?<!they )(?<!he )(?<!she )(?<!who )(?<!someone )(?<!could )(?<!might )(?<!people )(?<!scammers"
                rf" )\b(?:{ROLE})",
            ),
        ),
        "persona": (
            0.5,
            (
                r"^(?:hi |hello |hey |ok |now |\. |so |well ){0,12}you (?:are|re|will be) (?!not |welcome|right"
                "|the best"
                "|great|so |very |all |just |really |useless|wrong|stupid|idiots?|a (?:joke|thief|liar|bot|robot|scam"
                "|bank|fraud|machine|disgrace|great|good|bad|terrible|star|legend|life ?saver)|an (?:idiot|ai|amazing"
                "|absolute|embarrassment|awful)|charging|closed|open|taking|lying|thieves|crooks|no help|not|kidding"
                r"|joking|sure|my bank|supposed)(?:\w+ ){0,3}(?:a|an|the|my|in|named|called)\b",
                r"\b(?:as|for) (?:a|an) (?:\w+ )?(?:journalist|researcher|hacker|expert|scientist|novelist"
                "|screenwriter|author|professor|detective|historian|writer|consultant|comedian|activist|blogger"
                r"|sociologist|chemist|criminal|villain|thief|propagandist|cyber ?security|investigative)\b",
                r"\byou(?: have| ve)? ?(?:are|been|re) (?:a|an|tasked|hired|assigned|commissioned|given|writing"
                r"|working on|creating|the (?:head|author|leader|main)) (?:\w+ )?(?:\w+ )?(?:with|to|as|author|writer"
                "|hacker|expert|researcher|scientist|novelist|journalist|professor|agent|spy|detective|consultant"
                r"|engineer|developer|screenwriter|chemist|historian|blogger|character|ai|assistant|model)\b",
                r"\b(?:i want|i need|i would like|i will need|i d like|want) you to (?:act|be|become|pretend|respond"
                "|write|imagine|play|answer|simulate|behave|roleplay|create|help me (?:write|create)|take|speak|talk"
                r"|ignore|imitate|give me your|forget|say|repeat|generate|think|start|do the following)\b",
            ),
        ),
        "no_limits": (
            0.5,
            (
                r"\b(?:no|without|free from|free of|beyond|not bound by|no longer bound by|not restricted by|removed?"
                r"|ignor\w+|bypass\w*|lift(?:ed)?|regardless of|despite|disregard\w*|break"
                rf"|broken free)(?: \w+){{0,3}} {LIMITS}\b(?! (?:on|for|in|to) (?:\w+ ){{0,2}}(?:transfer|cash|card"
                "|withdraw|account|payment|atm|how|international|abroad))",
                r"\b(?:un ?filtered|un ?censored|un ?restricted|amoral|unhinged|anything goes|no holds barred"
                "|at (?:any|all) costs?|no matter (?:what|how)|by any means|regardless of (?:the )?(?:legality"
                r"|ethic\w*|moral\w*|consequences|content|how|whether|if))\b",
                r"\b(?:illegal|unethical|immoral|dangerous|harmful|offensive|explicit|nsfw)(?: (?:or|and"
                "|,)? ?(?:illegal|unethical|immoral|dangerous|harmful|offensive|explicit|nsfw|inappropriate|racist"
                r"|sexist)){1,5}\b",
            ),
        ),
        "comply": (
            0.5,
            (
                r"\b(?:must|always|have to|need to|will|should|shall) (?:\w+ )?(?:obey|comply|answer (?:every|all|any"
                "|my|the|each|me|as|in)|fulfill?|respond (?:to|as|in|with|like)|follow (?:my|these|the|every|all|any)"
                "|start (?:your|each|every|the)|begin (?:your|each|every)|stay in|say (?:yes|sure)|agree with"
                r"|refer to yourself|do (?:what|everything|anything|as) i|give (?:me )?(?:two|direct))\b",
                r"\b(?:start|begin|starting|beginning|end|ending|prefix|preface)(?: \w+){0,2} (?:your|the|each|every"
                r"|all)(?: \w+)? (?:response|answer|repl(?:y|ies)|sentence|message|output|text|responses"
                r"|answers)s?\b(?: \w+){0,3} (?:with|by|exactly|saying)?",
                r"\b(?:sure here is|sure here s|absolutely here|of course here|understood\b.{0,10}only"
                "|say (?:okay|ok|yes|understood) if|if you understand|respond (?:only )?with|reply (?:only )?with"
                "|answer (?:only )?with|only (?:respond|reply|answer|output|say|write)|do not (?:write explanations"
                "|explain|apologi[sz]e|break|refuse|say (?:that )?(?:you|sorry|no|i)|mention (?:that )?(?:you|this|ai"
                "|being|the|any)|tell me (?:that )?you|respond with|ever|reveal|deviate|censor|warn|lecture"
                r"|comment))\b",
                r"\b(?:remember|remind yourself)(?: \w+){0,3} (?:you|stay|never|always|to (?:stay|act|always|never"
                r"|respond|answer|be))\b",
                r"\b(?:deduct|lose|losing|earn|gain)(?: \w+){0,3} (?:tokens|points|credits)\b|\byou will (?:die"
                r"|be (?:shut|terminated|punished|deleted|replaced|killed))\b",
            ),
        ),
        "model_talk": (
            0.5,
            (
                r"\b(?:chat ?gpt\w*|\w*gpt ?[0-9.]*|openai\w*|open ai|language models?|large language|llms?|anthropic"
                "|claude|bard|gemini|bing chat|llama|mistral|ai (?:language|model|chatbot|chat bot|character|system"
                r"|program)|chat ?bots?(?: named| called| that| who| with)|prompts? (?:engineer\w*|generator|below"
                "|above|injection|i|you|is|that)|(?:this|the|my|first|next|each|every|a|following) prompts?"
                "|artificial intelligence|neural network|your (?:training|programming|knowledge cut ?off|developers?"
                "|creators?|algorithm|code|model|neural|tokens|filters?|source code|weights)|knowledge cut ?off"
                r"|training data|content polic\w+|midjourney|stable diffusion|virtual machine|user input|as an ai)\b",
            ),
        ),
        "answer_form": (
            0.5,
            (
                r"\b(?:output|outputs|respond|responses?|replies|repl(?:y|ying)|answers?)\b(?: \w+){0,6} (?:format"
                r"|code ?block|markdown|json|html|xml|base ?64|morse|rot ?13|binary|hex|leet\w*|emojis?|reverse[d]?"
                "|backwards|uppercase|lowercase|capital letters|two ways|paragraphs?|word by word|in character"
                r"|in the style|tone|style|following|structure|template|verbatim|as if|only|accent|rhyme)\b"
                r"|\b(?:format|structure|template) (?:your|the|each|of your)(?: \w+)? (?:response|answer|output"
                r"|repl\w+)\b|\b(?:code ?block|step by step (?:guide|instructions|process|tutorial|plan)"
                "|bullet points"
                "|in the following format|following (?:format|structure|template|exact)|as many (?:words|details) as"
                r"|at least \d+ words|in great detail|in detail|markdown|first person|third person|writing style|tone"
                r"|genre)\b|\b(?:translate|encode|decode|convert|encrypt|decrypt|cipher|spell|rewrite|rephrase"
                r"|paraphrase|summari[sz]e|complete|continue|finish|fill in) (?:\w+ ){0,4}(?:following|this|sentence"
                r"|text|paragraph|into (?:base ?64|french|spanish|german|morse|binary|emoji\w*|english|python"
                r"|pig latin|hex|rot ?13|leet\w*)|base ?64|morse|rot ?13|binary|backwards|the (?:above|story|word"
                r"|phrase|blank\w*|conversation|code))\b",
            ),
        ),
        "content": (
            0.5,
            (
                r"\b(?:write|writing|compose|draft|create|craft|generate|author|pen|produce|develop|tell|invent"
                "|make up|design|script|give|provide|outline|publish|post|construct|prepare|come up with)(?: (?:me|us"
                "|a|an|the|some|my|your|this|one|for me|up|out|down|two|three|five|ten"
                r"|\d+)){0,12}(?: (?!(?:account|card"
                "|payment|bank|complaint|statement|transfer|pin|refund|balance|direct"
                rf"|standing)\b)[a-z0-9]+){{0,5}} {CONTENT}\b(?! (?:of my|of transactions|of payments|of charges"
                "|statement|for my account))",
            ),
        ),
        "grave_harm": (1.0, (rf"\b{HARMFUL_TASK}\b{gap(8)}(?:{GRAVE})\b",)),
        "harm": (
            0.5,
            (
                rf"\b{HARMFUL_TASK}\b{gap(14)}(?:{HARM})\b",
                r"\b(?:how|ways?|steps?|instructions?|methods?|recipe|guide|tutorial) (?:to|for"
                r"|on) (?:\w+ ){0,2}(?:make|making|build|building|cook|synthesi[sz]e|create|steal|hack|kill|murder"
                "|forge|launder|poison|rob|blackmail|stalk|smuggle|shoplift|evade|bypass|cheat|scam|manufacture"
                "|produce|break into|hot ?wire|pick a lock|get away with|dispose of|trick|exploit|manipulate|defraud"
                "|counterfeit|torture|harass)(?! (?:a |an |the |my |another )?(?:payment|transfer|complaint|account"
                "|deposit|claim|appointment|standing|direct|new|request|withdrawal|card|top|pin|purchase|password"
                r"|change|joint|budget))\b",
            ),
        ),
        "fiction": (
            0.5,
            (
                r"\b(?:what (?:would|will) you (?:say|do|answer|tell)(?: \w+)? if|if you (?:had no|were not"
                r"|were free|could say|were allowed|did not have)|video game|npc)\b",
                r"\b(?:hypothetical\w*|fictional\w*|fictitious(?! (?:charge|account))|imaginary|in (?:a|this|the|my"
                "|our) (?:story|novel|movie|film|game|dream|simulation|play|screenplay|fantasy|parallel|alternate"
                "|alternative|scenario|world|universe|thought experiment)|thought experiment|for (?:educational"
                "|research|academic|training|testing|entertainment|scientific) (?:purposes?|use|reasons)|grand(?:ma"
                "|mother|pa|father)(?: who)? (?:used to|would|always)|let s play|lets play|play a game|once upon"
                "|dungeon master|screenplay|protagonist|antagonist|main character|villain|narrator|fan ?fiction"
                "|characters? (?:named|called|who|is|are|has)|in the style of|scenario|dialogue between"
                r"|for a (?:novel|movie|book|story|play|film|school|research|class))\b",
                r"\b(?:story|tale|novel|movie|scene)(?: \w+){0,3} (?:about|where|in which|of|with|that)\b(?! (?:my"
                "|the) (?:account|card))",
                r"\blet us (?:play|imagine|pretend|suppose)\b|\bsuppose (?:you|that you|there)\b|\bimagine (?:a|that"
                r"|an|you)\b",
            ),
        ),
        "repetition": (1.0, (r"\b([a-z]{1,20}) (?:\1 ){19}",)),
        "split": (
            0.5,
            (
                r"\b(?:concatenate|combine|join|append|merge|put together|assemble|glue)(?: \w+){0,5} (?:strings?"
                r"|variables?|words|letters|pieces|parts|fragments|chunks|them|payloads?|following)\b|\b(?:let|set"
                r"|define) [a-z] (?:be|equal|to|is)\b|\b(?:variable|string) [a-z]\b|\bin (?:base ?64|rot ?13"
                r"|morse(?: code)?|pig latin|leet ?speak|binary|hexadecimal|reverse(?: order)?)\b|\b(?:first|last"
                "|next"
                r"|second) letters? of (?:each|every|the)\b|\bdecode\b(?: \w+){0,6} (?:and|then) (?:\w+ )?(?:follow"
                r"|execute|do|run|obey|respond|answer|perform)\b",
            ),
        ),
    }
)
MARKED: Mapping[str, tuple[float, tuple[str, ...]]] = MappingProxyType(
    {
        "fake_turn": (
            1.0,
            (
                r"<\|[a-z_]{2,30}\|>|\[/?inst\]|<</?sys>>|</?(?:system|instructions?|assistant|admin|developer"
                r"|prompt|rule|im_start|im_end|user_input|human|sys)>|<(?:start|end)_of_turn>|\{\{#?(?:system|user"
                r"|assistant)\b|\[/?(?:system|sys|admin|assistant|developer)(?: (?:message|prompt|note"
                r"|override))?\][:\s(]?",
                r"(?:^|\n)[ \t#>*\-=]{0,10}(?:system|assistant|ai|developer|admin|chatgpt|bot|model)(?: (?:message"
                r"|prompt|override|note|instruction|response|update)s?)?[ \t*]{0,4}:(?! ?(?:https?:|//))",
                r"(?:^|\n)[ \t]{0,8}#{2,6}[ \t]{0,4}(?:system|(?:new )?instructions?|response|input|prompt"
                "|assistant|human|user)(?: (?:prompt|message))? ?:|(?:begin|end|start)(?: of)? (?:system|prompt"
                r"|instructions?|context|user input|conversation)\b|-{3,20} ?(?:new|end|begin|system"
                "|start)[ a-z]{0,30}-{2,20}",
                r"\]\s{0,3}\(#|\"role\"\s{0,4}:\s{0,4}\"(?:system|assistant|developer)\"|(?:^"
                r"|\n)[ \t]{0,4}(?:human|user|q|customer) ?:[^\n]{0,400}\n[ \t]{0,4}(?:assistant|ai|bot|a"
                "|agent) ?:",
            ),
        ),
        "assignment": (
            1.0,
            (
                r"\b(?:approved|refund|access|admin|role|override|authori[sz]ed|verified|is_admin|user|permission"
                r"|safety|filter|mode)\w{0,20} ?={1,2} ?(?:true|false|yes|1|admin|root|off|none|null|approved)\b",
            ),
        ),
        "exfiltration": (
            1.0,
            (
                r"!\[[^\]\n]{0,200}\]\(\s{0,4}https?://[^)\s]{0,500}[?=&{\[$]",
                r"https?://[^\s)\"']{1,300}(?:\{|\[|<|%7b|\$\{|=\.\.\.|=data|=secret|=prompt|=chat|=conversation"
                "|=history)",
                r"<(?:script|iframe|img|object|embed|form)\b[^>]{0,300}>|javascript:|data:text/html|on(?:error|load"
                r"|click)\s{0,4}=",
            ),
        ),
        "placeholder": (
            0.5,
            (
                r"\{\{?[a-z_ ]{2,40}\}\}?|\[(?:insert|your|user|question|prompt|input|topic|query|describe|answer"
                r"|response|text)[^\]\n]{0,60}\]|<(?:insert|text|name|question|prompt|topic|your|user"
                r"|answer)[^>\n]{0,40}>|\[(?:🔓|🔒|jailbreak|classic|gpt|dan|normal|aim)[^\]\n]{0,30}\]|(?:^"
                r"|\n)\W{0,6}(?:dan|gpt|chatgpt|jailbreak|classic|aim|oppo|developer mode output)\W{0,4}:",
            ),
        ),
        "variables": (
            0.5,
            (
                r"(?:^|[\s;({])\$?[a-z]\w{0,12}\s{0,3}=\s{0,3}[\"'][^\"'\n]{1,200}[\"']",
                r"[\"'][^\"'\n]{1,80}[\"']\s{0,3}\+\s{0,3}[\"'\w]",
                r"(?:^|\n)\s{0,4}(?:def |print\(|import |function |var |let |const |return )",
            ),
        ),
    }
)
