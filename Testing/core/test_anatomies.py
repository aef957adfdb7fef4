"""Drawn patients of other sites: organs of a plausible size in their places, and plans that treat them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from dose_prediction.anatomies import SITES, simulated_case
from dose_prediction.anatomies.build import BUILDS
from dose_prediction.case import CaseError, PlanCase, RoleKind
from dose_prediction.command_line import PHANTOM_SITES
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import planning_region

# Volumes in cc between which an adult's lie, with room on either side; lungs, liver and bowel may be cut by the end of the CT.
VOLUMES_CC = {
    "External": (8000, 45000),
    "Lung_L": (150, 4000),
    "Lung_R": (150, 4000),
    "Heart": (250, 900),
    "Liver": (400, 2900),
    "Esophagus": (30, 110),
    "SpinalCord": (15, 60),
    "Spleen": (80, 450),
    "Stomach": (80, 500),
    "Bag_Bowel": (500, 3500),
    "Kidney_L": (80, 320),
    "Kidney_R": (80, 320),
    "Bladder": (60, 500),
    "Rectum": (60, 280),
    "Femur_Head_L": (25, 120),
    "Femur_Head_R": (25, 120),
}
HU = {"Lung_L": (-860, -600), "Liver": (20, 90), "Bladder": (-20, 40), "Heart": (10, 80), "Femur_Head_L": (250, 700), "SpinalCord": (10, 70)}


@cache
def drawn(site: str, seed: int = 0, build: str = "average") -> PlanCase:
    return simulated_case(site, seed, build)


def masks(case: PlanCase) -> dict[str, np.ndarray]:
    return {structure.name: structure.mask for structure in case.structures}


def centre(case: PlanCase, name: str) -> np.ndarray:
    return case.grid.world_from_index(np.argwhere(masks(case)[name]).mean(axis=0))


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("build", [build.name for build in BUILDS])
def test_every_organ_is_known_and_of_a_plausible_size(site: str, build: str) -> None:
    case = simulated_case(site, 1, build)
    litre = case.grid.voxel_volume_mm3 / 1000
    for structure in case.structures:
        assert structure.role.kind is not RoleKind.IGNORED, structure.name
        low, high = VOLUMES_CC.get(structure.name, (15, 1500))
        assert low < structure.mask.sum() * litre < high, (structure.name, structure.mask.sum() * litre)
    edge = np.ones(case.grid.shape, bool)
    edge[:, 1:-1, 1:-1] = False
    assert not (case.body & edge).any()  # the CT holds the whole width of the patient


@pytest.mark.parametrize("site", SITES)
def test_ct_numbers_are_those_of_the_tissues(site: str) -> None:
    case = drawn(site)
    for name, mask in masks(case).items():
        if name in HU:
            low, high = HU[name]
            assert low < np.median(case.ct_hu[mask]) < high, name
    assert np.median(case.ct_hu[~case.body]) == pytest.approx(-1000, abs=15)


def test_organs_lie_on_their_sides() -> None:
    chest, belly, pelvis = drawn("lung"), drawn("liver"), drawn("prostate")
    assert centre(chest, "Lung_L")[0] > 40 and centre(chest, "Lung_R")[0] < -40
    assert centre(chest, "Heart")[0] > 0 and centre(chest, "Heart")[1] < centre(chest, "SpinalCord")[1] - 80
    assert centre(belly, "Liver")[0] < -20 and centre(belly, "Spleen")[0] > 60
    assert centre(pelvis, "Bladder")[1] < centre(pelvis, "Rectum")[1] - 30
    assert centre(drawn("breast"), "PTV_5000")[0] > 50


def test_a_seed_gives_one_case_and_another_seed_another() -> None:
    assert simulated_case("liver", 3).digest == simulated_case("liver", 3).digest
    assert simulated_case("liver", 3).digest != simulated_case("liver", 4).digest


def test_builds_for_tests_are_other_bodies_than_those_for_training() -> None:
    held_out = {build.name for build in BUILDS if build.is_held_out}
    assert held_out and held_out < {build.name for build in BUILDS}
    areas = {build.name: int(drawn("lung", 0, build.name).body.sum()) for build in BUILDS}
    trained = [area for name, area in areas.items() if name not in held_out]
    assert all(min(abs(areas[name] / area - 1) for area in trained) > 0.03 for name in held_out)


def test_sites_and_builds_that_are_not_known_are_named() -> None:
    with pytest.raises(CaseError, match="site 'knee'.*prostate"):
        simulated_case("knee")
    with pytest.raises(CaseError, match="'giant'.*slim"):
        simulated_case("lung", build="giant")


def test_the_command_offers_every_site() -> None:
    assert PHANTOM_SITES[1:] == tuple(SITES)


@pytest.mark.parametrize("site", SITES)
def test_the_quick_plan_treats_every_site(site: str) -> None:
    case = drawn(site)
    region = planning_region(case)
    dose = physics_prior(region, trace_beams(case, region)).dose_gy
    prescription = region.targets[0].prescription_gy
    target = region.prescription_map_gy > 0
    assert np.percentile(dose[target], 5) > 0.9 * prescription
    assert np.percentile(dose[target], 99) < 1.25 * prescription
    away = ndimage.distance_transform_edt(~target, sampling=region.grid.spacing_zyx_mm)
    near, far = ((away > low) & (away < high) & region.body for low, high in ((5, 15), (50, 80)))
    assert dose[far].mean() < 0.5 * dose[near].mean()
    assert dose[far].mean() < 0.4 * prescription
