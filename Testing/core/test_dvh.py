"""Dose-volume histograms against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dose_prediction.dosimetry import (
    absolute_volume_at_dose,
    cumulative_dvh,
    dose_at_absolute_volume,
    dose_at_volume,
    dose_axis,
    volume_at_dose,
    volume_cc,
)

RADIUS_MM = 20.0
CENTRE_GY, GRADIENT_GY_PER_MM = 40.0, 0.5

doses = arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 80, width=32))


@pytest.fixture(scope="module")
def sphere() -> tuple[np.ndarray, np.ndarray]:
    """Dose and mask of a sphere of 20 mm in a linear dose gradient, on voxels of 0.5 mm."""
    axis = np.arange(-22, 22, 0.5) + 0.25
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return CENTRE_GY + GRADIENT_GY_PER_MM * x, x**2 + y**2 + z**2 <= RADIUS_MM**2


def cap_percent(dose_gy: np.ndarray) -> np.ndarray:
    """Percent of the sphere beyond the plane of this dose: a spherical cap."""
    height = RADIUS_MM - (dose_gy - CENTRE_GY) / GRADIENT_GY_PER_MM
    return 100 * height**2 * (3 * RADIUS_MM - height) / (4 * RADIUS_MM**3)


def test_the_dvh_of_a_sphere_in_a_linear_gradient_is_that_of_a_spherical_cap(sphere):
    axis = np.arange(30.5, 50, 0.5)
    assert cumulative_dvh(*sphere, axis) == pytest.approx(cap_percent(axis), abs=0.3)


def test_dose_at_volume_inverts_the_spherical_cap(sphere):
    for dose_gy in (33.0, 36.0, 40.0, 44.0, 47.0):
        assert dose_at_volume(*sphere, float(cap_percent(np.array(dose_gy)))) == pytest.approx(dose_gy, abs=0.25)  # the dose across one voxel


def test_volume_and_absolute_metrics_of_the_sphere_agree_with_geometry(sphere):
    dose, mask = sphere
    voxel_mm3 = 0.125
    assert volume_cc(mask, voxel_mm3) == pytest.approx(4 / 3 * np.pi * 2.0**3, rel=0.005)
    assert absolute_volume_at_dose(dose, mask, CENTRE_GY, voxel_mm3) == pytest.approx(2 / 3 * np.pi * 2.0**3, rel=0.005)
    cap_of_2_mm_cc = np.pi * 0.2**2 * (3 * 2.0 - 0.2) / 3
    assert dose_at_absolute_volume(dose, mask, cap_of_2_mm_cc, voxel_mm3) == pytest.approx(CENTRE_GY + 18 * GRADIENT_GY_PER_MM, abs=0.15)


def test_a_volume_larger_than_the_structure_has_its_smallest_dose():
    assert dose_at_absolute_volume([3.0, 9.0], [True, True], 5.0, voxel_volume_mm3=1.0) == 3.0


@given(doses)
def test_a_dvh_starts_at_100_never_rises_and_ends_at_0(dose):
    curve = cumulative_dvh(dose, np.ones(dose.shape, bool), dose_axis(float(dose.max())))
    assert curve[0] == 100 and curve[-1] == 0
    assert np.all(np.diff(curve) <= 0)


@given(doses, st.floats(0, 80))
def test_the_mean_dose_is_the_area_under_the_dvh(dose, threshold):
    mask = np.ones(dose.shape, bool)
    axis = np.unique(np.concatenate([[0.0], dose.astype(float)]))
    area = np.sum(np.diff(axis) * cumulative_dvh(dose, mask, axis)[1:]) / 100
    assert area == pytest.approx(dose.astype(float).mean(), abs=1e-6)
    assert volume_at_dose(dose, mask, threshold) == pytest.approx(100 * np.mean(dose.astype(float) >= threshold))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dose_at_volume([1.0], [False], 50), "no voxel"),
        (lambda: dose_at_volume([1.0, 2.0], [True], 50), "shape"),
        (lambda: dose_at_volume([1.0], [True], 101), "101"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(call, message):
    with pytest.raises(ValueError, match=message):
        call()
