"""Beams without flattening filter against the manufacturer's representative beam data.

Varian, TrueBeam 6FFF and 10FFF Eclipse data tables, revision 1, November 2012 (see https://github.com/jinkoo2/matRad_my_scripts): depth doses
of square fields at SSD 100 cm in percent of the largest, and the profile along the diagonal of a field of 40 x 40 cm at 10 cm depth.
"""

from __future__ import annotations

import numpy as np
import pytest

from dose_prediction.case import Beam, Grid
from dose_prediction.physics.density import Medium
from dose_prediction.physics.machine import photon_machine
from dose_prediction.physics.pencil_beam import PencilBeams, set_up_beams
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import planning_region
from water_case import water_case

DEEPEST_MM = {6.0: 13.0, 10.0: 22.0}  # d_max of 10 x 10 cm
DEPTHS_MM = (50.0, 100.0, 200.0)
DEPTH_DOSES = {
    6.0: {30: (80.4, 57.0, 29.2), 100: (84.6, 63.5, 34.7), 200: (85.9, 66.5, 38.4)},
    10.0: {30: (88.5, 66.8, 38.7), 100: (90.4, 71.1, 43.1), 200: (90.7, 72.5, 45.4)},
}
OFF_AXIS_MM = (50.0, 100.0, 150.0, 200.0)
PROFILE = {6.0: (92.6, 79.7, 67.8, 57.2), 10.0: (84.2, 65.9, 52.5, 42.3)}
WATER = Grid((66, 32, 66), origin_mm=(-325.0, 5.0, -325.0), spacing_mm=(10.0, 10.0, 10.0))  # its surface, at y = 0, is 100 cm from the source
CENTRE_MM = 2.5  # beamlets have their centres at multiples of 5 mm: an even number of them leaves the axis by half of one


def square_field(energy_mv: float, side_mm: int, points: np.ndarray, is_flattened: bool = False) -> np.ndarray:
    """Dose at points (n, 3) of an open square field from anterior."""
    beamlets = np.arange(-side_mm // 2 + 5, side_mm // 2 + 1, 5.0)
    target = np.stack(np.meshgrid(beamlets, 0.0, beamlets), axis=-1).reshape(-1, 3)
    medium = Medium(np.ones(WATER.shape, np.float32), WATER)
    beams = set_up_beams((Beam(0),), (0.0, 0.0, 0.0), medium, points, target, [photon_machine(energy_mv, is_flattened).wide], margin_mm=0.0)
    return beams.dose(beams.open_beamlets.float()).numpy()


@pytest.mark.parametrize("side_mm", (30, 100, 200))
@pytest.mark.parametrize("energy_mv", (6.0, 10.0))
def test_depth_doses_are_those_published(energy_mv: float, side_mm: int) -> None:
    depths = np.arange(2.0, 250.0)
    dose = square_field(energy_mv, side_mm, np.stack([np.full_like(depths, CENTRE_MM), depths, np.full_like(depths, CENTRE_MM)], axis=1))
    assert 100 * np.interp(DEPTHS_MM, depths, dose) / dose.max() == pytest.approx(DEPTH_DOSES[energy_mv][side_mm], abs=1.5)
    assert depths[dose.argmax()] == pytest.approx(DEEPEST_MM[energy_mv], abs=2.0)


@pytest.mark.parametrize("energy_mv", (6.0, 10.0))
def test_the_profile_of_a_large_field_peaks_on_the_axis_as_published(energy_mv: float) -> None:
    along = CENTRE_MM + np.array((0.0, *OFF_AXIS_MM)) / np.sqrt(2)
    points = np.stack([along, np.full_like(along, 100.0), along], axis=1)
    dose = square_field(energy_mv, 400, points)
    assert 100 * dose[1:] / dose[0] == pytest.approx(PROFILE[energy_mv], abs=1.5)
    flat = square_field(energy_mv, 400, points, is_flattened=True)
    assert np.all(flat[1:4] / flat[0] > 0.93)


def beside_the_axis(beam: Beam, points: np.ndarray) -> PencilBeams:
    """An open field on the patient's left of the axis, towards the head; nothing about it is symmetric."""
    x, z = np.meshgrid(np.arange(20.0, 141.0, 4.0), np.arange(10.0, 51.0, 4.0))
    target = np.stack([x.ravel(), np.full(x.size, 100.0), z.ravel()], axis=1)
    medium = Medium(np.ones(WATER.shape, np.float32), WATER)
    return set_up_beams((beam,), (0.0, 100.0, 0.0), medium, points, target, [photon_machine(10.0, is_flattened=False)])


@pytest.mark.parametrize("collimator_deg", (0.0, 35.0, 110.0))
def test_the_peak_stays_on_the_axis_wherever_the_field_is_and_however_it_is_turned(collimator_deg: float) -> None:
    points = np.array([[40.0, 100.0, 30.0], [120.0, 100.0, 30.0]])
    beams = beside_the_axis(Beam(0, collimator_deg=collimator_deg), points)
    near, far = beams.dose(beams.open_beamlets.float()).tolist()
    machine = photon_machine(10.0, is_flattened=False)
    expected = machine.open_fluence(np.hypot(120.0, 30.0)) / machine.open_fluence(np.hypot(40.0, 30.0))
    assert far / near == pytest.approx(expected, rel=0.04)


def test_a_plan_without_flattening_filter_covers_its_target_as_one_with_it() -> None:
    region = planning_region(water_case())
    cases = [water_case().with_beams(tuple(Beam(angle, is_flattened=flattened) for angle in (20, 85, 150, 290))) for flattened in (True, False)]
    doses = [physics_prior(region, trace_beams(case, region)).dose_gy for case in cases]
    target = region.prescription_map_gy == 70
    assert doses[1][target].mean() == pytest.approx(doses[0][target].mean(), abs=1.0)
    assert not np.allclose(doses[0], doses[1], atol=0.5)
