"""What the assistant needs from outside, and what it offers: small one-purpose interfaces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from controlplane.assistant.model import ConversationState, IntentPrediction, Message, Passage, Reply

if TYPE_CHECKING:
    from datetime import datetime

    from controlplane.assistant.retrieval import Hit


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


class Retriever(Protocol):
    """Finds the passages that could answer a question."""

    def search(self, question: str, intent: IntentPrediction | None = None, limit: int = 3) -> "tuple[Hit, ...]":
        """The best passages, best first; empty if nothing fits."""
        ...


class Limiter(Protocol):
    """Bounds how often one customer is served."""

    def allow(self, user_id: str, now: "datetime") -> bool:
        """Whether this request is within the customer's limit; counts it if so."""
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


@runtime_checkable
class StreamingGenerator(Generator, Protocol):
    """A generator that can hand out its answer while it writes it."""

    def stream(self, request: GenerationRequest) -> "Iterator[str | Generation]":
        """Pieces of the answer as they come, then the whole `Generation`; raises `GenerationError` like `generate`."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """The bank's answer to an operation; the same idempotency key always gets the same reference."""

    reference: str
    detail: str


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund that a shop has sent: `amount` as text with its currency ("£45.50"), `status` sent, pending or booked."""

    merchant: str
    amount: str
    sent_on: date
    status: str


class BankError(Exception):
    """The bank refused or could not do an operation. `error_type` is the short stable name that metrics group by."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class Bank(Protocol):
    """The bank's own system as the workflows see it. Operations are idempotent by `key`; errors are `BankError`."""

    def block_card(self, user_id: str, key: str, last_four: str = "") -> Receipt:
        """Blocks the customer's card for good; refuses if `last_four` is given and is another card's."""
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

    def order_pin_reminder(self, user_id: str, key: str) -> Receipt:
        """Posts a reminder of the PIN to the address on file."""
        ...

    def refunds_of(self, user_id: str, day: date) -> tuple[Refund, ...]:
        """The customer's refunds as they stand on `day`; changes nothing."""
        ...

    def open_case(self, user_id: str, kind: str, detail: str, key: str) -> Receipt:
        """Opens a case for a person to work on; the receipt's reference is the case number."""
        ...
