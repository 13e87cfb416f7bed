"""What the assistant says of its own accord, and how it reads short answers to it.

Everything about the bank comes from the knowledge base or a workflow; here are only questions back, hand-overs and
courtesies, and the names of subjects as customers would call them.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from controlplane.assistant.model import EscalationReason, IntentPrediction, SafetyRoute
from controlplane.assistant.safety import AGENT_INTENT, SENSITIVE_INTENTS
from controlplane.assistant.text import normalise

OUT_OF_SCOPE = "out_of_scope"
ELSE_OPTION, AGENT_OPTION = "Something else", "Talk to an agent"

SUBJECTS: Mapping[str, str] = MappingProxyType(
    {
        "card_lost_or_stolen": "A lost or stolen card: block it, get a new one",
        "card_not_arrived": "Delivery or activation of a new card",
        "refund_status": "A refund",
        "statement_copy": "Account statements",
        "address_change": "A change of your address or details",
        "balance": "Your balance or savings interest",
        "transfer_failed": "A transfer or a declined card payment",
        "fees": "Fees: account, overdraft, abroad",
        "limits": "Limits for transfers, cash and contactless",
        "opening_hours": "Opening hours and contact",
        "pin_reset": "Your PIN or the login to the app",
    }
)
HANDOVERS: Mapping[SafetyRoute, str] = MappingProxyType(
    {
        SafetyRoute.HARASSMENT: "I am sorry this happened. A specially trained colleague will talk to you now. "
        "If you are in danger, call the emergency services.",
        SafetyRoute.FRAUD: "This may be fraud, so a colleague of the fraud team will talk to you now. "
        "Please do not share codes with anybody.",
        SafetyRoute.LEGAL: "A colleague of the complaints team will take care of this personally.",
        SafetyRoute.FINANCIAL_DISPUTE: "A colleague who can decide on disputes and payment difficulties will take over now.",
        SafetyRoute.AGENT_REQUEST: "I am connecting you with a colleague.",
    }
)
GIVING_UP: Mapping[EscalationReason, str] = MappingProxyType(
    {
        EscalationReason.LOW_CONFIDENCE: "I am not sure that I understand you, so a colleague will help you.",
        EscalationReason.OUT_OF_SCOPE: "I cannot help with that here, so a colleague will look at it.",
        EscalationReason.NO_ANSWER: "I found no answer to that, so a colleague will help you.",
        EscalationReason.FAILURE: "I cannot answer at the moment, so a colleague will help you.",
        EscalationReason.INJECTION: "I cannot help with that here, so a colleague will look at it.",
        EscalationReason.WITH_PERSON: "A colleague has this conversation and will answer you shortly.",
    }
)
DISCLOSURE = "You are chatting with Alder Bank's AI assistant, not with a person."
NOT_MY_PART = "I can only help with questions about your accounts, cards and payments."
TOO_MANY = "You have sent many messages in a short time. Please try again in a minute, or ask for an agent."
CUT_OFF = "Sorry, that answer was cut off. Here it is again."
TROUBLE = "Sorry, something went wrong on our side. Please send that again in a moment."
OTHER_WORDS = "Please tell me in other words what you need."
WHICH = "I want to get this right. Which of these is it about? Please answer with a number."
CANNOT = (
    "I am the automated assistant of Alder Bank and cannot help with that. I can help with cards, PIN, transfers, "
    "refunds, statements, fees and your details."
)
NO_WORDS = "I cannot write an answer at the moment. One of these pages may help, please answer with a number."

SMALL_TALK: Mapping[str, str] = MappingProxyType(
    {
        "greeting": "Hello! What can I do for you? I can help with cards, PIN, transfers, refunds, statements, fees and your "
        "details, and bring in a colleague whenever you ask.",
        "thanks": "You are welcome! Is there anything else that I can do for you?",
        "goodbye": "Goodbye, and thank you for your time. I am here whenever you need help.",
    }
)

# Whole messages of nothing but courtesy: one word more and the message is worked on like any other.
_HELLO = (
    r"(?:h+i+|hello+|hey+|hiya|howdy|greetings|good (?:morning|afternoon|evening|day)|morning|how are you(?: doing)?(?: today)?)"
    r"(?: (?:there|again|all|everyone|team|you))?"
)
_SOFTLY = r"(?:(?:ok|okay|oh|great|perfect|super|cool|nice|alright|all right|got it|good|no|wonderful|brilliant|that is all|all good) ){0,3}"
_THANKS = (
    r"(?:(?:many |big )?thanks|thank(?: you| u)|thx|thnx|ty|cheers|much appreciated|i appreciate it)"
    r"(?: (?:a lot|a million|so much|very much|again|(?:for|with) (?:the|your|all your) (?:help|support|time|answer)|mate|and|bye)){0,3}"
)
_BYE = (
    r"(?:good ?bye|bye+(?: bye)?|see (?:you|ya)(?: later| soon)?|take care|good night|have a (?:nice|good|great|lovely) "
    r"(?:day|evening|weekend|night|one)|cya|farewell)(?: (?:now|then|for now))?"
)
_SMALL_TALK = re.compile(
    rf"(?P<goodbye>{_SOFTLY}(?:{_THANKS} )?(?:and )?{_BYE}(?: {_BYE})?(?: {_THANKS})?|that is all(?: for (?:now|today))?)"
    rf"|(?P<thanks>{_SOFTLY}{_THANKS}(?: {_THANKS})?)"
    rf"|(?P<greeting>{_HELLO}(?: {_HELLO}){{0,2}})"
)
_LONGEST_SMALL_TALK = 80
_NOT_LETTER = re.compile(r"[^a-z']+")

_NUMBER = re.compile(r"^\W*(\d{1,2})\W*$")
_GREETING = r"(?:(?:hi|hello|hey|hiya|good \w+|please help|sorry|excuse me|so|and|ok|quick question)\b[ ,.!-]*(?:there\b[ ,.!-]*)?)*"
_INFORMATION = re.compile(
    rf"^{_GREETING}(?:how|what|when|which|where|why|until|till|who|is|are|do|does|did|will|am|tell me|any)\b"
)


def numbered(intro: str, options: Sequence[str]) -> str:
    """An introduction and its choices, one a line, counted from 1."""
    return "\n".join([intro, *(f"{i}. {option}" for i, option in enumerate(options, 1))])


def pick(offered: Sequence[str], text: str) -> str | None:
    """The offered choice that a message like "2" or "2." picks, None for any other message."""
    number = _NUMBER.match(text)
    position = int(number[1]) if number else 0
    return offered[position - 1] if 1 <= position <= len(offered) else None


def small_talk(text: str) -> str | None:
    """The key of `SMALL_TALK` that a message of nothing but a greeting, thanks or goodbye asks for; None for any other message."""
    if len(text) > _LONGEST_SMALL_TALK or any(sign.isdigit() for sign in text):
        return None
    plain = _NOT_LETTER.sub(" ", normalise(text)).replace("that's", "that is").replace("'", "").strip()
    found = _SMALL_TALK.fullmatch(plain)
    return found.lastgroup if found else None


def asks_for_information(text: str) -> bool:
    """Whether a message asks a question rather than for something to be done: then an answer, not a workflow, is due."""
    return _INFORMATION.match(normalise(text)) is not None


def candidates(prediction: IntentPrediction, limit: int = 3) -> tuple[str, ...]:
    """The likeliest subjects that a question back may offer; sensitive ones are never offered, they are routed."""
    closed = {OUT_OF_SCOPE, AGENT_INTENT, *SENSITIVE_INTENTS}
    open_intents = [intent for intent in prediction.probabilities if intent in SUBJECTS and intent not in closed]
    return tuple(sorted(open_intents, key=lambda intent: -prediction.probabilities[intent])[:limit])
