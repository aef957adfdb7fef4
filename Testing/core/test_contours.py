"""Contours to masks and back, against areas and volumes that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dose_prediction.case import CaseError, CaseWarning, Grid
from dose_prediction.contours import area, filled, outlines, polygons_to_mask

SHAPE = (200, 220)


def circle(radius: float, centre: tuple[float, float] = (100.3, 90.7), points: int = 360) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)])


@pytest.mark.parametrize("radius", [15.0, 40.2, 77.7])
def test_a_circle_fills_its_area(radius):
    assert filled([circle(radius)], SHAPE).sum() == pytest.approx(np.pi * radius**2, rel=0.01)


def test_the_way_round_does_not_matter():
    assert np.array_equal(filled([circle(40)], SHAPE), filled([circle(40)[::-1]], SHAPE))


def test_a_contour_inside_another_cuts_a_hole_and_one_inside_the_hole_fills_it_again():
    mask = filled([circle(80), circle(50), circle(20)], SHAPE)
    assert mask.sum() == pytest.approx(np.pi * (80**2 - 50**2 + 20**2), rel=0.01)
    assert mask[90, 100] and not mask[90, 135] and mask[90, 165]


def test_a_keyhole_is_a_ring():
    """One contour: around the outside, in along a cut, around the hole the other way, out along the same cut."""
    outer, inner = circle(80), circle(50)[::-1]
    keyhole = np.concatenate([outer, outer[:1], inner[-1:], inner, outer[:1]])
    ring = filled([outer, inner], SHAPE)
    assert np.array_equal(filled([keyhole], SHAPE), ring)
    assert ring.sum() == pytest.approx(np.pi * (80**2 - 50**2), rel=0.01)


def test_several_contours_of_a_slice_add_up():
    mask = filled([circle(20, (50, 50)), circle(30, (150, 120))], SHAPE)
    assert mask.sum() == pytest.approx(np.pi * (20**2 + 30**2), rel=0.01)


def test_contours_that_touch_share_no_voxel_and_leave_no_gap():
    left = np.array([[10.0, 10.0], [50.0, 10.0], [50.0, 60.0], [10.0, 60.0]])
    right = left + np.array([40.0, 0.0])
    one, other = filled([left], SHAPE), filled([right], SHAPE)
    assert not np.any(one & other)
    assert np.array_equal(one | other, filled([np.array([[10.0, 10.0], [90.0, 10.0], [90.0, 60.0], [10.0, 60.0]])], SHAPE))


def test_what_lies_outside_the_slice_is_cut_off():
    mask = filled([np.array([[-50.0, -50.0], [99.5, -50.0], [99.5, 500.0], [-50.0, 500.0]])], SHAPE)
    assert mask[:, :100].all() and not mask[:, 100:].any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 0.9))
@settings(max_examples=100, deadline=None)
def test_outlines_of_any_mask_give_the_mask_back(seed, rows, columns, density):
    mask = np.random.default_rng(seed).random((rows, columns)) < density
    rounded = [np.round(polygon, 3) for polygon in outlines(mask)]
    assert np.array_equal(filled(rounded, mask.shape), mask)


def test_areas_count_by_the_even_odd_rule():
    assert area([np.array([[0, 0], [4, 0], [4, 1], [1, 1], [1, 3], [0, 3]])]) == pytest.approx(6.0)
    assert area([circle(80), circle(50), circle(20)]) == pytest.approx(np.pi * (80**2 - 50**2 + 20**2), rel=1e-3)
    assert area([circle(10, (-3.0, -20.0))]) == pytest.approx(np.pi * 100, rel=1e-3)  # beyond the slice, too


def keyhole(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """One contour: around the outside, in along a cut, around the hole the other way, out along the same cut."""
    return np.concatenate([outer, outer[:1], inner[:1], inner[::-1], outer[:1]])


def test_keyholes_that_touch_are_rings_side_by_side():
    """The right ring begins where the left one ends; of a third the hole reaches its outer edge."""
    left, right = (np.array([[x, 20.0], [x + 60, 20], [x + 60, 80], [x, 80]]) for x in (20.0, 80.0))
    holes = [ring + np.array([[15.0, 15], [-15, 15], [-15, -15], [15, -15]]) for ring in (left, right)]
    mask = filled([keyhole(left, holes[0]), keyhole(right, holes[1])], SHAPE)
    assert mask.sum() == 2 * (60 * 60 - 30 * 30) and not mask[50, 50] and not mask[50, 110] and mask[50, 79] and mask[50, 80]
    touching = np.array([[20.0, 120.0], [80, 120], [80, 180], [20, 180]])
    notch = np.array([[20.0, 140.0], [50, 140], [50, 160], [20, 160]])
    assert filled([keyhole(touching, notch)], SHAPE).sum() == 60 * 60 - 30 * 20
    assert filled([touching, notch], SHAPE).sum() == 60 * 60 - 30 * 20


def test_a_keyhole_whose_cut_was_rounded_loses_no_more_than_a_line():
    """Planning systems write coordinates with two decimals, so the two edges of the cut need not coincide."""
    cut = keyhole(circle(80), circle(50))
    cut[len(circle(80)) :] += 0.004
    assert filled([cut], SHAPE).sum() == pytest.approx(np.pi * (80**2 - 50**2), rel=0.01)


# Stacks of contours in the patient

GRIDS = {
    "head first, supine": Grid((30, 60, 70), (-40.0, -25.0, 100.0), (1.1, 0.9, 2.5)),
    "feet first, prone": Grid((30, 60, 70), (40.0, 25.0, 100.0), (0.9, 1.1, 2.5), ((1.0, 0, 0), (0, -1.0, 0), (0, 0, -1.0))),
    "left-handed": Grid((30, 60, 70), (-40.0, -25.0, 100.0), (1.1, 0.9, 2.5), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0))),
    "coronal": Grid((30, 60, 70), (-40.0, -25.0, 100.0), (1.1, 0.9, 2.5), ((1.0, 0, 0), (0, 0, 1.0), (0, -1.0, 0))),
    "oblique": Grid((30, 60, 70), (-40.0, -25.0, 100.0), (1.1, 0.9, 2.5), ((0.6, -0.8, 0), (0.64, 0.48, -0.6), (0.48, 0.36, 0.8))),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_an_ellipsoid_lies_where_it_was_drawn_whatever_the_grid(grid):
    """Contours are given in the patient; whichever way the slices lie, the mask has their volume and their middle."""
    semi_mm, middle = np.array([20.0, 24.0, 18.0]), np.array([15.2, 28.6, 34.3])  # slice, row, column
    drawn, drawn_mm3 = [], 0.0
    for index in range(grid.shape[0]):
        part = 1 - ((index - middle[0]) * 2.5 / semi_mm[0]) ** 2
        if part > 0:
            ring = circle(1.0, (0.0, 0.0)) * np.sqrt(part) * semi_mm[:0:-1] / grid.spacing_mm[:2] + middle[:0:-1]
            drawn.append(grid.world_from_index(np.column_stack([np.full(len(ring), index), ring[:, ::-1]])))
            drawn_mm3 += area([ring]) * grid.voxel_volume_mm3
    mask = polygons_to_mask(drawn, grid, "Ellipsoid")
    assert mask.sum() * grid.voxel_volume_mm3 == pytest.approx(drawn_mm3, rel=0.01)
    assert np.argwhere(mask).mean(axis=0) == pytest.approx(middle, abs=0.15)


def test_a_structure_that_is_small_for_its_voxels_is_told_of():
    grid = Grid((4, 10, 10), (0.0, 0.0, 0.0), (4.0, 4.0, 3.0))
    ring = np.column_stack([circle(5.0, (18.0, 18.0)), np.full(360, 3.0)])
    with pytest.warns(CaseWarning, match="4 x 4 x 3 mm are coarse for 'Lens_L': its contours enclose 0.236 cc, its voxels 0.192 cc"):
        assert polygons_to_mask([ring], grid, "Lens_L").sum() == 4


def test_a_structure_without_contours_has_no_voxels():
    assert not polygons_to_mask([], GRIDS["oblique"], "Nothing").any()


def test_contours_across_the_slices_are_refused():
    square = np.array([[-20.0, -10.0, 110.0], [-20.0, 10.0, 110.0], [-20.0, 10.0, 130.0], [-20.0, -10.0, 130.0]])
    with pytest.raises(CaseError, match="'Cord' reaches over 20.0 mm across the CT's slices"):
        polygons_to_mask([square], GRIDS["left-handed"], "Cord")
    with pytest.raises(CaseError, match="corners of shape \\(4, 2\\); give finite x, y and z"):
        polygons_to_mask([square[:, :2]], GRIDS["left-handed"], "Cord")
