"""The picture shows the patient the right way round, whatever the axes of the CT."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from dose_prediction.case import Grid, PlanCase, Role, Structure, equispaced_beams
from dose_prediction.dosimetry import structure_doses
from dose_prediction.picture import planes, structure_colours, write_picture
from dose_prediction.report import dvh_curves
from water_case import SHAPE, water_case

N = 24
# A row a patient axis (left, posterior, superior), a column an array axis (i, j, k), all 48 ways.
DIRECTIONS = [
    np.eye(3)[list(order)] * np.array(signs)[:, None] for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def marked_case(direction: np.ndarray) -> tuple[PlanCase, np.ndarray]:
    """A ball of water with a target in its centre, and a dose of 1, 2 and 3 Gy to the left of, behind and above the target."""
    centre = (N - 1) / 2 * 3.0
    grid = Grid((N, N, N), tuple(-direction @ np.full(3, centre)), (3.0, 3.0, 3.0), tuple(map(tuple, direction)))
    x, y, z = np.moveaxis(grid.world_from_index(np.stack(np.indices(grid.shape), -1)), -1, 0)
    radius = np.sqrt(x**2 + y**2 + z**2)
    ct = np.where(radius < 33, 0.0, -1000.0).astype(np.float32)
    dose = np.select([(x > 15) & (radius < 33), (y > 15) & (radius < 33), (z > 15) & (radius < 33)], [1.0, 2.0, 3.0])
    structures = (Structure("PTV70", Role.target(70), radius < 8), Structure("BODY", Role.external(), radius < 33))
    case = PlanCase("ball", grid, ct, structures, equispaced_beams(1))
    return case, dose


@pytest.mark.parametrize("direction", DIRECTIONS, ids=lambda d: str(d.astype(int).tolist()))
def test_left_is_right_of_the_picture_posterior_down_or_right_and_superior_up(direction):
    case, dose = marked_case(direction)
    axial, coronal, sagittal = planes(case, dose)
    for plane in (axial, coronal, sagittal):
        assert plane.dose_gy.shape == plane.ct_hu.shape
    rows, columns = (n // 2 for n in axial.dose_gy.shape)
    assert (axial.dose_gy[rows, columns:].max(), axial.dose_gy[rows, :columns].max()) == (1, 0)
    assert (axial.dose_gy[rows:, columns].max(), axial.dose_gy[:rows, columns].max()) == (2, 0)
    rows, columns = (n // 2 for n in coronal.dose_gy.shape)
    assert (coronal.dose_gy[rows, columns:].max(), coronal.dose_gy[rows, :columns].max()) == (1, 0)
    assert (coronal.dose_gy[:rows, columns].max(), coronal.dose_gy[rows:, columns].max()) == (3, 0)
    rows, columns = (n // 2 for n in sagittal.dose_gy.shape)
    assert (sagittal.dose_gy[rows, columns:].max(), sagittal.dose_gy[rows, :columns].max()) == (2, 0)
    assert (sagittal.dose_gy[:rows, columns].max(), sagittal.dose_gy[rows:, columns].max()) == (3, 0)


def test_planes_go_through_the_centre_of_the_targets_and_have_their_size_in_mm():
    case = water_case()
    axial, coronal, sagittal = planes(case, np.zeros(SHAPE, np.float32))
    for plane in (axial, coronal, sagittal):
        assert plane.masks["PTV_7000"].any()
    assert axial.masks["Parotid_L"].any() and not sagittal.masks["Parotid_L"].any()
    assert axial.height_mm == axial.ct_hu.shape[0] * 4.0 and coronal.height_mm == coronal.ct_hu.shape[0] * 3.0


def test_every_target_and_organ_has_a_colour_of_its_own():
    colours = structure_colours(water_case())
    assert list(colours) == ["PTV_7000", "PTV_5600", "Parotid_L"]
    assert len(set(colours.values())) == 3


def test_the_picture_is_a_png_and_shows_dose_in_colour(tmp_path: Path):
    from matplotlib.image import imread

    case = water_case()
    dose = np.where(case.body, 60.0, 0.0).astype(np.float32)
    coloured = []
    for shown in (dose, np.zeros_like(dose)):
        write_picture(tmp_path / "case.png", case, shown, *dvh_curves(structure_doses(dose, case)))
        pixels = imread(tmp_path / "case.png")[..., :3]
        coloured.append(np.mean(np.ptp(pixels, axis=-1) > 0.2))
    assert coloured[0] > coloured[1] + 0.1
