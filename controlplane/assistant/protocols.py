"""What the assistant needs from outside, and what it offers: small one-purpose interfaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controlplane.assistant.model import ConversationState, IntentPrediction, Message, Passage, Reply


class Responder(Protocol):
    """Whatever answers customers: the assistant or the menu it replaces."""

    def respond(self, state: ConversationState, message: Message) -> tuple[ConversationState, Reply]:
        """Answers one message; the caller keeps the returned state for the conversation's next message."""
        ...


class Classifier(Protocol):
    """Says what a text is about, with calibrated probabilities."""

    def predict(self, text: str) -> IntentPrediction:
        """Classifies one text of any length, empty included."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a generator may use. `key` is the interaction id: all a generator's chance is a stable hash of it."""

    key: str
    system: str
    question: str
    passages: Sequence[Passage]


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer and its use of the model. `tokens_in` includes `tokens_cached`."""

    text: str
    sources: tuple[str, ...]
    model: str
    tokens_in: int
    tokens_cached: int
    tokens_out: int


class GenerationError(Exception):
    """The generator gave no answer. `error_type` is the short stable name that metrics group by."""

    def __init__(self, error_type: str, message: str, timed_out: bool = False) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.timed_out = timed_out


class Generator(Protocol):
    """Writes an answer to a question from passages."""

    @property
    def model(self) -> str:
        """The name the logs know this model by."""
        ...

    @property
    def provider(self) -> str:
        """Who runs it ("embedded" = inside this process)."""
        ...

    def generate(self, request: GenerationRequest) -> Generation:
        """Returns an answer or raises `GenerationError`; takes no longer than its own explicit time-out."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """The bank's answer to an operation; the same idempotency key always gets the same reference."""

    reference: str
    detail: str


class BankError(Exception):
    """The bank refused or could not do an operation. `error_type` is the short stable name that metrics group by."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class Bank(Protocol):
    """The bank's own system as the workflows see it. Operations are idempotent by `key`; errors are `BankError`."""

    def block_card(self, user_id: str, key: str) -> Receipt:
        """Blocks the customer's card for good."""
        ...

    def order_card(self, user_id: str, key: str) -> Receipt:
        """Sends a new card to the customer's address."""
        ...

    def order_statement(self, user_id: str, month: str, key: str) -> Receipt:
        """Puts the statement of `month` (YYYY-MM) into the customer's inbox."""
        ...

    def address_of(self, user_id: str) -> str:
        """The postal address on file."""
        ...

    def set_address(self, user_id: str, address: str, key: str) -> Receipt:
        """Replaces the postal address."""
        ...

    def send_address_letters(self, user_id: str, key: str) -> Receipt:
        """Posts the notice of an address change to the old and the new address."""
        ...
