"""Dose-volume histograms and the metrics read off them (ICRU Report 83, section 3).

A structure is a boolean mask on the dose's own array; every voxel of it counts whole.  Doses are in Gy, relative volumes in percent, absolute
volumes in cc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MM3_PER_CC = 1000.0


def dose_axis(max_dose_gy: float, step_gy: float = 0.1) -> NDArray[np.float64]:
    """Doses from 0 in steps of `step_gy` to the first that is above `max_dose_gy`, so that every DVH on it ends at 0 %.

    >>> dose_axis(0.25, step_gy=0.1).round(1).tolist()
    [0.0, 0.1, 0.2, 0.3]
    """
    return np.arange(int(np.floor(max_dose_gy / step_gy)) + 2, dtype=np.float64) * step_gy


def cumulative_dvh(dose_gy: ArrayLike, mask: ArrayLike, axis_gy: ArrayLike) -> NDArray[np.float64]:
    """Percent of the structure's volume that receives at least each dose of `axis_gy`.

    Four voxels of 10, 20, 30 and 40 Gy:

    >>> cumulative_dvh([10, 20, 30, 40], [True] * 4, [0, 15, 20, 40, 50]).tolist()
    [100.0, 75.0, 75.0, 25.0, 0.0]
    """
    doses = np.sort(_doses(dose_gy, mask))
    return 100.0 * (doses.size - np.searchsorted(doses, np.asarray(axis_gy, dtype=float), side="left")) / doses.size


def dose_at_volume(dose_gy: ArrayLike, mask: ArrayLike, percent: float) -> float:
    """D(percent): the dose in Gy that `percent` of the structure's volume receives at least, interpolated linearly between voxels.

    D100% is the smallest voxel dose and D0% the largest.  In eleven voxels of 0, 1, ..., 10 Gy, half of the volume receives at least 5 Gy:

    >>> dose_at_volume(range(11), [True] * 11, 50), dose_at_volume(range(11), [True] * 11, 95)
    (5.0, 0.5)
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"Volume is {percent} %; give 0 to 100.")
    return float(np.percentile(_doses(dose_gy, mask), 100.0 - percent))


def dose_at_absolute_volume(dose_gy: ArrayLike, mask: ArrayLike, volume: float, voxel_volume_mm3: float) -> float:
    """D(volume in cc): the dose in Gy that the hottest `volume` cc receives at least, as in D0.03cc; of a smaller structure, its smallest dose.

    Eleven voxels of 100 mm³ make 1.1 cc; the hottest 0.55 cc receives at least 5 Gy:

    >>> round(dose_at_absolute_volume(range(11), [True] * 11, 0.55, 100.0), 6)
    5.0
    """
    percent = 100.0 * volume / volume_cc(mask, voxel_volume_mm3)
    return dose_at_volume(dose_gy, mask, min(percent, 100.0))


def volume_at_dose(dose_gy: ArrayLike, mask: ArrayLike, at_least_gy: float) -> float:
    """V(dose): percent of the structure's volume that receives at least `at_least_gy`.

    >>> volume_at_dose([10, 20, 30, 40], [True, True, True, True], 20)
    75.0
    """
    return float(cumulative_dvh(dose_gy, mask, [at_least_gy])[0])


def absolute_volume_at_dose(dose_gy: ArrayLike, mask: ArrayLike, at_least_gy: float, voxel_volume_mm3: float) -> float:
    """V(dose) in cc.

    >>> absolute_volume_at_dose([10, 20, 30, 40], [True, True, True, True], 20, voxel_volume_mm3=500.0)
    1.5
    """
    return volume_at_dose(dose_gy, mask, at_least_gy) / 100.0 * volume_cc(mask, voxel_volume_mm3)


def volume_cc(mask: ArrayLike, voxel_volume_mm3: float) -> float:
    """Volume of the structure in cc.

    >>> volume_cc([True, True, False], voxel_volume_mm3=27.0)
    0.054
    """
    return float(np.count_nonzero(mask)) * voxel_volume_mm3 / MM3_PER_CC


def _doses(dose_gy: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """The doses of the structure's voxels."""
    dose, inside = np.asarray(dose_gy), np.asarray(mask, dtype=bool)
    if dose.shape != inside.shape:
        raise ValueError(f"Dose has shape {dose.shape} and mask {inside.shape}; resample one to the grid of the other.")
    doses = dose[inside].astype(np.float64)
    if doses.size == 0:
        raise ValueError("The structure has no voxel on the dose grid; contour it, or leave it out.")
    return doses
