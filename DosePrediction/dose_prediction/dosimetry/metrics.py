"""Figures of a whole plan: conformity, homogeneity, gradient, and how the isodoses of two doses agree.

Doses in Gy, masks and doses as (z, y, x) arrays on one grid, volumes by whole voxels, distances in mm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction.dosimetry.dvh import dose_at_volume

Dose = NDArray[Any]
Mask = NDArray[np.bool_]


def paddick_conformity(dose_gy: Dose, target: Mask, prescription_gy: float) -> float:
    """Paddick's conformity index: covered target² / (target x volume within the prescription isodose); 1 is perfect, 0 no overlap.

    Paddick, J Neurosurg 93 (Suppl 3), 219-222, 2000.

    A target of 4 voxels, 3 of them covered, and one covered voxel outside it: 3² / (4 x 4).

    >>> paddick_conformity(np.array([60, 60, 60, 50, 60, 0]), np.array([1, 1, 1, 1, 0, 0], bool), 60.0)
    0.5625
    """
    isodose = _isodose(dose_gy, prescription_gy)
    covered, target_voxels, isodose_voxels = (int(np.count_nonzero(part)) for part in (isodose & target, target, isodose))
    if target_voxels == 0:
        raise ValueError("The target has no voxel; contour it.")
    return covered**2 / (target_voxels * isodose_voxels) if isodose_voxels else 0.0


def gradient_index(dose_gy: Dose, prescription_gy: float) -> float:
    """Volume within half of the prescription over the volume within the prescription; NaN if no voxel reaches it.

    Paddick and Lippitz, J Neurosurg 105 (Suppl), 194-201, 2006.

    >>> gradient_index(np.array([60, 60, 40, 30, 30, 29]), 60.0)
    2.5
    """
    within = int(np.count_nonzero(_isodose(dose_gy, prescription_gy)))
    return int(np.count_nonzero(_isodose(dose_gy, prescription_gy / 2))) / within if within else float("nan")


def homogeneity_index(dose_gy: Dose, target: Mask) -> float:
    """(D2% - D98%) / D50% of the target (ICRU Report 83, eq. 3.1); 0 is uniform.

    >>> homogeneity_index(np.full(50, 60.0), np.ones(50, bool))
    0.0
    """
    d2, d98, d50 = (dose_at_volume(dose_gy, target, percent) for percent in (2, 98, 50))
    return (d2 - d98) / d50 if d50 > 0 else float("nan")


def isodose_dice(first_gy: Dose, second_gy: Dose, level_gy: float) -> float:
    """Dice coefficient of the volumes that receive at least `level_gy`; 1 if neither dose reaches it.

    >>> isodose_dice(np.array([60, 60, 60, 0]), np.array([60, 60, 0, 0]), 50.0)
    0.8
    """
    first, second = _isodose(first_gy, level_gy), _isodose(second_gy, level_gy)
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else 1.0


def isodose_hd95_mm(first_gy: Dose, second_gy: Dose, level_gy: float, spacing_zyx_mm: tuple[float, float, float]) -> float:
    """95th percentile of the distances between the surfaces of both volumes that receive at least `level_gy`, both ways together.

    The surface of a volume is its voxels with a neighbour (across a face) outside it.  0 if neither dose reaches the level, infinite if one does.
    """
    from scipy import ndimage

    first, second = _isodose(first_gy, level_gy), _isodose(second_gy, level_gy)
    if not (first.any() and second.any()):
        return 0.0 if first.any() == second.any() else float("inf")
    # Only the box around both is looked at.
    either = first | second
    along = [np.flatnonzero(either.any(axis=tuple(other for other in range(either.ndim) if other != axis))) for axis in range(either.ndim)]
    box = tuple(slice(int(places[0]), int(places[-1]) + 1) for places in along)
    surfaces = [part[box] & ~ndimage.binary_erosion(part[box]) for part in (first, second)]
    distances = [
        ndimage.distance_transform_edt(~to, sampling=spacing_zyx_mm)[of] for of, to in ((surfaces[0], surfaces[1]), (surfaces[1], surfaces[0]))
    ]
    return float(np.percentile(np.concatenate(distances), 95))


def _isodose(dose_gy: Dose, level_gy: float) -> Mask:
    if not (np.isfinite(level_gy) and level_gy > 0):
        raise ValueError(f"The isodose level is {level_gy:g} Gy; give a dose above 0.")
    inside: Mask = np.asarray(dose_gy) >= level_gy
    return inside
