"""What the network is shown of a case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dose_prediction.case import Arc, Beam, PlanCase, static_fields
from dose_prediction.model.condition import (
    CHANNELS,
    FIRST_NUMBER,
    OPEN_MOMENTS,
    PRIOR_MOMENTS,
    TOKEN_KINDS,
    DoseGoal,
    goal_tokens,
    mirrored_channels,
    mirrored_tokens,
    padded,
    plan_tokens,
    volume_channels,
)
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import planning_region
from water_case import mirror_image, water_case


def shown(case: PlanCase) -> tuple[np.ndarray, np.ndarray]:
    region = planning_region(case)
    return volume_channels(region, physics_prior(region, trace_beams(case, region))), plan_tokens(region, case.beams)


def test_every_channel_shows_what_it_is_named_after() -> None:
    case = water_case()
    volumes, _ = shown(case)
    channel = dict(zip(CHANNELS, volumes, strict=True))
    assert set(np.unique(channel["ct"]).tolist()) == {-1.0, 0.0}
    assert channel["prescription"].max() == 1.0
    assert channel["prior"][channel["prescription"] == 1.0].mean() == pytest.approx(1.0, abs=0.05)
    assert channel["Parotid_L"].sum() == case.organs[0].mask.sum()
    assert channel["Parotid_R"].sum() == 0
    assert np.all((channel["distance"] > 0) == (channel["prescription"] == 0))


def test_mirrored_channels_and_tokens_are_those_of_the_mirror_image() -> None:
    # An asymmetric case and asymmetric beams: a wrong sign cannot hide.
    case = water_case().with_beams((Beam(0), Beam(50, couch_deg=20), Beam(110), Beam(200)))
    volumes, tokens = (torch.from_numpy(part) for part in shown(case))
    mirrored_volumes, mirrored_plan = (torch.from_numpy(part) for part in shown(mirror_image(case)))
    doses = ("prior", "open_field", *PRIOR_MOMENTS, *OPEN_MOMENTS)
    exact = [i for i, name in enumerate(CHANNELS) if name not in doses]
    assert torch.allclose(mirrored_channels(volumes)[exact], mirrored_volumes[exact], atol=1e-5)
    assert torch.allclose(mirrored_tokens(tokens), mirrored_plan, atol=1e-6)
    difference = (mirrored_channels(volumes) - mirrored_volumes).abs().mean((1, 2, 3))
    for i, name in enumerate(CHANNELS):
        if name in doses:
            # The plan itself is found by sampling voxels, which the mirror image does in another order.
            assert float(difference[i]) < 0.02
            assert float(difference[i]) < 0.2 * float((mirrored_volumes[i] - volumes[i]).abs().mean())


def test_a_case_turned_with_its_beams_and_grid_is_shown_alike() -> None:
    case = water_case().with_beams((Beam(0), Beam(50), Beam(110), Beam(200)))
    turn_deg = 20.0
    cosine, sine = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])  # from anterior to the left, as gantry angles grow
    grid = replace(case.grid, origin_mm=tuple(turn @ case.grid.origin_mm), direction=tuple(map(tuple, turn @ case.grid.direction)))
    turned = replace(case, grid=grid, beams=tuple(replace(beam, gantry_deg=beam.gantry_deg + turn_deg) for beam in case.beams))
    for before, after in zip(shown(case), shown(turned), strict=True):
        assert after == pytest.approx(before, abs=2e-3)
    with pytest.raises(AssertionError):  # beams that stay where they are show themselves
        assert shown(replace(case, grid=grid))[1] == pytest.approx(shown(case)[1], abs=2e-3)


def test_mirroring_twice_changes_nothing() -> None:
    volumes, tokens = (torch.from_numpy(part) for part in shown(water_case()))
    assert torch.equal(mirrored_channels(mirrored_channels(volumes)), volumes)
    assert torch.equal(mirrored_tokens(mirrored_tokens(tokens)), tokens)


def test_a_token_for_each_prescription_beam_and_goal() -> None:
    case = water_case()
    tokens = plan_tokens(planning_region(case), case.beams)
    kinds = [TOKEN_KINDS[int(np.argmax(token[: len(TOKEN_KINDS)]))] for token in tokens]
    assert kinds == ["site", "voxel", "prescription", "prescription", *["beam"] * 5]
    goals = goal_tokens([DoseGoal("Parotid_L", "mean", 26.0), DoseGoal("SpinalCord", "max", 45.0)])
    assert goals.shape == (2, tokens.shape[1])
    assert goal_tokens([]).shape == (0, tokens.shape[1])


def test_the_site_token_tells_vmat_from_imrt_and_nothing_else_does() -> None:
    case = water_case()
    region = planning_region(case)
    arc = Arc(181, 179)
    vmat, imrt = plan_tokens(region, (arc,)), plan_tokens(region, static_fields((arc,)))
    assert vmat.shape == imrt.shape
    assert np.argwhere(vmat != imrt).tolist() == [[0, FIRST_NUMBER + 1]]
    assert vmat[0, FIRST_NUMBER + 1] == 1 and imrt[0, FIRST_NUMBER + 1] == 0


def test_padding_brings_every_axis_to_a_multiple_of_sixteen_and_keeps_the_rest() -> None:
    volume = torch.rand(3, 49, 16, 63)
    assert padded(volume).shape == (3, 64, 48, 64)
    assert torch.equal(padded(volume)[:, :49, :16, :63], volume)
    assert float(padded(volume).sum()) == pytest.approx(float(volume.sum()))
