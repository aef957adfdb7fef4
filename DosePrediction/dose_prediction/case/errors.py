"""The one error that tells a user that an input cannot be planned."""


class CaseError(ValueError):
    """An input is unfit for planning.  The message names the value found and what to do about it."""
