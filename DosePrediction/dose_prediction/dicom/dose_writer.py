"""Doses as RTDOSE files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dose_prediction.case import CaseError, Grid
from dose_prediction.dicom.elements import decimal, decimals
from dose_prediction.dicom.instances import DicomReferences, item, new_instance, reference, sequence, short, write
from dose_prediction.dicom.study import RT_DOSE, RT_PLAN, RT_STRUCTURE_SET
from dose_prediction.output_files import whole_file

# The largest dose stays this far below the largest number that can be stored, so that rounding never wraps it to 0.
HEAD_ROOM = 1e-3


def write_dose(
    path: Path | str,
    dose_gy: NDArray[np.floating],
    grid: Grid,
    references: DicomReferences,
    plan_uid: str,
    model: str,
    bits: int = 16,
    axis_gy: NDArray[np.floating] | None = None,
    dvhs_cc: Mapping[int, NDArray[np.floating]] | None = None,
) -> None:
    """Write a predicted dose (z, y, x) in Gy as RTDOSE with 16 or 32 bits a voxel, whole or not at all.

    It is filed with the patient and study of `references`, refers to their structure set and to the plan `plan_uid`, and says PREDICTED and `model`
    in its series description.  `dvhs_cc` are cumulative DVHs in cc on the evenly spaced doses `axis_gy`, by ROI number; an RTDOSE names its structure
    set only beside DVHs (PS3.3, C.8.8.4), so without them it refers to it through its plan.  Raises CaseError for a dose that is negative, not finite
    or on another grid, OutputError if it cannot be written.
    """
    if dose_gy.shape != grid.shape:
        raise CaseError(f"The dose has shape {dose_gy.shape} and its grid {grid.shape}; give the grid on which the dose lies.")
    if bits not in (16, 32):
        raise CaseError(f"A dose of {bits} bits was asked for; RTDOSE has 16 or 32.")
    low, high = float(dose_gy.min()), float(dose_gy.max())  # NaN and infinity come through both
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0:
        raise CaseError(f"The dose spans {low:g} to {high:g} Gy; RTDOSE takes finite doses from 0.")
    direction = np.asarray(grid.direction)
    axes = (direction[:, 0], direction[:, 1], direction[:, 2])
    # Planes are stacked along row x column; a left-handed grid is written from its other end.
    if np.cross(axes[0], axes[1]) @ axes[2] < 0:
        dose_gy, origin = dose_gy[::-1], grid.world_from_index((grid.shape[0] - 1, 0, 0))
    else:
        origin = np.asarray(grid.origin_mm)
    scaling = decimal((high or 1.0) * (1 + HEAD_ROOM) / (2**bits - 1))
    stored = np.rint(dose_gy.astype(np.float64) / float(scaling)).astype(np.uint16 if bits == 16 else np.uint32)

    data = new_instance(RT_DOSE, generate_uid(), "RTDOSE", references.patient_and_study, references.frame_of_reference_uid, generate_uid())
    data.SeriesNumber = 4
    data.SeriesDescription = short(f"PREDICTED dose, {model}", 64)
    data.OperatorsName = ""
    data.InstanceNumber = 1
    data.ImagePositionPatient = decimals(origin)
    data.ImageOrientationPatient = decimals([*axes[0], *axes[1]])
    data.PixelSpacing = decimals([grid.spacing_mm[1], grid.spacing_mm[0]])
    data.SliceThickness = decimal(grid.spacing_mm[2])
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.NumberOfFrames = grid.shape[0]
    data.FrameIncrementPointer = 0x3004000C  # the planes follow the Grid Frame Offset Vector
    data.Rows, data.Columns = grid.shape[1], grid.shape[2]
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    data.PixelRepresentation = 0
    data.DoseUnits = "GY"
    data.DoseType = "PHYSICAL"
    data.DoseComment = "Predicted by research software, not for clinical use"
    data.DoseSummationType = "PLAN"
    data.GridFrameOffsetVector = decimals(grid.spacing_mm[2] * np.arange(grid.shape[0]))
    data.DoseGridScaling = scaling
    data.TissueHeterogeneityCorrection = "IMAGE"
    data.ReferencedRTPlanSequence = sequence([reference(RT_PLAN, plan_uid)])
    if axis_gy is not None and dvhs_cc:
        data.ReferencedStructureSetSequence = sequence([reference(RT_STRUCTURE_SET, references.structure_set_uid)])
        data.DVHSequence = sequence(_dvh(number, axis_gy, curve) for number, curve in dvhs_cc.items())
    data.add_new(0x7FE00010, "OW", stored.astype("<u2" if bits == 16 else "<u4").tobytes())
    with whole_file(path) as unfinished:
        write(unfinished, data)


def _dvh(roi_number: int, axis_gy: NDArray[np.floating], volumes_cc: NDArray[np.floating]) -> Dataset:
    """A cumulative DVH: pairs of bin width and the volume that receives at least the dose at which the bin begins."""
    width = decimal(float(axis_gy[1] - axis_gy[0]))
    return item(
        DVHReferencedROISequence=sequence([item(ReferencedROINumber=roi_number, DVHROIContributionType="INCLUDED")]),
        DVHType="CUMULATIVE",
        DoseUnits="GY",
        DoseType="PHYSICAL",
        DVHDoseScaling="1",
        DVHVolumeUnits="CM3",
        DVHNumberOfBins=len(volumes_cc),
        DVHData=[text for volume in volumes_cc for text in (width, f"{volume:.6g}")],
    )
