"""The body found on a CT, against bodies whose outline is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dose_prediction.case import CaseError, Grid, find_body

GRID = Grid((40, 60, 80), spacing_mm=(3.0, 3.0, 3.0))


def coordinates(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, y, x in mm from the centre of the grid."""
    z, y, x = np.indices(grid.shape)
    return tuple((a - (n - 1) / 2) * s for a, n, s in zip((z, y, x), grid.shape, grid.spacing_zyx_mm, strict=True))  # type: ignore[return-value]


def torso(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """CT of an elliptic cylinder of water along z, and its mask."""
    _, y, x = coordinates(grid)
    mask = (x / 90) ** 2 + (y / 60) ** 2 <= 1
    return np.where(mask, 0.0, -1000.0).astype(np.float32), mask


def test_water_in_air_is_the_body() -> None:
    ct, mask = torso(GRID)
    assert np.array_equal(find_body(ct, GRID), mask)


def test_lungs_and_an_airway_that_leaves_the_scan_belong_to_the_body() -> None:
    ct, mask = torso(GRID)
    z, y, x = coordinates(GRID)
    ct[((np.abs(x) - 40) / 25) ** 2 + (y / 30) ** 2 + (z / 40) ** 2 < 1] = -800
    ct[x**2 + (y + 20) ** 2 < 8**2] = -1000
    assert np.array_equal(find_body(ct, GRID), mask)


def test_couch_and_a_marker_on_the_skin_of_air_do_not_belong_to_the_body() -> None:
    ct, mask = torso(GRID)
    _, y, x = coordinates(GRID)
    ct[(y > 66) & (y < 70)] = 100  # a plate close under the patient
    ct[(np.abs(x - 110) < 5) & (np.abs(y) < 20)] = 500  # a rail beside
    assert np.array_equal(find_body(ct, GRID), mask)


def test_couch_that_touches_the_body_is_cut_off() -> None:
    ct, mask = torso(GRID)
    y = coordinates(GRID)[1]
    plate = (y > 59) & (y < 63)
    ct[plate & ~mask] = 0
    found = find_body(ct, GRID)
    assert found[mask].all()
    assert np.max(ndimage.distance_transform_edt(~mask, sampling=3.0)[found]) < 8  # what is left is within 8 mm of the skin


def test_fine_grid_gives_the_same_body_as_a_coarse_one() -> None:
    grid = Grid((40, 240, 320), spacing_mm=(0.75, 0.75, 3.0))
    ct, mask = torso(grid)
    found = find_body(ct, grid)
    assert np.count_nonzero(found ^ mask) < 0.005 * np.count_nonzero(mask)


def test_body_that_the_scan_cuts_off_reaches_its_border() -> None:
    grid = Grid((20, 60, 40), spacing_mm=(3.0, 3.0, 3.0))  # 120 mm wide, the body 180 mm
    ct, mask = torso(grid)
    assert np.array_equal(find_body(ct, grid), mask)


def test_scan_of_air_has_no_body() -> None:
    with pytest.raises(CaseError, match="No body"):
        find_body(np.full(GRID.shape, -1000.0, dtype=np.float32), GRID)
