"""Which errors are the user's to mend, and the sentence for each."""

from __future__ import annotations


def is_deliberate(error: BaseException) -> bool:
    """True for an error that this package raises on purpose (CaseError, ModelError, OutputError, ...); its text is a sentence for the user."""
    return type(error).__module__.partition(".")[0] == "dose_prediction"


def sentence_for(error: BaseException) -> str | None:
    """The sentence that tells a user what went wrong and what to do; None for an error that nobody foresaw."""
    if is_deliberate(error):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the second is torch's, which may not be imported here
        return "There was not enough memory; close other programs, crop the CT to the body, or run on the CPU."
    return None
