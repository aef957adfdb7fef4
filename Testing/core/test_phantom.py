"""The phantom has the anatomy that a planner expects."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from dose_prediction.case import PlanCase, RoleKind, Structure
from dose_prediction.phantom import head_and_neck_phantom

# Volumes in cc between which an adult's lie, with room on either side.
VOLUMES_CC = {
    "PTV70": (150, 200),
    "PTV63": (80, 250),
    "PTV56": (120, 300),
    "Brainstem": (20, 40),
    "SpinalCord": (12, 30),
    "Parotid_L": (15, 40),
    "Parotid_R": (15, 40),
    "Esophagus": (10, 35),
    "Larynx": (20, 50),
    "Bone_Mandible": (35, 80),
    "External": (5500, 9000),
}
SEEDS = (0, 1, 2)


@cache
def phantom(seed: int) -> PlanCase:
    return head_and_neck_phantom(seed)


def structure(case: PlanCase, name: str) -> Structure:
    return next(s for s in case.structures if s.name == name)


def centre(case: PlanCase, name: str) -> np.ndarray:
    return case.grid.world_from_index(np.argwhere(structure(case, name).mask).mean(axis=0))


def test_same_seed_gives_the_same_patient_and_another_seed_another() -> None:
    assert head_and_neck_phantom(0).digest == phantom(0).digest
    assert phantom(1).digest != phantom(0).digest


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", VOLUMES_CC)
def test_volume_is_that_of_an_adult(name: str, seed: int) -> None:
    case = phantom(seed)
    low, high = VOLUMES_CC[name]
    assert low < np.count_nonzero(structure(case, name).mask) * case.grid.voxel_volume_mm3 / 1000 < high


def test_every_structure_is_recognised() -> None:
    case = phantom(0)
    assert {s.name for s in case.structures} == set(VOLUMES_CC)
    assert RoleKind.IGNORED not in {s.role.kind for s in case.structures}
    assert [t.role.prescription_gy for t in case.targets] == [70.0, 63.0, 56.0]
    assert len(case.beams) == 9


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_do_not_overlap_and_stay_3_mm_inside_the_skin(seed: int) -> None:
    case = phantom(seed)
    together = np.sum([target.mask for target in case.targets], axis=0)
    assert together.max() == 1
    # Depth of a voxel's near face below the skin's voxel faces: half a voxel less at either end than between the centres.
    depth_mm = ndimage.distance_transform_edt(case.body, sampling=case.grid.spacing_zyx_mm) - 3.0
    assert depth_mm[together > 0].min() >= 3.0


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_spare_the_cord_and_the_brainstem(seed: int) -> None:
    case = phantom(seed)
    organs = ndimage.binary_dilation(structure(case, "SpinalCord").mask | structure(case, "Brainstem").mask)
    assert not any(np.any(target.mask & organs) for target in case.targets)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["PTV70", "Brainstem", "SpinalCord", "Larynx", "External", "Parotid_L", "Parotid_R"])
def test_structure_is_one_piece(name: str, seed: int) -> None:
    labels, _ = ndimage.label(structure(phantom(seed), name).mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() > 0.98 * sizes.sum()


def test_organs_lie_where_anatomy_has_them() -> None:
    case = phantom(0)
    assert centre(case, "PTV70")[0] < -10  # the tumour is on the right
    assert centre(case, "Parotid_L")[0] > 40 > -40 > centre(case, "Parotid_R")[0]
    assert centre(case, "Brainstem")[2] > centre(case, "Parotid_L")[2] > centre(case, "Larynx")[2] > centre(case, "Esophagus")[2]
    assert centre(case, "Bone_Mandible")[1] < centre(case, "Larynx")[1] < centre(case, "SpinalCord")[1]


def test_sides_differ() -> None:
    case = phantom(0)
    assert not np.array_equal(structure(case, "External").mask, structure(case, "External").mask[:, :, ::-1])


@pytest.mark.parametrize(
    ("name", "low_hu", "high_hu"),
    [("Brainstem", 20, 50), ("SpinalCord", 20, 60), ("Parotid_L", -60, 40), ("Bone_Mandible", 400, 1200), ("PTV70", -50, 150), ("Esophagus", 0, 70)],
)
def test_ct_numbers_are_those_of_the_tissue(name: str, low_hu: float, high_hu: float) -> None:
    case = phantom(0)
    assert low_hu < np.median(case.ct_hu[structure(case, name).mask]) < high_hu


def test_ct_holds_air_outside_and_airway_lung_and_bone_inside() -> None:
    case = phantom(0)
    outside = ~ndimage.binary_dilation(case.body, iterations=2)
    assert abs(case.ct_hu[outside].mean() + 1000) < 5
    inside = case.ct_hu[case.body]
    volume_cc = case.grid.voxel_volume_mm3 / 1000
    assert 20 < np.count_nonzero(inside < -850) * volume_cc < 400
    assert 200 < np.count_nonzero(inside > 300) * volume_cc < 1500
    assert np.array_equal(case.ct_hu, np.round(case.ct_hu))
