"""A case in another pose is the case that physics would give there."""

from __future__ import annotations

import math

import numpy as np
import torch

from dose_prediction.case import Beam, PlanCase
from dose_prediction.model.condition import BEAM_ANGLES, CHANNELS, FIRST_NUMBER, OPEN_MOMENTS, TOKEN_KINDS, plan_tokens, volume_channels
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import PlanningRegion, planning_region
from dose_prediction.training.augmentation import MOST_ZOOM, Pose, draw_pose, posed_channels, posed_tokens, posed_volumes
from water_case import water_case

OPEN_FIELD = CHANNELS.index("open_field")


def with_central_target(case: PlanCase) -> PlanCase:
    """Only the body and the target in the axis of the cylinder, which look the same however they are turned."""
    return PlanCase(case.name, case.grid, case.ct_hu, case.structures[:2], case.beams, isocentre_mm=(0.0, 0.0, 0.0))


def encoded(beams: tuple[Beam, ...]) -> tuple[PlanningRegion, torch.Tensor, torch.Tensor]:
    case = with_central_target(water_case()).with_beams(beams)
    region = planning_region(case)
    volumes = volume_channels(region, physics_prior(region, trace_beams(case, region)))
    return region, torch.from_numpy(volumes), torch.from_numpy(plan_tokens(region, case.beams))


def cropped(posed: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """The middle of the padded lattice, of the size that the case has."""
    first = [(have - wanted) // 2 for have, wanted in zip(posed.shape[-2:], shape[-2:], strict=True)]
    return posed[..., first[0] : first[0] + shape[-2], first[1] : first[1] + shape[-1]].numpy()


def test_turning_a_case_gives_the_open_field_of_turned_beams() -> None:
    _, before, tokens = encoded((Beam(20), Beam(65)))
    _, wanted, wanted_tokens = encoded((Beam(50), Beam(95)))
    pose = Pose(math.radians(30), 1.0, (0.0, 0.0))
    turned = cropped(posed_channels(before, pose), before.shape)
    body = wanted[CHANNELS.index("body")].numpy() > 0.5
    other_way = cropped(posed_channels(before, Pose(math.radians(-30), 1.0, (0.0, 0.0))), before.shape)
    for channel in (OPEN_FIELD, *(CHANNELS.index(name) for name in OPEN_MOMENTS)):
        error, wrong = (np.abs(found[channel] - wanted[channel].numpy())[body].mean() for found in (turned, other_way))
        assert error < 0.04  # of the mean dose in the target, whose square section looks a little different when turned
        assert wrong > 4 * error
    assert torch.allclose(posed_tokens(tokens, pose), wanted_tokens, atol=1e-6)


def test_a_zoomed_case_has_smaller_voxels_and_the_same_anatomy_in_millimetres() -> None:
    region, before, tokens = encoded((Beam(0),))
    pose = Pose(0.0, 1.1, (0.0, 0.0))
    body = CHANNELS.index("body")
    area_before = float(before[body].sum()) * region.grid.spacing_mm[0] ** 2
    voxel = posed_tokens(tokens, pose)[tokens[:, TOKEN_KINDS.index("voxel")] > 0.5][0]
    spacing = voxel[FIRST_NUMBER : FIRST_NUMBER + 3].numpy() * 5.0
    np.testing.assert_allclose(spacing, [4.0 / 1.1, 4.0 / 1.1, 3.0], rtol=1e-6)
    area_after = float((posed_volumes(before, pose)[body] > 0.5).sum()) * spacing[0] ** 2
    assert abs(area_after / area_before - 1) < 0.02


def test_prescriptions_are_never_mixed() -> None:
    _, before, _ = encoded((Beam(0),))
    prescription = CHANNELS.index("prescription")
    posed = posed_channels(before, Pose(0.3, 1.07, (2.3, -1.6)))
    assert set(posed[prescription].unique().tolist()) <= set(before[prescription].unique().tolist())


def test_a_shift_of_whole_voxels_loses_nothing() -> None:
    volumes = torch.zeros(len(CHANNELS), 2, 41, 41)
    volumes[0, 1, 20, 20] = 1.0
    posed = posed_volumes(volumes, Pose(0.0, 1.0, (3.5, -2.5)))  # an even lattice has its middle half a voxel away
    assert posed[0].max() == 1.0
    assert posed[0].argmax() == np.ravel_multi_index((1, 27, 21), posed[0].shape)


def test_poses_come_from_the_generator_and_keep_their_bounds() -> None:
    coplanar, tilted = torch.zeros(1, 21), torch.zeros(1, 21)
    for tokens in (coplanar, tilted):
        tokens[0, TOKEN_KINDS.index("beam")] = 1.0
    tilted[0, BEAM_ANGLES + 2] = 0.5
    poses = [draw_pose(coplanar, torch.Generator().manual_seed(seed)) for seed in range(200)]
    assert poses[3] == draw_pose(coplanar, torch.Generator().manual_seed(3))
    turns = [math.degrees(pose.turn_rad) for pose in poses]
    small = [turn for turn in turns if abs(turn) < 45]
    assert 60 < len(small) < 180
    assert max(turns) > 300
    assert 5 < np.std(small) < 25
    assert 20 < sum(pose.is_upended for pose in poses) < 120
    assert max(abs(math.log(pose.zoom)) for pose in poses) <= math.log(MOST_ZOOM) + 1e-9
    # A couch angle cannot be turned about the patient's axis by gantry angles alone.
    stay = [draw_pose(tilted, torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert all(pose.turn_rad == 0 and not pose.is_upended for pose in stay)


def test_a_case_lying_on_its_side_keeps_all_of_its_body() -> None:
    volumes = torch.zeros(len(CHANNELS), 3, 40, 90)
    y, x = np.mgrid[:40, :90]
    ellipse = torch.from_numpy(((y - 19.5) / 19) ** 2 + ((x - 44.5) / 44) ** 2 < 1).float()
    volumes[CHANNELS.index("body")] = ellipse
    volumes[0, 2] = ellipse
    posed = posed_volumes(volumes, Pose(math.radians(90), 1.15, (0.0, 0.0), is_upended=True))
    assert posed.shape[-2] > posed.shape[-1]
    body = posed[CHANNELS.index("body")]
    assert abs(float(body.sum()) / (3 * float(ellipse.sum()) * 1.15**2) - 1) < 0.01
    assert float(posed[0, 0].sum()) > 0
    assert float(posed[0, 2].sum()) == 0  # what was above is below
