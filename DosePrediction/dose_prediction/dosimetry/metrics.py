"""Figures of a whole plan: conformity, homogeneity, gradient, and how the isodoses of two doses agree.

Doses in Gy as (z, y, x) arrays, volumes in cc by divided voxels; the overlap of isodoses and the distance of their surfaces by whole voxels, in mm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.grid import Grid
from dose_prediction.dosimetry.dvh import MM3_PER_CC
from dose_prediction.dosimetry.structure_dose import StructureDose
from dose_prediction.dosimetry.sub_voxel import dose_in_mask

Dose = NDArray[Any]
Mask = NDArray[np.bool_]


def isodose_volume_cc(dose_gy: Dose, grid: Grid, level_gy: float) -> float:
    """Volume in cc that receives at least `level_gy`, the dose being trilinear between voxels: those that the isodose runs through are divided.

    Voxels of a quarter of a cc in planes of 40, 70 and 100 Gy; 47.5 Gy runs a quarter of the way up to 70, and a quarter of the lowest is above it:

    >>> ramp = np.broadcast_to(np.array([40.0, 70.0, 100.0])[:, None, None], (3, 2, 2))
    >>> round(isodose_volume_cc(ramp, Grid((3, 2, 2), spacing_mm=(5.0, 5.0, 10.0)), 47.5), 2)
    2.25
    """
    from scipy import ndimage

    _require_level(level_gy)
    lowest, highest = (find(dose_gy, size=3, mode="nearest") for find in (ndimage.minimum_filter, ndimage.maximum_filter))
    divided = (lowest < level_gy) & (highest >= level_gy)
    whole_cc = int(np.count_nonzero(lowest >= level_gy)) * grid.voxel_volume_mm3 / MM3_PER_CC
    return whole_cc + (dose_in_mask(dose_gy, grid, divided).volume_at_dose(level_gy, "cc") if divided.any() else 0.0)


def paddick_conformity(target: StructureDose, isodose_cc: float, prescription_gy: float) -> float:
    """Paddick's conformity index: covered target² / (target x volume within the prescription isodose); 1 is perfect, 0 no overlap.

    Paddick, J Neurosurg 93 (Suppl 3), 219-222, 2000.

    A target of 4 cc, 3 of them covered, and an isodose of 4 cc: 3² / (4 x 4).

    >>> paddick_conformity(StructureDose([60.0, 50.0], [3.0, 1.0]), 4.0, 60.0)
    0.5625
    """
    covered_cc = target.volume_at_dose(prescription_gy, "cc")
    return covered_cc**2 / (target.total_cc * isodose_cc) if isodose_cc > 0 else 0.0


def gradient_index(half_cc: float, whole_cc: float) -> float:
    """Volume within half of the prescription over the volume within the prescription (`isodose_volume_cc`); NaN if the latter is nothing.

    Paddick and Lippitz, J Neurosurg 105 (Suppl), 194-201, 2006.

    >>> gradient_index(10.0, 4.0)
    2.5
    """
    return half_cc / whole_cc if whole_cc > 0 else float("nan")


def homogeneity_index(target: StructureDose) -> float:
    """(D2% - D98%) / D50% of the target (ICRU Report 83, eq. 3.1); 0 is uniform.

    >>> homogeneity_index(StructureDose([60.0, 60.0], [1.0, 1.0]))
    0.0
    """
    d2, d98, d50 = (target.dose_at_volume(percent) for percent in (2, 98, 50))
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
    _require_level(level_gy)
    inside: Mask = np.asarray(dose_gy) >= level_gy
    return inside


def _require_level(level_gy: float) -> None:
    if not (np.isfinite(level_gy) and level_gy > 0):
        raise ValueError(f"The isodose level is {level_gy:g} Gy; give a dose above 0.")
