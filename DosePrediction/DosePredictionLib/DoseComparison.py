"""A result compared with another dose, one of ours or any in the scene: difference, histograms side by side, changes of the metrics and gamma."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from slicer.i18n import tr as _

from dose_prediction.case import CaseError, Grid, PlanCase, RoleKind, equispaced_beams
from dose_prediction.dose_files import resampled
from dose_prediction.dosimetry import Change, GammaCriteria, gamma_index, samples_in_slices
from dose_prediction.dosimetry.comparison import metric_changes

from .Background import in_background
from .DvhTables import Histogram, histogram
from .SceneReader import grid_of_volume, read_case, volume_problem
from .SegmentRoles import SegmentRow
from .Steps import scaled

# What the panel lists of a target and of an organ.
TARGET_METRICS = ("D98%", "D95%", "D2%", "Dmean", "V100%")
ORGAN_METRICS = ("Dmean", "D0.03cc", "D2%")


@dataclass(frozen=True, eq=False)
class ComparisonRequest:
    """Two dose volumes, the contours and the CT that they belong to, and whether gamma is wanted."""

    dose: Any
    reference: Any
    ct: Any
    segmentation: Any
    rows: tuple[SegmentRow, ...]
    criteria: GammaCriteria | None


@dataclass(frozen=True, eq=False)
class ComparedDoses:
    """Arrays are (z, y, x) on `grid`; `gamma` is NaN where it is not judged, None where it was not wanted."""

    grid: Grid
    difference_gy: NDArray[np.float32]
    shown: tuple[Histogram, ...]
    reference: tuple[Histogram, ...]
    changes: tuple[Change, ...]
    criteria: GammaCriteria | None
    gamma: NDArray[np.float32] | None


def compare(request: ComparisonRequest) -> Generator[float, None, ComparedDoses]:
    """Compare in the structures as they are contoured now; yields the fraction done.  Raises CaseError."""
    # Beams take no part in a comparison, so that it does not matter which are on.
    case = yield from scaled(read_case(request.ct, request.segmentation, request.rows, equispaced_beams(1)), 0.0, 0.3)
    shown_gy, reference_gy = (dose_on_grid(node, case.grid) for node in (request.dose, request.reference))
    rows = {row.name: row for row in request.rows if row.kind is not RoleKind.IGNORED}
    structures = (*case.targets, *case.organs)
    shown, reference, changes = [], [], []
    for number, structure in enumerate(structures, start=1):
        samples = samples_in_slices(case.grid, structure.mask)
        yield 0.3 + 0.2 * (number - 0.5) / len(structures)
        before, after = samples.dose(reference_gy), samples.dose(shown_gy)
        shown.append(histogram(rows[structure.name], after, float(shown_gy.max())))
        reference.append(histogram(rows[structure.name], before, float(reference_gy.max())))
        wanted = TARGET_METRICS if structure.role.kind is RoleKind.TARGET else ORGAN_METRICS
        changes += [change for change in metric_changes(structure, before, after) if change.metric in wanted]
        yield 0.3 + 0.2 * number / len(structures)
    gamma = None
    if request.criteria is not None:
        gamma = yield from scaled(_gamma(case, reference_gy, shown_gy, request.criteria), 0.5, 0.5)
    difference = (shown_gy - reference_gy).astype(np.float32)
    return ComparedDoses(case.grid, difference, tuple(shown), tuple(reference), tuple(changes), request.criteria, gamma)


def dose_on_grid(dose_node: Any, grid: Grid) -> NDArray[np.float32]:
    """The dose of a volume node in Gy at the voxels of `grid`, its parent transform applied.  Raises CaseError."""
    problem = volume_problem(dose_node)
    if problem:
        raise CaseError(problem)
    dose_gy = slicer.util.arrayFromVolume(dose_node).astype(np.float32)
    if dose_gy.ndim != 3 or not np.isfinite(dose_gy).all() or dose_gy.min() < 0:
        raise CaseError(_("{name} is no dose in Gy: it has several values a voxel, or some below 0; select a dose.").format(name=dose_node.GetName()))
    own = grid_of_volume(dose_node)
    return dose_gy if own.matches(grid) else resampled(dose_gy, own, grid)


def _gamma(
    case: PlanCase, reference_gy: NDArray[np.float32], shown_gy: NDArray[np.float32], criteria: GammaCriteria
) -> Generator[float, None, NDArray[np.float32]]:
    return (
        yield from in_background(
            lambda tell: gamma_index(reference_gy, shown_gy, case.grid.spacing_zyx_mm, criteria, mask=case.body, on_progress=tell)
        )
    )
