"""Doses that come from elsewhere, checked for values that no dose has."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.errors import CaseError, CaseWarning

# No external beam plan comes near it; a dose in cGy passes it everywhere.
HIGHEST_GY = 1000.0
# Resampling with splines undershoots by about this part of the maximum; what is further below 0 is no dose.
UNDERSHOOT = 0.02


def checked_dose(dose_gy: NDArray[Any], where: str) -> NDArray[np.float32]:
    """The dose as float32, values slightly below 0 raised to it with a CaseWarning.

    Raises CaseError, naming `where`, for values that are no number, too large for Gy, or clearly negative.
    """
    dose = dose_gy.astype(np.float32, copy=False)
    low, high = float(dose.min()), float(dose.max())  # NaN and infinity come through both
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CaseError(f"{where} has {np.count_nonzero(~np.isfinite(dose))} voxels that are no number; export it again.")
    if high > HIGHEST_GY:
        raise CaseError(f"{where} reaches {high:g} Gy, which no plan does; give it in Gy (a dose in cGy is a hundred times too large).")
    if low >= 0:
        return dose
    if -low > UNDERSHOOT * high:
        raise CaseError(f"{where} has negative doses, down to {low:g} Gy; give a dose, not a difference of doses.")
    warnings.warn(f"{where} has doses slightly below 0, down to {low:.2g} Gy, as resampling leaves; taken as 0.", CaseWarning, stacklevel=3)
    return np.maximum(dose, np.float32(0))
