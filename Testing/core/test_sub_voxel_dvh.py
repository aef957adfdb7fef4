"""DVHs with sub-voxel accuracy: spheres, cylinders and cones in linear gradients, and what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analytic_structures import GRADIENTS, SHAPES, Solid
from dose_prediction.case import Grid
from dose_prediction.dosimetry import (
    StructureDose,
    dose_at_volume,
    dose_in_contours,
    dose_in_mask,
    dose_in_slices,
    dose_in_surface,
    volume_at_dose,
)

GRID = Grid((8, 8, 8), spacing_mm=(2.0, 2.0, 2.0))
RAMP = np.broadcast_to(np.arange(8.0) * 10, GRID.shape)  # 0 to 70 Gy along x
SQUARE = np.array([[3.0, 3.0], [9.0, 3.0], [9.0, 9.0], [3.0, 9.0]])


def in_plane(points: np.ndarray, z: float) -> np.ndarray:
    return np.column_stack([points, np.full(len(points), z)])


def open_sphere() -> tuple[np.ndarray, np.ndarray]:
    points, triangles = Solid("sphere", 0.1, 1.0).surface()
    return points + 7, triangles[6000:]


def within_limits(found: StructureDose, solid: Solid, gradient: str) -> None:
    assert found.total_cc == pytest.approx(solid.cc, rel=0.01 if solid.cc >= 0.5 else 0.03)
    truth = solid.true_doses(gradient)
    for name, value in (("D95%", found.dose_at_volume(95)), ("D5%", found.dose_at_volume(5)), ("Dmean", found.mean_gy)):
        assert value == pytest.approx(truth[name], abs=max(0.1, 0.005 * truth[name])), name


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cc", [0.1, 5.0])
def test_a_surface_has_its_volume_and_doses_on_a_coarse_dose_grid(shape, cc, gradient):
    solid = Solid(shape, cc, slice_mm=1.0)
    within_limits(dose_in_surface(*solid.dose(gradient, 5.0), *solid.surface()), solid, gradient)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("cc", "slice_mm"), [(0.1, 0.2), (0.1, 2.0), (0.5, 3.0), (10.0, 1.0), (30.0, 2.0)])
def test_contours_have_the_volume_and_doses_of_what_was_drawn(shape, cc, slice_mm, gradient):
    solid = Solid(shape, cc, slice_mm)
    within_limits(dose_in_contours(*solid.dose(gradient, 3.0), solid.contours()), solid, gradient)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_on_finer_voxels_than_the_dose_keeps_its_detail(shape):
    solid = Solid(shape, 10.0, slice_mm=1.0)
    within_limits(dose_in_mask(*solid.dose("across", 5.0), *solid.mask()), solid, "across")


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("cc", "slice_mm"), [(0.1, 2.0), (0.5, 3.0), (2.0, 1.0), (10.0, 3.0)])
def test_partial_volumes_on_coarse_voxels_have_the_volume_and_doses_of_the_solid(shape, cc, slice_mm, gradient):
    solid = Solid(shape, cc, slice_mm)
    within_limits(dose_in_mask(*solid.dose(gradient, 3.0), *solid.partial_volumes()), solid, gradient)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("cc", "slice_mm"), [(2.0, 3.0), (10.0, 2.0), (30.0, 3.0)])
def test_a_mask_on_coarse_slices_is_rounded_off_between_them(shape, cc, slice_mm, gradient):
    solid = Solid(shape, cc, slice_mm)
    within_limits(dose_in_slices(*solid.dose(gradient, 3.0), *solid.mask()), solid, gradient)


def test_a_box_in_a_mask_stays_a_box():
    mask = np.zeros(GRID.shape, bool)
    mask[2:5, 3:6, 1:7] = True
    found, whole = dose_in_slices(RAMP, GRID, mask), dose_in_mask(RAMP, GRID, mask)
    assert found.total_cc == pytest.approx(mask.sum() * 0.008)
    for percent in (98, 50, 2):
        assert found.dose_at_volume(percent) == pytest.approx(whole.dose_at_volume(percent), abs=0.3)
    up = np.broadcast_to(np.arange(8.0)[:, None, None] * 10, GRID.shape)
    heights = dose_in_slices(up, GRID, mask)
    assert (heights.min_gy, heights.max_gy) == pytest.approx((15.0, 45.0), abs=0.5)


def test_a_mask_ends_where_its_grid_ends_and_parts_of_it_end_each_for_itself():
    mask = np.zeros(GRID.shape, bool)
    mask[0, 2:6, 2:6] = mask[1, 3:5, 3:5] = mask[5:8, 1:3, 1:3] = True
    found = dose_in_slices(np.broadcast_to(np.arange(8.0)[:, None, None] * 10, GRID.shape), GRID, mask)
    lower, upper = found.volume_at_dose(0, "cc") - found.volume_at_dose(35, "cc"), found.volume_at_dose(35, "cc")
    assert upper == pytest.approx(12 * 0.008)
    # Areas 16 and 4: to the edge of the grid at half a slice; beyond the other end the line through both comes to nothing after a third of one.
    assert lower == pytest.approx(0.008 * 22 / 2 * 11 / 6, rel=0.03)


def test_slices_of_a_mask_on_a_grid_of_its_own_lie_where_they_were_drawn():
    own = Grid((6, 6, 6), (3.0, 4.0, 1.0), (1.0, 1.0, 2.0))
    mask = np.zeros(own.shape, bool)
    mask[1:4, 1:5, 2:5] = True
    found = dose_in_slices(RAMP, GRID, mask, own)
    assert found.total_cc == pytest.approx(mask.sum() * 0.002)
    # x from 4.5 to 7.5 mm; the dose rises by 5 Gy/mm, and 0.5 Gy are 0.1 mm.
    assert (found.mean_gy, found.dose_at_volume(99), found.dose_at_volume(1)) == pytest.approx((30.0, 22.65, 37.35), abs=0.5)


def test_end_caps_are_half_a_slice_thick():
    found = dose_in_contours(RAMP, GRID, [in_plane(SQUARE, z) for z in (4.0, 6.0, 8.0)])
    assert found.total_cc == pytest.approx(6 * 6 * 6 / 1000)
    assert (found.mean_gy, found.dose_at_volume(50)) == pytest.approx((30.0, 30.0), abs=0.05)
    assert 15.0 <= found.min_gy < 15.5 and 44.5 < found.max_gy <= 45.0


def test_an_inner_contour_is_a_hole_and_a_second_one_beside_it_adds():
    hole = (SQUARE - 6) / 3 + 6
    with_hole = dose_in_contours(RAMP, GRID, [in_plane(part, z) for z in (4.0, 6.0) for part in (SQUARE, hole)])
    assert with_hole.total_cc == pytest.approx((36 - 4) * 4 / 1000)
    beside = np.array([[10.0, 3.0], [12.0, 3.0], [12.0, 9.0], [10.0, 9.0]])
    both = dose_in_contours(RAMP, GRID, [in_plane(part, z) for z in (4.0, 6.0) for part in (SQUARE, beside)])
    assert both.total_cc == pytest.approx((36 + 12) * 4 / 1000)


def test_all_of_a_uniform_dose_is_at_least_itself():
    for dose_gy in (59.4, 70.0):
        found = dose_in_slices(np.full(GRID.shape, dose_gy), GRID, np.indices(GRID.shape).sum(axis=0) < 9)
        assert (found.min_gy, found.max_gy) == pytest.approx((dose_gy, dose_gy)) and found.volume_at_dose(dose_gy) == pytest.approx(100)


def test_partial_volumes_count_by_their_share():
    weights = np.zeros(GRID.shape)
    weights[4, 4, 2], weights[4, 4, 6] = 1.0, 0.25  # about 20 and 60 Gy
    found = dose_in_mask(RAMP, GRID, weights)
    assert found.total_cc == pytest.approx(1.25 * 8 / 1000)
    assert found.mean_gy == pytest.approx((20 + 0.25 * 60) / 1.25, abs=0.1) and found.volume_at_dose(40) == pytest.approx(20.0)


def test_partial_volumes_lie_on_the_side_of_the_full_voxels():
    weights = np.zeros(GRID.shape)
    weights[..., 2:4], weights[..., 4] = 1.0, 0.25  # x from 3 to 7.5 mm
    found = dose_in_mask(RAMP, GRID, weights)
    assert found.total_cc == pytest.approx(4.5 * 16 * 16 / 1000)
    assert (found.min_gy, found.mean_gy, found.max_gy) == pytest.approx((15.0, 26.25, 37.5), abs=0.2)


def test_dividing_voxels_keeps_the_volume_and_resolves_the_dose_inside_them():
    mask = np.zeros(GRID.shape, bool)
    mask[4, 4, 4] = True
    found = dose_in_mask(RAMP, GRID, mask, divisions=6)
    assert found.total_cc == pytest.approx(0.008)
    assert found.dose_at_volume(100) == pytest.approx(35.0, abs=0.5) and found.dose_at_volume(0) == pytest.approx(45.0, abs=0.5)


def test_an_oblique_grid_changes_nothing():
    turned = Grid(GRID.shape, (5.0, -3.0, 2.0), GRID.spacing_mm, ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0)))
    straight = [in_plane(SQUARE, z) for z in (4.0, 6.0)]
    moved = [turned.world_from_index(loop[:, ::-1] / 2) for loop in straight]
    first, second = dose_in_contours(RAMP, GRID, straight), dose_in_contours(RAMP, turned, moved)
    assert (first.total_cc, first.mean_gy) == pytest.approx((second.total_cc, second.mean_gy))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(0, 80, width=32)), st.floats(0, 100), st.floats(0, 80))
def test_whole_voxels_read_the_same_as_the_plain_functions(doses, percent, at_least):
    found, everywhere = StructureDose(doses, np.full(len(doses), 0.027)), np.ones(len(doses), bool)
    assert found.dose_at_volume(percent) == pytest.approx(dose_at_volume(doses, everywhere, percent), abs=1e-6)
    assert found.volume_at_dose(at_least) == pytest.approx(volume_at_dose(doses, everywhere, at_least))


def test_the_differential_dvh_sums_to_the_volume_and_is_the_slope_of_the_cumulative_one():
    found = StructureDose([5.0, 15.0, 15.0, 25.0], [1.0, 2.0, 3.0, 4.0])
    edges = np.array([0.0, 10.0, 20.0, 30.0])
    assert (found.differential(edges, "cc") * 10).tolist() == [1.0, 5.0, 4.0]
    assert found.differential(edges) * 10 == pytest.approx(-np.diff(found.cumulative(edges)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: dose_in_mask(RAMP, GRID, np.zeros(GRID.shape)), "no voxel"),
        (lambda: dose_in_slices(RAMP, GRID, np.zeros(GRID.shape)), "no voxel"),
        (lambda: dose_in_slices(RAMP, GRID, np.ones((2, 2, 2))), "(2, 2, 2)"),
        (lambda: dose_in_mask(RAMP, GRID, np.full(GRID.shape, 2.0)), "weight is 2"),
        (lambda: dose_in_mask(RAMP, GRID, np.where(RAMP > 30, 1.0, -0.5)), "weight is -0.5"),
        (lambda: dose_in_mask(RAMP, GRID, np.where(RAMP > 30, 1.0, np.nan)), "weight is nan"),
        (lambda: dose_in_slices(RAMP, GRID, np.full(GRID.shape, 0.5)), "partial-volume weights"),
        (lambda: dose_in_mask(RAMP[:4], GRID, np.ones(GRID.shape)), "(4, 8, 8)"),
        (lambda: dose_in_contours(RAMP, GRID, [in_plane(SQUARE, 4.0)]), "1 planes"),
        (lambda: dose_in_contours(RAMP, GRID, [in_plane(SQUARE[:2], 4.0)]), "2 points"),
        (lambda: dose_in_contours(RAMP, GRID, [np.column_stack([SQUARE, [4.0, 4.0, 5.0, 5.0]])]), "leaves the slices"),
        (lambda: dose_in_contours(RAMP, GRID, [in_plane(SQUARE + 8, z) for z in (4.0, 6.0)]), "beyond the dose grid"),
        (
            lambda: dose_in_surface(RAMP, GRID, Solid("sphere", 0.1, 1.0).surface()[0] + 7, Solid("sphere", 0.1, 1.0).surface()[1][6000:]),
            "not closed",
        ),
        (lambda: StructureDose([1.0], [0.0]), "no volume"),
        (lambda: StructureDose([1.0, 2.0], [1.0]), "2 doses and 1 volumes"),
        (lambda: StructureDose([1.0], [1.0]).dose_at_volume(120), "120"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(call, said):
    with pytest.raises(ValueError) as error:
        call()
    assert said in str(error.value)
