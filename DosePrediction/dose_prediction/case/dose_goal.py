"""A dose that the user wants an organ kept to: what a prediction is steered by ("what if the right parotid were kept under 20 Gy?")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dose_prediction.case.errors import CaseError
from dose_prediction.case.structure import MAX_PRESCRIPTION_GY

METRICS = ("mean", "max")
_TEXT = re.compile(r"(?P<organ>\S+)\s+(?P<metric>\S+)\s*(?:<=|≤|<)\s*(?P<limit>\d+(?:\.\d+)?)\s*(?:Gy)?", re.IGNORECASE)


@dataclass(frozen=True)
class DoseGoal:
    """At most `limit_gy` Gy to `organ` (a TG-263 name): its mean dose, or its maximum, taken as D0.1cc.  Raises CaseError."""

    organ: str
    metric: str  # "mean" or "max"
    limit_gy: float

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise CaseError(f"The goal for {self.organ} has the metric {self.metric!r}; give mean or max.")
        if not 0 <= self.limit_gy <= MAX_PRESCRIPTION_GY:
            raise CaseError(f"The goal for {self.organ} is {self.limit_gy:g} Gy; give 0 to {MAX_PRESCRIPTION_GY:g} Gy.")

    def __str__(self) -> str:
        return f"{self.organ} {self.metric} <= {self.limit_gy:g} Gy"


def parse_dose_goal(text: str) -> DoseGoal:
    """A goal from text.  Raises CaseError.

    >>> parse_dose_goal("Parotid_R mean <= 20")
    DoseGoal(organ='Parotid_R', metric='mean', limit_gy=20.0)
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise CaseError(f"Goal {text!r} is not understood; write an organ, mean or max, and a dose in Gy, as in 'Parotid_R mean <= 20'.")
    return DoseGoal(found["organ"], found["metric"].lower(), float(found["limit"]))
