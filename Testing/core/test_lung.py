"""The dose in lung against a collapsed-cone dose, and no change where there is no lung.

`collapsed_cone_lung_slab.csv` holds central-axis doses of square 6 MV fields (30, 50 and 100 mm in the isocentre plane, isocentre 100 mm deep, source
at 1000 mm) on water and on water with a slab of lung, density 0.26, from 50 to 150 mm depth, relative to the dose at 100 mm in water.  They come from
the collapsed-cone engine of OpenTPS (WiscPlan's, with Mackie's kernels; PyPI package opentps-core 2.0.0), see `Testing/references/collapsed_cone.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dose_prediction.case import Beam, Grid
from dose_prediction.physics import pencil_beam
from dose_prediction.physics.beam_frame import beam_frame
from dose_prediction.physics.beam_trace import trace_beam
from dose_prediction.physics.density import Medium
from dose_prediction.physics.lung import spreading_density
from dose_prediction.physics.machine import photon_machine
from dose_prediction.physics.pencil_beam import set_up_beams

GRID = Grid((88, 150, 88), origin_mm=(-174.0, -99.0, -174.0), spacing_mm=(4.0, 2.0, 4.0))  # 300 mm of water from y = -100 mm, isocentre 100 mm deep
DEPTH_MM = np.arange(150) * 2.0 + 1.0
REFERENCE = np.genfromtxt(Path(__file__).with_name("collapsed_cone_lung_slab.csv"), delimiter=",", names=True)
SIDES_MM = (30, 50, 100)


def slab(density: float) -> Medium:
    volume = np.ones(GRID.shape, np.float32)
    volume[:, (DEPTH_MM > 50) & (DEPTH_MM < 150)] = density
    return Medium(volume, GRID)


def central_axis(medium: Medium, side_mm: int, kernel_radius_mm: float) -> np.ndarray:
    """Dose at the reference's depths, on the axis of a square field from anterior of an even number of beamlets."""
    y = REFERENCE["depth_mm"] - 100.0
    centre = 2.5 * (1000.0 + y) / 1000.0  # beamlets have their centres at multiples of 5 mm
    points = np.stack([centre, y, centre], axis=1)
    corners = np.array([[-60.0, 0.0, -60.0], [60.0, 0.0, 60.0], [-60.0, 0.0, 60.0], [60.0, 0.0, -60.0]])
    beams = set_up_beams((Beam(0),), (0.0, 0.0, 0.0), medium, points, corners, [photon_machine().with_kernel_radius(kernel_radius_mm)])
    half = side_mm // 10
    first = 70 // 5 - half + 1  # the beamlet at -70 mm is number 0
    maps = beams.open_beamlets.float().zero_()
    maps[:, first : first + 2 * half, first : first + 2 * half] = 1
    return beams.dose(maps).numpy()


def error_percent(side_mm: int, kernel_radius_mm: float = 100.0) -> np.ndarray:
    """How far the effect of the slab on the dose is from the reference's, at its depths."""
    effect = central_axis(slab(0.26), side_mm, kernel_radius_mm) / central_axis(slab(1.0), side_mm, kernel_radius_mm)
    return 100 * (effect / (REFERENCE[f"lung_{side_mm}"] / REFERENCE[f"water_{side_mm}"]) - 1)


AWAY_FROM_THE_BORDER = np.abs(REFERENCE["depth_mm"] - 150) > 3  # where the reference's voxels of 2 mm blur it


@pytest.mark.parametrize("side_mm", SIDES_MM)
def test_a_slab_of_lung_changes_the_dose_as_a_collapsed_cone_says(side_mm: int) -> None:
    assert np.abs(error_percent(side_mm)[AWAY_FROM_THE_BORDER]).max() < 5.0


@pytest.mark.parametrize("side_mm", (30, 50))
def test_the_narrow_kernel_for_head_and_neck_does_so_for_small_fields(side_mm: int) -> None:
    assert np.abs(error_percent(side_mm, kernel_radius_mm=25.0)[AWAY_FROM_THE_BORDER]).max() < 5.0


def test_without_the_spread_of_electrons_small_fields_would_be_ten_percent_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pencil_beam, "spreading_density", lambda medium: None)
    assert np.abs(error_percent(50)).max() > 10.0


BLOCK = Grid((40, 50, 60), origin_mm=(-118.0, -98.0, -78.0), spacing_mm=(4.0, 4.0, 4.0))


def block_with(density: float, radius_mm: float, centre_mm: tuple[float, float, float], is_tube: bool = False) -> Medium:
    """Water with a sphere of another density, or a tube along z."""
    offset = BLOCK.world_from_index(np.stack(np.indices(BLOCK.shape), -1)) - centre_mm
    distance = np.linalg.norm(offset[..., :2] if is_tube else offset, axis=-1)
    return Medium(np.where(distance <= radius_mm, density, 1.0).astype(np.float32), BLOCK)


def test_airways_and_small_volumes_leave_the_dose_as_it_is() -> None:
    assert spreading_density(block_with(0.001, 12.0, (0, 0, 0), is_tube=True)) is None  # a trachea
    assert spreading_density(block_with(0.001, 40.0, (0, 0, 0))) is None  # a large cavity holds air, not lung
    assert spreading_density(block_with(0.3, 20.0, (0, 0, 0))) is None
    assert spreading_density(block_with(0.3, 45.0, (0, 0, 0))) is not None


def test_the_correction_sets_in_little_by_little() -> None:
    densities = [spreading_density(block_with(0.3, radius, (0, 0, 0))) for radius in range(24, 46, 2)]
    least = [1.0 if density is None else float(density.min()) for density in densities]
    assert least[0] == 1.0
    assert least[-1] == pytest.approx(0.3)
    assert np.all(np.diff(least) <= 0)
    assert np.abs(np.diff(least)).max() < 0.35


def test_only_the_lung_that_a_beam_meets_spreads_its_electrons() -> None:
    medium = block_with(0.3, 45.0, (60.0, 0.0, 0.0))  # on the patient's left
    points = np.array([[60.0, 0.0, 0.0], [-60.0, 0.0, 0.0]])
    for angle in (0.0, 30.0):
        for target, is_met in ((points[:1], True), (points[1:], False)):
            x, y, z = target[0]
            frame = beam_frame(Beam(angle), (x, y, z), 1000.0)
            trace = trace_beam(medium, spreading_density(medium), frame, target)
            spread = 1.0 if trace.spread_density is None else trace.spread_density[0]
            assert (spread < 0.4) == is_met
            assert (spread == 1.0) != is_met
