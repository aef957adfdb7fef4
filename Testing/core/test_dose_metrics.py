"""Metrics of a plan and of two doses, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dose_prediction.case import Grid
from dose_prediction.dosimetry import (
    GammaCriteria,
    StructureDose,
    compare_doses,
    dose_in_mask,
    gradient_index,
    homogeneity_index,
    isodose_dice,
    isodose_hd95_mm,
    isodose_volume_cc,
    paddick_conformity,
)
from water_case import water_case

SPHERES = Grid((51, 51, 51))
RADIUS_MM = np.sqrt(((np.indices((51, 51, 51)) - 25.0) ** 2).sum(axis=0))


def sphere_cc(radius_mm: float) -> float:
    return float(4 / 3 * np.pi * radius_mm**3 / 1000)


def box(low: int, high: int) -> np.ndarray:
    dose = np.zeros((30, 30, 30))
    dose[8:18, 8:18, low:high] = 60.0
    return dose


def test_an_isodose_holds_the_volume_of_the_sphere_that_it_is():
    dose = 60 - RADIUS_MM
    for radius_mm in (9.0, 14.0, 20.0):
        assert isodose_volume_cc(dose, SPHERES, 60 - radius_mm) == pytest.approx(sphere_cc(radius_mm), rel=0.01)
    assert isodose_volume_cc(dose, SPHERES, 60.5) == 0.0
    assert isodose_volume_cc(dose, SPHERES, 1.0) == pytest.approx(51**3 * 0.001)


def test_conformity_falls_with_what_is_missed_and_with_what_is_spilled():
    target = dose_in_mask(60 - RADIUS_MM, SPHERES, np.clip(14.5 - RADIUS_MM, 0, 1))
    for radius_mm in (10.0, 14.0, 18.0):
        found = paddick_conformity(target, isodose_volume_cc(60 - RADIUS_MM, SPHERES, 60 - radius_mm), 60 - radius_mm)
        assert found == pytest.approx(min(radius_mm / 14, 14 / radius_mm) ** 3, rel=0.03)
    assert paddick_conformity(target, 0.0, 61.0) == 0.0


def test_homogeneity_and_gradient_are_those_of_their_definitions():
    assert homogeneity_index(StructureDose(np.arange(101.0), np.ones(101))) == pytest.approx((98 - 2) / 50)
    half, whole = (isodose_volume_cc(60 - RADIUS_MM, SPHERES, level) for level in (40.0, 50.0))
    assert gradient_index(half, whole) == pytest.approx(8.0, rel=0.01)
    assert np.isnan(gradient_index(3.0, 0.0))


def test_isodoses_are_compared_by_overlap_and_by_the_distance_of_their_surfaces():
    assert isodose_dice(box(10, 20), box(12, 22), 30.0) == pytest.approx(0.8)
    assert isodose_hd95_mm(box(10, 20), box(10, 20), 30.0, (3.0, 2.0, 2.0)) == 0.0
    # Only the two end faces have moved, by 2 voxels of 1.5 mm; they are more than 5 % of the surface.
    assert isodose_hd95_mm(box(10, 20), box(12, 22), 30.0, (3.0, 2.0, 1.5)) == pytest.approx(3.0)
    assert isodose_hd95_mm(box(10, 20), np.zeros((30, 30, 30)), 30.0, (1.0, 1.0, 1.0)) == np.inf
    with pytest.raises(ValueError, match="0 Gy"):
        isodose_dice(box(1, 2), box(1, 2), 0.0)


def test_a_dose_that_is_higher_everywhere_by_2_gy_differs_by_2_gy_in_every_metric_of_dose():
    case = water_case()
    dose = np.where(case.body, 30.0, 0.0).astype(np.float32)
    for target in case.targets:
        dose[target.mask] = target.role.prescription_gy
    higher = np.where(case.body, dose + 2, 0).astype(np.float32)
    found = compare_doses(case, dose, higher, GammaCriteria(3, 3))
    assert np.array_equal(found.difference_gy, np.where(case.body, 2, 0))
    changes = {(change.where, change.metric): change for change in found.changes}
    for name in ("PTV_7000", "PTV_5600", "Parotid_L"):
        for metric in ("D95%", "Dmean", "D0.03cc"):
            assert changes[name, metric].difference == pytest.approx(2.0, abs=0.2)  # the body's edge is a voxel away at most
    assert changes["Parotid_L", "D50%"].reference == pytest.approx(30.0, abs=0.01)
    # The isodose of 70 Gy runs through the centres of the target's outer voxels, that of 35 Gy on 72 Gy nearly reaches the next ones.
    assert changes["PTV_7000", "conformity"].reference == pytest.approx(7**3 / 8**3, abs=0.03) and ("PTV_5600", "conformity") not in changes
    assert changes["PTV_7000", "V100%"].evaluated > changes["PTV_7000", "V100%"].reference
    agreement = {(entry.where, entry.metric): entry.value for entry in found.agreement}
    assert agreement["body", "mean absolute difference"] == agreement["PTV_7000", "mean absolute difference"] == pytest.approx(2.0)
    assert agreement["isodose 66.5 Gy (95 %)", "Dice"] == 1.0 and agreement["isodose 35 Gy (50 %)", "HD95"] == 0.0
    assert np.array_equal(np.isfinite(found.gamma), case.body & (dose >= 7))
    assert agreement["body", f"{found.criteria}: points with up to 1"] == 100.0
    assert [dvh.structure for dvh in found.dvhs] == ["PTV_7000", "PTV_5600", "Parotid_L"]
    parotid = found.dvhs[2]
    assert np.interp(31.0, parotid.axis_gy, parotid.reference_percent) == 0
    assert np.interp(31.0, parotid.axis_gy, parotid.evaluated_percent) == pytest.approx(100)


def test_a_dose_on_another_grid_is_refused():
    case = water_case()
    with pytest.raises(ValueError, match="evaluated dose has shape"):
        compare_doses(case, np.zeros(case.grid.shape), np.zeros((2, 2, 2)))
