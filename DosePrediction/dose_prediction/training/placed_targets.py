"""Targets of other sites placed in the CTs of OpenKBP: in the upper lung, along the oesophagus, in the brain.

The challenge's patients have no such disease; their CTs are real, the targets and the plans for them are simulated.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dose_prediction.case import CaseError, PlanCase, Role, RoleKind, Structure

Mask = NDArray[np.bool_]
PRESCRIPTIONS_GY = {"brain": 60.0, "lung": 60.0, "oesophagus": 50.4}
SKIN_MM = 5.0  # between a target and the skin
BEYOND_MM = 10.0  # of CT above and below a target


def with_placed_target(case: PlanCase, site: str, generator: np.random.Generator) -> PlanCase:
    """The case with one target of the site in place of its own.

    Raises CaseError where the CT does not show enough of the site.
    """
    if site == "oesophagus":
        target = _stretch_of_oesophagus(case, generator)
    else:
        target = _ball(case, _brain(case) if site == "brain" else _lungs(case), generator)
    depth = ndimage.distance_transform_edt(case.body, sampling=case.grid.spacing_zyx_mm)
    prescription = PRESCRIPTIONS_GY[site]
    placed = Structure(f"PTV_{round(100 * prescription)}", Role.target(prescription), target & (depth > SKIN_MM))
    others = [structure for structure in case.structures if structure.role.kind is not RoleKind.TARGET]
    return replace(case, name=f"{case.name} {site}", structures=(placed, *others))


def _ball(case: PlanCase, place: Mask, generator: np.random.Generator) -> Mask:
    """A ball of 24 to 60 mm about a random point that lies at least half its radius deep in `place`; the CT goes on above and below the ball."""
    radius = generator.uniform(12, 30)
    middles = ndimage.distance_transform_edt(place, sampling=case.grid.spacing_zyx_mm) >= 0.5 * radius
    beyond = int((radius + BEYOND_MM) / case.grid.spacing_mm[2])
    middles[:beyond] = middles[-beyond:] = False
    inside = np.argwhere(middles)
    if not len(inside):
        raise CaseError(f"{case.name} shows too little of the site for a target of {2 * radius:.0f} mm; leave the case out.")
    steps = np.indices(place.shape) - inside[int(generator.integers(len(inside)))][:, None, None, None]
    return sum((step * mm) ** 2 for step, mm in zip(steps, case.grid.spacing_zyx_mm, strict=True)) <= radius**2


def _lungs(case: PlanCase) -> Mask:
    """Air-filled tissue deep in the body: the largest connected pieces, without the windpipe, which is smaller."""
    depth = ndimage.distance_transform_edt(case.body, sampling=case.grid.spacing_zyx_mm)
    pieces, _ = ndimage.label((case.ct_hu < -500) & (depth > 10))
    cubic_cm = np.bincount(pieces.ravel()) * case.grid.voxel_volume_mm3 / 1000
    large = np.flatnonzero(cubic_cm > 80)
    return np.isin(pieces, large[large > 0])


def _brain(case: PlanCase) -> Mask:
    """Soft tissue above the middle of the brainstem and deep beneath the skin."""
    brainstem = _organ(case, "Brainstem")
    depth = ndimage.distance_transform_edt(case.body, sampling=case.grid.spacing_zyx_mm)
    soft = (case.ct_hu > -20) & (case.ct_hu < 100) & (depth > 15)
    soft[: round(float(np.argwhere(brainstem)[:, 0].mean()))] = False
    return ndimage.binary_opening(soft, iterations=2)


def _stretch_of_oesophagus(case: PlanCase, generator: np.random.Generator) -> Mask:
    """Up to ten centimetres of the oesophagus, grown by 12 mm."""
    oesophagus = _organ(case, "Esophagus")
    slices = np.flatnonzero(oesophagus.any(axis=(1, 2)))
    wanted = int(generator.uniform(60, 100) / case.grid.spacing_mm[2])
    first = int(generator.integers(slices[0], max(slices[0], slices[-1] - wanted) + 1))
    piece = np.zeros_like(oesophagus)
    piece[first : first + wanted] = oesophagus[first : first + wanted]
    return ndimage.distance_transform_edt(~piece, sampling=case.grid.spacing_zyx_mm) <= 12


def _organ(case: PlanCase, name: str) -> Mask:
    found = next((organ.mask for organ in case.organs if organ.role.standard_name == name), None)
    if found is None:
        raise CaseError(f"{case.name} has no {name}; leave the case out.")
    return found
