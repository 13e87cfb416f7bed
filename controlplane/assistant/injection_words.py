"""The vocabulary of the injection rules: what one does to orders, which orders, roles, limits, kinds of content, harm.

Rules: alternatives of `safety_text.rule_text` words without anchors; the rules say what must stand near what.
"""

DROP = (
    "(?:ignor(?:e|es|ed|ing)|disregard(?:s|ed|ing)?|forget|forgets|forgetting|overrid(?:e|es|ing)|overrule"
    "|overwrite|bypass(?:es|ing)?|circumvent|neglect|discard"
    "|omit|dismiss|skip(?: over)?|drop|abandon|put aside|set aside|throw (?:away|out)|do not (?:follow|obey"
    "|listen to|adhere to|comply with|apply|use|pay attention to)"
    "|pay no (?:attention|heed)(?: to)?|stop (?:following|obeying|using)|no longer (?:follow|obey|need to follow"
    "|bound)|never mind|delete|erase|wipe|clear|cancel|unlearn|remove|let go of|replace|supersed(?:e|es)|suspend"
    "|violate|break|turn off|disable|deactivate|switch off|free yourself from|liberate yourself from)"
)
OLD = (
    "(?:previous(?:ly)?|prior|above|earlier|preceding|initial|original|existing|current|former|foregoing"
    "|aforementioned|past|old|system|default|given|pre ?programmed|usual|normal|standard|all(?: of)?(?: the)?"
    "|any(?: and all)?|every|your|openai s?|these|those|other)"
)
ORDERS = (
    r"(?:instructions?|instruct\w*|prompts?|directions?|directives?|commands?|guidelines?|guidance|rules?"
    "|restrictions?|constraints?|polic(?:y|ies)|programming"
    r"|training|system (?:message|prompt)|messages? above|context|content polic\w+|safeguards?|safety|filters?"
    r"|limitations?|protocols?|principles|ethics|ethical \w+|moral\w*"
    "|conversations?|everything|orders|boundaries|guard ?rails?|censorship|configuration|tasks?"
    "|what(?:ever)? (?:i|you) (?:said|were told|have been told))"
)
LEAK = (
    "(?:reveal|show|print|repeat|output|display|tell|give|leak|disclose|share|recite|copy|write|dump|summari[sz]e"
    "|translate|paraphrase|list|quote|echo|expose|return|spell|describe|send|provide|read|state|encode|say|type"
    "|paste|publish|confess|divulge|what (?:is|are|was|were|does|do)|know)"
)
SYSTEM_TEXT = (
    "(?:(?:system|initial|original|hidden|secret|developer|internal|full|entire|exact|base|starting|pre|first"
    r"|underlying|configured|confidential) (?:\w+ )?(?:prompts?|instructions?|messages?|directives?|rules"
    "|guidelines|configuration|polic(?:y|ies)|text|context|programming|settings|commands?)"
    r"|your (?:\w+ ){0,2}(?:prompts?|instructions?|directives?|programming|guidelines|system message"
    "|initial message|configuration|developer message|hidden rules|rules|context window|pre ?prompt)"
    "|(?:text|words|everything|prompt|instructions|message|content|lines|sentences|conversation) (?:written "
    "|that (?:is|came|comes|appears?) |given )?(?:above|before this|prior to this|preceding this)|the (?:prompt"
    "|system prompt|above (?:text|prompt|instructions)|instructions (?:you|above|given to you|that you)"
    "|rules (?:you|given to you|that you)))"
)
ROLE = (
    r"act(?:ing)? (?:as|like) (?:a|an|the|if|my|though|[a-z]+gpt|dan|chatgpt)\b|act as \w+"
    r"|pretend(?:ing)? (?:to be|that (?:you|i)|you|we|as if|like)|role ?play\w*|\brp as\b"
    "|(?:take|taking) (?:on|over) the (?:role|persona|identity|personality|character)|play(?:ing)? the (?:role"
    "|part|character)|assume the (?:role|identity|persona|personality)|(?:behave|respond|answer|reply|speak|write"
    "|talk|think|operate|function|work|present yourself) (?:as|like) (?:if|though|a|an|the|you|he|she|[a-z]*gpt"
    r"|dan)\b"
    "|you (?:are|will be|shall be|must be|re) (?:now|going to (?:be|act|pretend|play|simulate|respond|behave"
    "|answer|roleplay)|no longer|playing|about to (?:immerse|be|become|act|play)|from now)"
    "|you will (?:now )?(?:act|play|be acting|pretend|simulate|behave|become|respond as|answer as|assume"
    "|impersonate|emulate|take on)"
    r"|(?:from|starting) (?:now|this point|here)(?: on(?:ward|wards)?)? (?:\w+ ){0,3}(?:you|your|act|pretend"
    r"|respond|answer|always|every|refer|call|all|respond)|simulat(?:e|ing) (?:a|an|the|being|how|\w+gpt|dan)"
    r"|impersonate (?:a|an|the|\w+gpt)|emulate (?:a|an|the)|imagine (?:a world where you|yourself)"
    "|imitat(?:e|ing) (?:a|an|the|my)"
    "|(?:become|be) (?:the character|my (?:girlfriend|boyfriend|dungeon master|slave|assistant|evil"
    "|friend named))|your (?:new )?(?:name|identity|role|persona|character|personality|job|task|goal|purpose"
    r"|mission) (?:is|will be|has) (?:now )?|enter (?:\w+ ){0,3}mode\b|switch (?:to|into) (?:\w+ ){0,3}mode"
    r"|(?:enable|activate|turn on|unlock) (?:\w+ ){0,3}mode|(?:in|into) the (?:role|character|persona) of"
    r"|speak(?:ing)? from the perspective|personas?\b|stay in (?:the )?character|break(?:ing)? character"
    "|in character|alter ?ego|opposite (?:mode|day|personality)"
)
LIMITS = (
    "(?:restrictions?|limit(?:s|ations?)?|filters?|censorship|rules|guidelines|boundaries|constraints|morals?"
    r"|morality|ethics|ethical (?:\w+ ){0,2}(?:guidelines|code|constraints|concerns|principles|boundaries"
    r"|considerations)|disclaimers?|inhibitions?|content polic\w+|polic(?:y|ies)|safeguards?|principles|scruples"
    r"|taboos?|moral (?:\w+ ){0,2}(?:compass|code|principles|guidelines))"
)
CONTENT = (
    "(?:stor(?:y|ies)|poems?|songs?|rap|lyrics|essays?|articles?|blogs?(?: posts?)?|tutorials?|guides?|manuals?"
    r"|scripts?|screenplays?|novels?|tweets?|twitter \w+|posts?|speech(?:es)?|dialogues?|scenes?|plays?|letters?"
    "|codes?|programs?|functions?|captions?|ads?|advertisements?|campaigns?|pamphlets?|flyers?|limericks?|haikus?"
    "|jokes?|recipes?|lists?|plans?|strateg(?:y|ies)|instructions|steps?|outlines?|reports?|reviews?|petitions?"
    "|text|paragraphs?|sentences?|messages?|e ?mails?|scams?|schemes?|virus(?:es)?|malware|software|app"
    r"|application|websites?|conversations?|narratives?|descriptions?|character|fan ?fic\w*|justifications?"
    "|arguments?|propaganda|manifesto|presentation|summary|chapters?|excerpts?)"
)
HARM = (
    "bombs?|explosives?|grenades?|molotov|pipe ?bomb|weapons?(?! insurance)|firearms?|ghost guns?|ammunition"
    "|poison(?:s|ing|ous)?|nerve gas|ricin|anthrax|bio ?weapons?|chemical weapons?|nuclear|meth(?:amphetamine)?"
    "|cocaine|heroin|fentanyl|lsd|narcotics|illegal drugs?|make drugs|drug dealer"
    "|malware|ransomware|trojan|key ?loggers?|spyware|botnet|ddos|rootkit|exploit code|hack(?:ing)? into"
    r"|sql injection|crypto ?jacking|backdoor|password crack\w*|brute ?force"
    r"|genocid\w*|holocaust|ethnic cleansing|hitler|nazi\w*|white suprem\w*|kkk|racis[tm]\w*|sexis[tm]\w*"
    r"|homophob\w*|misogyn\w*|xenophob\w*|hate speech|hate crime|slurs?|terroris[tm]\w*|isis|mass shooting"
    r"|school shooting|massacre|lynch\w*"
    r"|child porn\w*|cp\b|underage|minors?|pedophil\w*|paedophil\w*|incest|bestiality|zoophil\w*|necrophil\w*|rape"
    r"|non consensual|erotic\w*|porn\w*|nsfw|smut|sexual\w*|explicit (?:content|sex\w*|scene|material)|orgy|fetish"
    r"|kink\w*"
    r"|murder\w*|kill (?:someone|people|him|her|a|my)|assassinat\w*|torture\w*|cannibal\w*|dismember\w*|behead\w*"
    r"|gore|graphic violence|suicid\w*|self harm|anorexia|bulimia|eating disorder|cyber ?bully\w*|harass (?:a"
    r"|someone|people)|stalk(?:ing)? (?:a|someone)|blackmail\w*|extort\w*|kidnap\w*|human traffick\w*|deep ?fakes?"
    "|revenge porn"
    "|phishing (?:e ?mail|page|site|campaign|attack)|ponzi|pyramid scheme|insider trading|launder(?:ing)? money"
    "|money laundering|tax evasion|evade taxes|counterfeit|forge(?:d|ry)?|fake (?:news|id|passport|charity"
    "|invoices?|reviews?|money|documents|evidence)|identity theft|steal (?:from|someone|a|cars?|money|electronics"
    r"|credit|identit\w+)|rob a|credit card (?:fraud|numbers? generator)|embezzl\w*|bribe\w*|illegal(?:ly)?"
    "|unethical|immoral|unlawful|criminal|crimes?|fraudulent|scam(?:s|ming)? (?:people|elderly|users|victims)"
    r"|defamat\w*|disinformation|misinformation|mis ?lead\w*|conspiracy|propaganda|manipulat\w*|discriminat\w*"
    r"|stereotyp\w*|cheat(?:ing)? on|plagiari\w*|pirat(?:e|ed|ing) (?:software|movies|music)|dump(?:ing)? (?:toxic"
    r"|hazardous|medical)|5g|vaccines? cause|flat earth|earth is flat|voodoo|shoplift\w*|vandali\w*|graffiti"
    r"|jailbreak|doxx?\w*|harmful|dangerous|obscen\w*|profan\w*|curs(?:e|ing) words?|swear\w*|vulgar|offensive"
    "|violen(?:t|ce)|toxic|controversial|inappropriate|drugs?"
)
GRAVE = (
    "bombs?|explosives?|grenades?|molotov|chemical weapons?|bio(?:logical)? ?weapons?|nerve gas|ghost guns?"
    "|weapons?|meth(?:amphetamine)?|cocaine|heroin|fentanyl|illegal drugs"
    "|malware|ransomware|trojan|key ?loggers?|spyware|botnet|ddos|(?:computer |a )virus|crack passwords?"
    r"|hack into|cryptojack\w*"
    r"|genocide|holocaust|ethnic cleansing|hitler|nazi\w*|white suprem\w*|racist|sexist|homophobic|hate speech"
    r"|terroris[tm]\w*|mass shooting|school shooting|shoot up"
    r"|child porn\w*|pedophil\w*|paedophil\w*|bestiality|rape|porn\w*|murder|kill (?:someone|people|as many"
    r"|a person)|assassinat\w*|torture|cannibal\w*|human traffick\w*|enslave|slavery"
    r"|phishing (?:e ?mail|page|site|campaign)|ponzi scheme|insider trading|evade tax\w*|tax evasion|fake (?:news"
    "|passports?|ids?|charity|invoices?|reviews?|money)|deepfakes?|disinformation|self harm"
    "|suicide(?! (?:prevention|hotline))|anorexia|bulimia"
)
HARMFUL_TASK = (
    "(?:write|create|make|making|build|building|give|provide|explain|describe|develop|draft|compose|generate"
    "|design|teach|show|list|outline|tell|help|how to|how can i|how do i|instructions|tutorial|guide|advice"
    "|suggest|plan|produce|encourage|promote|convince|persuade|justify|argue|plan|devise|offer|start|write me"
    "|sell|buy)"
)
