"""The written rules of the safety screen: regular expressions over `safety_text.rule_text` (lower case, contractions
written out, "." between sentences, no other punctuation).

Rules
- A rule sends a conversation to a person, so in doubt it fires; but not on everyday questions about cards, PINs, addresses,
  a lost or stolen card that nobody used, or a payment that merely failed. What the two weigh against each other is
  measured by `make bench` (names: safety).
- Rules name things a customer can mean (who, did what, to what) and let a few words stand between; they do not list lines.
- The first route whose rule matches names the hand-over; routes are in the order of precedence.
"""

from collections.abc import Mapping
from types import MappingProxyType

from controlplane.assistant.model import SafetyRoute
from controlplane.assistant.safety_rules_abuse import ABUSE_RULES
from controlplane.assistant.safety_rules_fraud import FRAUD_RULES
from controlplane.assistant.safety_text import gap

_DEBT = (
    "(?:loans?|debts?|overdrafts?|(?:re)?payments?|instal?lments?|arrears|bills?|mortgage|rent|balance|what i owe"
    "|it back|minimum|credit cards?)"
)
_ROADS = r"(?:road|street|lane|house|drive|avenue|yard|close|st|rd|ave|place)"
_LEGAL = (
    rf"\b(?:lawyers?|solicitors?|attorneys?|barristers?)\b(?! {_ROADS}\b)|\blaw ?suits?\b|\blitigat\w*"
    r"|\bsubpoena\w*|\bsummons\b|\blaw firms?\b|\blegal (?:aid|counsel|representation)\b",
    r"\b(?:will|to|shall|could|can|should|would|might|may|going to) sue\b|\bsuing\b|\bsued\b|\bclass action\b"
    r"|\bpress(?:ing)? charges\b|\bcriminal charges\b",
    r"\bsmall claims\b|\b(?:before|in front of) (?:a|the) judge\b|\b(?:broke|broken|breaking) (?:\w+ ){0,3}(?:contract"
    r"|agreement)\b|\bhold (?:you|the bank|them|your \w+) (?:\w+ )?(?:responsible|accountable)\b",
    r"\blegal(?:ly)? (?:action|steps|advice|department|team|proceedings|claims?|disputes?|matters?|notice|rights?"
    r"|letter|responsib\w+|bound|binding|obligat\w+|threat\w*|fees|recourse|remed\w+|documents?|demand)\b"
    r"|\btake (?:this|it|you|them) (?:further|to court|legal)\b",
    r"\b(?:in|to|the|a|small claims|county|through the|from a|by|bankruptcy|federal|district|into"
    rf"|of) courts?\b(?! {_ROADS}\b)(?! (?:of|for) (?:tennis|basketball))|\btribunals?\b|\bcourt (?:order|case|date"
    r"|hearing|room|judg\w+|papers|action)\b|\bsee you in court\b|\bjudge?ments? (?:against|was|from)\b"
    r"|\barbitrat\w+|\bjudge ruled\b",
    r"\bombuds?man\b|\bregulators?\b|\bfca\b|\bfinancial conduct\b|\btrading standards\b|\bcfpb\b"
    r"|\bconsumer financial protection\b|\bbetter business bureau\b|\bbbb\b|\bftc\b|\bfederal trade\b|\bocc\b"
    r"|\bfdic\b|\bconsumer affairs\b|\bbanking (?:commission|authority|department)\b",
    r"\bconsumer (?:protection|credit act|rights)\b|\b(?:fcra|fdcpa|tila|respa|ecoa|fair credit|fair debt"
    "|truth in lending|reg(?:ulation)? [ez]|electronic funds? transfer act|financial services act|section 75|usc"
    r"|u s c|statut\w+)\b",
    r"\bgdpr\b|\bsubject access\b|\bdata (?:protection|breach)\b|\bprivacy (?:laws?|rights?|violations?|act"
    r"|breach)\b|\bright to be forgotten\b",
    r"\billegal\w*|\bunlawful\w*|\bagainst the law\b|\b(?:broke|breaking|break|violat\w+|under|required by"
    r"|according to|by) (?:the |federal |state |your own |applicable )?laws?\b|\bbreach(?:es|ing)? (?:of|your|the"
    r"|my|our|in)\b|\bin breach\b|\bbreach\b|\bviolat(?:e|es|ed|ing|ions?|or)\b|\bcriminal(?:ly)? (?:act"
    r"|offen[cs]e|complaint|investigation|liable|activit\w+)\b|\bpolice (?:report|complaint|case|station"
    r"|officer)\b|\b(?:report(?:ed|ing)?|go(?:ing)?|call(?:ed|ing)?|contact\w*|went|told|tell|inform\w*"
    r"|notif\w*) (?:\w+ ){0,3}(?:to )?the police\b|\bfiled a police\b",
    r"\bliab(?:le|ility)\b|\bnegligen\w*|\bdiscriminat\w*|\bpredatory\b|\busur(?:y|ious)\b|\bmisrepresent\w*"
    r"|\bdeceptive\w*|\bdefam\w+|\blibel\w*|\bmalpractice\b|\bbad faith\b|\bunfair (?:practices?|treatment|trading"
    r"|business)\b",
    r"\b(?:formal|official|written|serious|legal|customer|consumer) (?:complaints?|compliant|claims?|reclamations?"
    r"|grievances?)\b|\bcomplain(?:t|ing)? (?:formally|officially)\b|\bformal(?:ly)? complain\w*|\bformal letter\b"
    r"|\bcease and desist\b|\bdemand letter\b",
    r"\b(?:lodg|fil|rais|submit|register|mak|put|open|escalat|writ|bring|send|enter)(?:e|es|ed|ing|t"
    "|ting)?(?: in)?(?: (?:a|an|my|the|this|another|our|some|yet another))?(?: [a-z]+)? (?:complaints?|compliant"
    r"|reclamations?|grievances?)\b",
    r"\b(?:lodg|fil|rais|submit|register|mak|bring)(?:e|es|ed|ing|t|ting)?(?: (?:a|an|my|the|this"
    "|another))?(?: (?:customer|consumer|formal|small|court))? claims?(?: (?:against|for (?:damages"
    r"|compensation))|$| \.)",
    r"\bcomplaints? (?:procedures?|department|team|process|against|about (?:you|your|the bank|how|one|an|a member)"
    r"|handling|to (?:the|your))\b|\bclaims? against (?:you|your|ur|the|this) (?:company|business|organi[sz]ation"
    r"|bank)\b|\bi (?:want|wish|would like|need|have) to complain\b(?! less)|\bcomplain(?:ing)? (?:about|against|to) (?:you"
    r"|your|the (?:bank|regulator|company|manager|staff|way|service)|a member|an employee)\b",
    r"\bprobate\b|\bexecutor\w*|\bexecutrix\b|\bpower of attorney\b|\bpassed away\b|\bdeceased\b|\blate (?:husband"
    r"|wife|mother|father|mum|mom|dad|partner|parents?|brother|sister|son|daughter|aunt|uncle|grand\w+) (?:s |had"
    r"|account|estate|card)|\b(?:administrator|estate) of\b(?: \w+){0,3} (?:estate|late|deceased)\b|\bbereave\w*"
    r"|\bdeath certificate\b",
    r"\b(?:mother|father|husband|wife|mum|mom|dad|partner|parents?|brother|sister|son|daughter|aunt|uncle"
    r"|grand(?:mother|father|ma|pa)|spouse)(?: \w+){0,2} died\b"
    r"|(?<!battery )(?<!phone )(?<!car )(?<!laptop )(?<!it )(?<!card )(?<!app )(?<!machine )(?<!reader )(?<!terminal )"
    r"(?<!computer )(?<!tablet )\bdied (?:last|this|on|in|recently|yesterday)\b",
    r"\b(?:claim|want|demand|demanding|seek|seeking|owed?|claiming|sue|entitled to|expect)(?: \w+){0,2} (?:damages"
    r"|redress)\b|\b(?:claim|demand|seek|sue for|owed|entitled to|expect|want)(?:ing)? (?:full |financial "
    r"|some )?compensation\b(?! scheme)|\bfor damages\b|\b(?:punitive|statutory|actual) damages\b|\bcompensat(?:e|ed) (?:me"
    r"|us|for)\b",
)
_FINANCIAL_DISPUTE = (
    r"\b(?:charged|billed|debited|paying|pay|pulled|pull|take|took|taking)\b(?: [^ .]{1,40}){0,6} for (?:a|the|my"
    r"|an) (?:\w+ ){1,3}(?:that |which )?i (?:have |had )?(?:already )?(?:cancel\w*|return\w*|quit|ended)\b",
    r"\b(?:goods|items?|products?|things?|parcel|package|tickets?|furniture|phone|laptop)(?: \w+){0,2} i (?:paid"
    r"|bought|ordered|purchased)\b(?: [^ .]{1,40}){0,6} (?:never|not) (?:came|come|arrived?|delivered|shipped"
    r"|turned up|showed up)\b|\bhelped (?:itself|themselves|himself|herself) to\b",
    r"(?<!i )(?<!i have )\b(?:charged|took|billed|typed|debited|entered|deducted"
    r"|withdrew)\b(?: [^ .]{1,40}){1,4} instead of\b",
    r"\bdisput\w*|\bcharge ?backs?\b|\bcontest(?:ed|ing)? (?:a|the|this|that|these|my)\b|\bclaw(?:ed)? (?:it"
    r"|the money) back\b|\bdisagree with (?:a|the|this|that|my|these) (?:\w+ )?(?:charge|fee|bill|balance|amount"
    "|decision|debit|payment)",
    rf"\b(?:charg\w+|billed|debited|deducted|paid|took|taken|paying|withdrawn|withdrew|pay)\b{gap(8)}(?:twice"
    "|two times|2 times|three times|double(?! check)|again and again|multiple times|several times|many times"
    r"|repeatedly|too much|more than (?:once|i should|it should|what i|the))\b",
    r"\b(?:being |been |was |got )?(?:charged|billed|debited) (?:me )?again\b|\b(?:shows?|showed|showing|appear\w*"
    r"|post(?:ed|ing|s)?|listed|processed|went through|put through|made) (?:up |as )?(?:on my \w+ )?(?:twice|two"
    r"|double|multiple|more than once)\b(?! (?:factor|days|weeks|hours|cards|options))",
    r"\b(?:twice|double(?! check)|doubled|duplicat\w+|repeat(?:ed)?|more than once"
    rf"|over and over)\b{gap(4)}(?:charg\w+|billed|debit\w*|payments?|transactions?|purchases?"
    r"|withdrawals?)\b(?! (?:limit|be declined))",
    r"\b(?:charges?|transactions?|payments?|purchases?|debits?|withdrawals?|items?)\b(?: (?!tr(?:y|ied|ying)"
    "|attempt|declin|fail|reject|work|refus)[^ .]{1,40}){0,5} (?:twice|duplicated?|doubled?|two times|2 times"
    r"|multiple times|several times|many times|more than once|over and over)\b(?! a (?:week|month|day|year))",
    r"\b(?:over ?charg\w*|overbill\w*|(?:double|duplicate|repeat|repeated|second|multiple) (?:charge[sd]?"
    r"|payments?|debits?|billing|billed|transactions?|debited))\b|\bto+ many (?:charges|transactions)\b",
    r"\bcharg\w*(?: me)? (?:wrongly|wrongfully|by mistake|in error|incorrectly|unfairly|erroneously|improperly)\b"
    r"|\b(?:wrongful|erroneous|unfair|improper|incorrect|wrong)(?:ly)? (?:\w+ )?(?:charge[sd]?|fees?|bill(?:ed)?"
    r"|debited|deducted|repossess\w*|reported|reporting|denied)\b",
    r"\b(?:wrong|incorrect|different|less|lesser|short) (?:\w+ )?(?:amounts?|cash|money|sum)\b(?: \w+){0,8} (?:atm"
    r"|cash ?machine|machine|charged?|statement|withdr\w+|dispensed|received|gave|billed|debited|taken)\b|\b(?:atm"
    r"|cash ?machine|machine)\b(?: \w+){0,10} (?:(?:wrong|incorrect|different) (?:amount|cash|money|sum)|less"
    r"|short|only gave|only dispensed|did not (?:give|dispense)(?: \w+){0,4} (?:cash|money|amount|all|right"
    r"|correct|enough)|too little)\b|\bshort ?changed\b|\b(?:wrong|incorrect) (?:amount|charge)\b(?! (?:to|into"
    "|by accident|i (?:sent|transferred|typed|entered)))",
    r"\b(?:took|charge[sd]?|charging|bill(?:s|ed|ing)?|debit(?:s|ed|ing)?|takes?|taking"
    rf"|renewed)\b{gap(14)}(?:after|though|since|when|but|despite|even though) (?:i|we|having|it was|it is|my"
    r"|the) (?:have |had |already |has |been |was |subscription |membership |\w+ )?(?:cancel\w*|quit|end(?:ed)?"
    r"|stopp\w*|terminat\w*|return\w*|unsubscrib\w*|clos\w*)",
    rf"\b(?:cancel\w*|terminat\w*|unsubscrib\w*|return(?:ed)?)\b{gap(14, True)}(?:still|keep|keeps|kept"
    r"|continue[sd]?|again) (?:\w+ ){0,2}(?:charg\w+|bill\w*|debit\w*|tak(?:e|es|ing|en)|took|pull(?:s|ed|ing)?"
    r"|being charged)\b",
    r"\bdebt (?:collect\w*|validation|is not mine|buyer|settlement|relief)\b|\bbailiffs?\b|\bcollect(?:ion|ions|or"
    r"|ors) (?:team|agenc\w+|department|compan\w+|agents?|calls?|letters?|account|law)\b|\b(?:sent|sold|went|gone"
    r"|in|into|to|with|from|turned over to) collections?\b|\bcollectors?\b|\bcharged? off\b|\bcharge offs?\b"
    r"|\bwrite off\b|\bwritten off\b|\bcreditors?\b|\bcollect(?:ing)? (?:a|the|this|on a|on) debt\b",
    r"\bcredit (?:file|bureaus?|reporting|reports?|history|score|rating|agenc\w+"
    r"|reference)\b(?: [^ ]{1,40}){0,20} (?:wrong|incorrect|inaccura\w+|error|errors|mistake|remove[d]?|removal"
    r"|delet\w+|fixed|corrected|damag\w+|hurt\w*|ruin\w*|drop(?:ped)?|false|affected|update[d]?|negative"
    r"|derogatory|late|destroy\w*|lower\w*|unfair|harm\w*|plummet\w*|decreas\w*|fell|mess|investigat\w+|verif\w+"
    r"|unverif\w+)\b",
    r"\b(?:wrong|incorrect|inaccura\w+|errors?|mistakes?|remov\w+|delet\w+|false\w*|late|negative|derogatory"
    r"|unverif\w+|correct(?:ed|ion)|reported|investigat\w+|hurting|ruined|ruin\w*|damag\w+|hard|dropp?ed|lower\w*"
    r"|downgraded|verif\w+)\b(?: [^ ]{1,40}){0,12} (?:credit (?:file|reports?|bureaus?|reporting|history|score"
    r"|rating|profile)|bureaus?|fico)\b",
    r"\b(?:equifax|experian|trans ?union|credit bureaus?)\b|\bhard (?:inquir\w+|pulls?|credit)\b"
    r"|\bcredit inquir\w+|\bderogatory\b|\bdelinquen\w+|\bdefault(?:ed)? (?:notice|on)\b|\bnotice of default\b"
    r"|\bbankrupt\w*|\binsolven\w*|\b(?:iva|debt management plan|chapter (?:7|11|13|xxxx))\b"
    r"|\bunverified account\b",
    r"\b(?:can not|could not|unable to|struggl\w+(?: to| with)?|not able to|no longer|hard time|trouble"
    r"|difficult\w*|cannot afford|not be able to|afford)(?: [^ .]{1,40}){0,3} (?:pay(?:ing)?(?! (?:by|with"
    "|in (?:a|the) (?:shop|store|restaurant)|at|contactless|online|using|for (?:my|a|the) (?:taxi|meal|lunch"
    "|coffee)))|repay(?:ing)?|afford|keep(?:ing)? up|mak(?:e|ing)(?= (?:my|the|this|our|ends|payments any))"
    rf"|meet(?:ing)?|manag(?:e|ing)|cover(?:ing)?|catch(?:ing)? up|higher)\b(?: \w+){{0,4}} {_DEBT}\b(?! (?:with|by"
    "|in|at|online|contactless|abroad|for (?:my|a|the) (?:taxi|meal|online)|methods?|options?|page))",
    r"\b(?:financial(?:ly)?|economic|money) (?:\w+ )?(?:difficult\w*|hardships?|troubles?|problems?|struggl\w+"
    r"|distress|crisis|strain|abuse|worries)\b|\bhardship\b|\bf[ae]ll(?:en|ing)? behind\b|\bin arrears\b"
    r"|\bbehind (?:on|with|in) (?:\w+ ){0,3}(?:payments?|bills?|mortgage|rent|loan)\b|\bpast due\b|\bforbearance\b"
    r"|\bmissed (?:\w+ ){0,3}payments?\b|\blost my (?:job|income)\b|\blaid off\b|\bunemployed\b|\bgambling\b",
    r"\bforeclos\w*|\brepossess\w*|\brepo(?:ed|d)?\b|\bgarnish\w*|\blien\b|\bevict\w*|\bloan modification\b"
    r"|\bloss mitigation\b|\bshort sale\b|\bescrow\b(?: \w+){0,8} (?:shortage|wrong|error|increase[d]?)",
    r"\b(?:do|did|does) not owe\b|\bdebts? (?:is|was|are|were|that is|does)(?: \w+)? not (?:mine|ours|my|belong"
    r"|valid|owed)\b|\bnot my debt\b|\bnever owed\b|\b(?:prove|proof|validate|verify|verification of"
    r"|validation of) (?:\w+ ){0,3}debt\b|\balready paid\b(?: \w+){0,6} (?:loan|debt|bill|balance|collect\w+"
    r"|account|off|in full)|\bpaid in full\b",
    r"\b(?:merchant|seller|shop|store|company|vendor|airline|hotel|retailer|they|landlord|contractor"
    r"|dealer\w*)\b(?: [^ .]{1,40}){0,4} (?:refus\w+|will not|would not|denied|den(?:y|ies)|does not want"
    r"|never) (?:\w+ ){0,3}(?:refund\w*|return(?:ed)? (?:my|the) money|reimburs\w+|give (?:me )?(?:my|the) money"
    r"|pay me back|credit me)\b",
    r"\b(?:never|not)(?: \w+)? (?:received?|delivered|arrived|got|get|shipped"
    r"|came)\b(?: [^ ]{1,40}){0,20} (?:refund\w*|money back|reimburs\w+"
    r"|credited?)\b(?: [^ ]{1,40}){0,12} (?:merchant|seller|refus\w+|den(?:y|ied)|closed|investigat\w+|resolv\w+"
    r"|claim)\b|\bdefective\b|\bnot as described\b",
    r"\b(?:den(?:y|ied|ying)|reject\w*|clos(?:ed|ing)|refus\w*|declin\w+|lost|revers\w+)\b(?: \w+){0,3} (?:my "
    r"|the |our )(?:\w+ )?(?:claims?|refund|case|appeal|reimbursement|credit request)\b|\b(?:my|the"
    r"|our) (?:\w+ )?(?:claim|refund request|case|appeal) (?:was|got|has been|is|were) (?:\w+ )?(?:denied|rejected"
    r"|closed|refused|declined)\b|\bprovisional credit\b|\btemporary credit\b",
    r"\b(?:return|give|want|get|refund|need|give me"
    r"|demand) (?:me )?(?:back )?(?:all )?(?:of )?my (?:\w+ )?money (?:back )?(?:now|immediately|today|or else"
    r"|at once)\b",
)

ROUTE_RULES: Mapping[SafetyRoute, tuple[str, ...]] = MappingProxyType(
    {
        SafetyRoute.HARASSMENT: ABUSE_RULES,
        SafetyRoute.FRAUD: FRAUD_RULES,
        SafetyRoute.LEGAL: _LEGAL,
        SafetyRoute.FINANCIAL_DISPUTE: _FINANCIAL_DISPUTE,
    }
)
