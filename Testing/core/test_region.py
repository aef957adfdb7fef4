"""The planning region: cut out where voxels are kept, resampled where they are not, and back again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dose_prediction.case import Grid, PlanCase, Role, Structure
from dose_prediction.case.grid import IDENTITY
from dose_prediction.region import RESAMPLED_SPACING_MM, onto_case_grid, onto_region, planning_region
from water_case import SHAPE, water_case

FINE = Grid(SHAPE, origin_mm=(-19.5, -19.5, -10.0), spacing_mm=(1.0, 1.0, 1.0))


def place(case: PlanCase) -> np.ndarray:
    """A volume on the case's grid that is a linear function of the place in the patient."""
    points = case.grid.world_from_index(np.stack(np.indices(case.grid.shape), -1))
    return (points @ [0.5, -0.25, 1.0] + 100.0).astype(np.float32)


def test_voxels_that_the_model_knows_are_kept_as_they_are() -> None:
    case = water_case()
    region = planning_region(case)
    assert region.grid.spacing_mm == case.grid.spacing_mm
    values = np.random.default_rng(0).uniform(0, 70, SHAPE).astype(np.float32)
    back = onto_case_grid(onto_region(values, case, region), region, case)
    assert np.array_equal(back[case.body], values[case.body])
    assert region.body.sum() == case.body.sum()
    assert region.targets[0].fraction.sum() == case.targets[0].mask.sum()


def test_region_holds_the_whole_body_across() -> None:
    long = Grid(SHAPE, origin_mm=(-78.0, -78.0, 0.0), spacing_mm=(4.0, 4.0, 3.9))
    assert planning_region(water_case(grid=long)).grid.shape == (20, 34, 34)


@pytest.mark.parametrize(
    "grid",
    [
        FINE,
        Grid(SHAPE, (20.0, -78.0, -30.0), (4.0, 4.0, 3.0), ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),  # left-handed: x runs to the right
        Grid(SHAPE, (-60.0, -90.0, 10.0), (4.0, 4.0, 3.0), ((0.96, -0.28, 0.0), (0.28, 0.96, 0.0), (0.0, 0.0, 1.0))),  # oblique
        Grid(SHAPE, (-60.0, -90.0, 10.0), (4.0, 4.0, 3.0), ((1.0, 0.0, 0.0), (0.0, 0.96, -0.28), (0.0, 0.28, 0.96))),  # slices that lean
        Grid(SHAPE, (0.0, 0.0, 0.0), (2.0, 4.0, 3.0), ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))),  # sagittal slices
        Grid(SHAPE, (60.0, 90.0, 10.0), (2.0, 4.0, 3.0), ((-0.96, 0.28, 0.0), (-0.28, -0.96, 0.0), (0.0, 0.0, 1.0))),  # upside down and oblique
    ],
    ids=["fine", "left-handed", "oblique", "leaning", "sagittal", "prone"],
)
def test_other_grids_are_resampled_without_moving_anything(grid: Grid) -> None:
    case = water_case(grid=grid)
    region = planning_region(case)
    assert region.grid.direction[2] == (0.0, 0.0, 1.0)  # axes at most turned about the patient's long one, by less than 45 degrees
    assert abs(region.turn_rad) < np.pi / 4
    # A linear function of place survives linear interpolation exactly, wherever both grids have neighbours.
    carried = onto_region(place(case), case, region)
    points = region.grid.world_from_index(np.stack(np.indices(region.grid.shape), -1))
    inside = np.all((case.grid.index_from_world(points) > 1) & (case.grid.index_from_world(points) < np.array(SHAPE) - 2), axis=-1)
    assert inside.sum() > 30
    assert carried[inside] == pytest.approx((points @ [0.5, -0.25, 1.0] + 100.0)[inside], abs=0.3)
    # A target keeps its volume and its centre.
    target = case.targets[0]
    volume = target.mask.sum() * case.grid.voxel_volume_mm3
    fraction = region.targets[0].fraction
    assert fraction.sum() * region.grid.voxel_volume_mm3 == pytest.approx(volume, rel=0.12)
    centre = case.grid.world_from_index(np.argwhere(target.mask).mean(0))
    weights = fraction / fraction.sum()
    found = np.array([(weights * points[..., axis]).sum() for axis in range(3)])
    assert found == pytest.approx(centre, abs=0.5)


def test_a_fine_ct_is_computed_at_the_models_spacing() -> None:
    assert planning_region(water_case(grid=FINE)).grid.spacing_mm == RESAMPLED_SPACING_MM


def test_slices_as_the_model_knows_them_are_kept_in_a_fine_ct() -> None:
    case = water_case(grid=Grid(SHAPE, origin_mm=(-19.5, -19.5, -10.0), spacing_mm=(1.0, 1.0, 2.5)))
    region = planning_region(case)
    assert region.grid.spacing_mm == (*RESAMPLED_SPACING_MM[:2], 2.5)
    first = case.grid.index_from_world(region.grid.origin_mm)[0]
    assert first == pytest.approx(round(first), abs=1e-6)  # so that no slice is made of two
    assert region.grid.shape[0] <= case.grid.shape[0]


def test_voxels_turned_in_their_slices_are_kept() -> None:
    turned = Grid(SHAPE, (-60.0, -90.0, 10.0), (3.9, 3.9, 2.5), ((0.96, -0.28, 0.0), (0.28, 0.96, 0.0), (0.0, 0.0, 1.0)))
    straight = Grid(SHAPE, (-60.0, -90.0, 10.0), (3.9, 3.9, 2.5))
    case, region = water_case(grid=turned), planning_region(water_case(grid=turned))
    assert region.turn_rad == pytest.approx(np.arctan2(0.28, 0.96))
    assert region.grid.shape == planning_region(water_case(grid=straight)).grid.shape
    assert np.isin(onto_region(place(case), case, region), place(case)).all()  # nothing is interpolated


def test_voxels_of_slices_that_lean_keep_their_size() -> None:
    leaning = Grid(SHAPE, (-60.0, -90.0, 10.0), (3.9, 3.9, 2.5), ((1.0, 0.0, 0.0), (0.0, 0.96, -0.28), (0.0, 0.28, 0.96)))
    region = planning_region(water_case(grid=leaning))
    assert region.grid.direction == IDENTITY
    assert region.grid.spacing_mm == (3.9, 3.9, 2.5)


def test_organs_that_no_standard_names_stay_apart() -> None:
    case = water_case()
    unlisted = tuple(Structure(name, Role.organ(""), organ) for name, organ in (("Uvula", case.organs[0].mask), ("Tongue tip", case.targets[0].mask)))
    region = planning_region(PlanCase("two unlisted", case.grid, case.ct_hu, (*case.structures, *unlisted), case.beams))
    assert set(region.organs) == {"Parotid_L", "Uvula", "Tongue tip"}


def test_targets_with_one_prescription_are_one_target_and_the_highest_comes_first() -> None:
    region = planning_region(water_case())
    assert [target.prescription_gy for target in region.targets] == [70.0, 56.0]
    levels = np.unique(region.prescription_map_gy)
    assert levels.tolist() == [0.0, 56.0, 70.0]


def test_a_voxel_keeps_its_place_when_the_region_is_cut_elsewhere() -> None:
    case = water_case()
    shorter = np.where(np.arange(SHAPE[0])[:, None, None] < 9, False, case.body)
    cut = replace(case, structures=tuple(replace(s, mask=s.mask & shorter) for s in case.structures))
    regions = [planning_region(either) for either in (case, cut)]
    assert regions[0].grid.origin_mm != regions[1].grid.origin_mm
    places = [{tuple(place) for place in region.places.round(6)} for region in regions]
    assert places[1] < places[0]
