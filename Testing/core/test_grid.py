"""Where voxels lie: SimpleITK is the judge."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dose_prediction.case import CaseError, Grid


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Any grid: oblique, left- or right-handed, any spacing and origin."""
    shape = draw(st.tuples(*[st.integers(1, 30)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.1, 10)] * 3))
    origin = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    direction = Rotation.from_euler("xyz", draw(st.tuples(*[st.integers(-180, 180)] * 3)), degrees=True).as_matrix()
    if draw(st.booleans()):
        direction[:, 2] *= -1
    return Grid(shape, origin, spacing, direction)


def in_itk(grid: Grid) -> SimpleITK.Image:
    image = SimpleITK.Image(*grid.shape[::-1], SimpleITK.sitkUInt8)
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection(np.ravel(grid.direction).tolist())
    return image


@given(grids(), st.tuples(*[st.floats(-50, 50)] * 3))
def test_index_lies_where_itk_puts_it(grid: Grid, index_zyx: tuple[float, float, float]) -> None:
    expected = in_itk(grid).TransformContinuousIndexToPhysicalPoint(index_zyx[::-1])
    np.testing.assert_allclose(grid.world_from_index(index_zyx), expected, atol=1e-6)


@given(grids(), st.tuples(*[st.floats(-500, 500)] * 3))
def test_point_has_the_index_that_itk_gives_it(grid: Grid, point: tuple[float, float, float]) -> None:
    expected = in_itk(grid).TransformPhysicalPointToContinuousIndex(point)[::-1]
    np.testing.assert_allclose(grid.index_from_world(point), expected, rtol=1e-6, atol=1e-5)


def test_many_points_are_turned_at_once() -> None:
    grid = Grid((4, 5, 6), (10, 20, 30), (1, 2, 3))
    np.testing.assert_allclose(grid.world_from_index([[0, 0, 0], [1, 1, 1]]), [[10, 20, 30], [11, 22, 33]])
    assert grid.index_from_world(np.zeros((7, 2, 3))).shape == (7, 2, 3)


@given(grids(), st.tuples(*[st.integers(-5, 5)] * 3))
def test_voxels_of_a_cropped_grid_stay_where_they_are(grid: Grid, start: tuple[int, int, int]) -> None:
    part = grid.cropped(start, (3, 4, 5))
    np.testing.assert_allclose(part.world_from_index((2, 1, 4)), grid.world_from_index(np.add(start, (2, 1, 4))), atol=1e-6)


def test_voxel_volume_and_spacing_in_array_order() -> None:
    grid = Grid((2, 2, 2), spacing_mm=(1.0, 2.0, 2.5))
    assert grid.voxel_volume_mm3 == 5.0
    assert grid.spacing_zyx_mm == (2.5, 2.0, 1.0)


def test_grids_match_if_their_voxels_do() -> None:
    grid = Grid((10, 10, 10), (0, 0, 0), (3, 3, 3))
    assert grid.matches(Grid((10, 10, 10), (0.005, 0, 0), (3, 3, 3)))
    assert not grid.matches(Grid((10, 10, 10), (0.1, 0, 0), (3, 3, 3)))
    assert not grid.matches(Grid((10, 10, 10), (0, 0, 0), (3, 3, 3.01)))
    assert not grid.matches(Grid((10, 10, 9), (0, 0, 0), (3, 3, 3)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spacing_mm": (3, 0, 3)}, "spacing is"),
        ({"spacing_mm": (3, -1, 3)}, "spacing is"),
        ({"spacing_mm": (3, float("nan"), 3)}, "spacing is"),
        ({"spacing_mm": (30, 1, 1)}, "at most 20 mm"),
        ({"shape": (3, 3)}, "shape is"),
        ({"shape": (3, 0, 3)}, "shape is"),
        ({"shape": (3, 2.5, 3)}, "shape is"),
        ({"shape": (3, float("nan"), 3)}, "shape is"),
        ({"origin_mm": (0, float("inf"), 0)}, "origin is"),
        ({"direction": ((1, 0.2, 0), (0, 1, 0), (0, 0, 1))}, "perpendicular"),
        ({"direction": ((1, 0), (0, 1))}, "perpendicular"),
        ({"direction": ((0, 0, 0), (0, 0, 0), (0, 0, 0))}, "perpendicular"),
    ],
)
def test_impossible_grid_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(CaseError, match=words):
        Grid(**{"shape": (3, 3, 3), **changes})  # type: ignore[arg-type]
