"""The error of an action that people ask for and that is not carried out."""

from __future__ import annotations


class Refused(RuntimeError):
    """The action was not carried out; the message says what is missing."""
