"""How a user is told that an input cannot be planned, or that something about it was taken on trust."""


class CaseError(ValueError):
    """An input is unfit for planning.  The message names the value found and what to do about it."""


class CaseWarning(UserWarning):
    """An input can be planned, but its user should know how it was understood.  Issued with `warnings.warn`; the message is a sentence."""
