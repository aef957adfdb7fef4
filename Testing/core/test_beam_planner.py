"""The beam planner: what it keeps to whatever its weights are."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from dose_prediction.case import Beam, PlanCase
from dose_prediction.model.beam_planner import MULTIPLE, BeamPlanner, BeamScene, PlanningRound, UNet, beam_scene
from dose_prediction.model.condition import padded, volume_channels
from dose_prediction.model.lattice_symmetry import LatticeSymmetry
from dose_prediction.model.planned_dose import mixed, planned_dose
from dose_prediction.physics.prior import TracedBeams, physics_prior, trace_beams
from dose_prediction.region import planning_region
from water_case import water_case

VIEWS = [LatticeSymmetry(*flags) for flags in itertools.product((False, True), repeat=4)]
BEAMS = (Beam(0), Beam(50), Beam(110), Beam(200))
CPU = torch.device("cpu")


def planner(strength: float = 0.0) -> BeamPlanner:
    torch.manual_seed(0)
    network = BeamPlanner(2, (8, 16, 8), (8, 16))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(strength * torch.randn_like(parameter))
    return network.eval()


def set_up(case: PlanCase) -> tuple[torch.Tensor, TracedBeams, BeamScene]:
    region = planning_region(case)
    traced = trace_beams(case, region)
    prior = physics_prior(region, traced)
    scene = beam_scene(traced, region.prescription_map_gy, prior.beamlets, region.grid.voxel_volume_mm3)
    return torch.from_numpy(volume_channels(region, prior)), traced, scene


@pytest.fixture(scope="module")
def water() -> tuple[torch.Tensor, TracedBeams, BeamScene]:
    return set_up(water_case().with_beams(BEAMS))


def test_an_untrained_planner_leaves_the_quick_plan_as_it_is(water: tuple[torch.Tensor, TracedBeams, BeamScene]) -> None:
    channels, traced, scene = water
    found = planned_dose([planner()], channels, traced, scene, CPU)
    assert torch.equal(traced.beams.to_maps(found.beamlets), scene.start)
    assert np.allclose(found.dose_gy, channels[1].numpy() * 70, atol=1e-3)


def test_planners_plan_together_what_each_plans_on_average(water: tuple[torch.Tensor, TracedBeams, BeamScene]) -> None:
    channels, traced, scene = water
    both = [planner(0.1), planner(0.2)]
    alone = [planned_dose([one], channels, traced, scene, CPU) for one in both]
    together = planned_dose(both, channels, traced, scene, CPU)
    assert torch.allclose(together.beamlets, (alone[0].beamlets + alone[1].beamlets) / 2)
    positive = (alone[0].dose_gy > 0) & (alone[1].dose_gy > 0)
    assert np.allclose(together.dose_gy[positive], (alone[0].dose_gy + alone[1].dose_gy)[positive] / 2, atol=1e-3)


def test_fluence_is_never_negative_and_stays_in_the_aperture(water: tuple[torch.Tensor, TracedBeams, BeamScene]) -> None:
    channels, traced, scene = water
    with torch.inference_mode():
        plan = planner(0.2)(padded(channels, MULTIPLE)[None], scene)
    assert plan.fluence.min() >= 0
    assert plan.fluence[~traced.beams.open_beamlets].abs().max() == 0
    assert (plan.fluence - scene.start).abs().max() > 0.05 * scene.unit
    assert torch.allclose(plan.doses_gy[0], scene.beams.dose(scene.start))
    assert torch.allclose(plan.doses_gy[-1], scene.beams.dose(plan.fluence))


def test_a_network_of_single_cells_and_beamlets_plans_the_same_in_every_view(water: tuple[torch.Tensor, TracedBeams, BeamScene]) -> None:
    """Without its convolutions' reach and its sense of direction nothing can depend on how the case is looked at."""
    channels, _, scene = water
    network = planner(0.05)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, UNet):
                for part in (module.downs, module.ups, module.on_the_way_down, module.on_the_way_up):
                    for parameter in part.parameters():
                        parameter.zero_()
            elif isinstance(module, PlanningRound):
                module.direction.weight.zero_()
        network.stem.weight.copy_(network.stem.weight.mean((1, 2, 3, 4), keepdim=True))
        network.correction.weight.copy_(network.correction.weight.mean((2, 3, 4), keepdim=True))
    with torch.inference_mode():
        plans = [network(padded(channels, MULTIPLE)[None], scene, view) for view in VIEWS]
    assert (plans[0].fluence - scene.start).abs().max() > 0.01 * scene.unit
    assert plans[0].correction_gy.std() > 0
    for plan in plans[1:]:
        assert torch.allclose(plan.fluence, plans[0].fluence, atol=1e-4 * scene.unit)
        assert torch.allclose(plan.correction_gy, plans[0].correction_gy, atol=1e-4)


def test_beams_may_come_in_any_order(water: tuple[torch.Tensor, TracedBeams, BeamScene]) -> None:
    channels, _, scene = water
    order = [2, 0, 3, 1]
    other_channels, _, other_scene = set_up(water_case().with_beams(tuple(BEAMS[i] for i in order)))
    network = planner(0.05)
    with torch.inference_mode():
        one = network(padded(channels, MULTIPLE)[None], scene)
        other = network(padded(other_channels, MULTIPLE)[None], replace(other_scene, start=scene.start[order], unit=scene.unit))
    assert torch.allclose(one.fluence[order], other.fluence, atol=1e-3 * scene.unit)


def test_every_weight_takes_part(water: tuple[torch.Tensor, TracedBeams, BeamScene]) -> None:
    channels, _, scene = water
    network = planner(0.05)
    plan = network(padded(channels, MULTIPLE)[None], scene)
    (scene.beams.dose(plan.fluence).square().mean() + plan.correction_gy.square().mean()).backward()
    idle = [name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.abs().max() > 0]
    assert idle == []


@pytest.mark.parametrize(("fields", "denoiser_share"), [(9, 0.3), (36, 0.3), (6, 0.2), (3, 0.1)])
def test_the_fewer_the_fields_the_more_of_the_dose_is_planned(fields: int, denoiser_share: float) -> None:
    planned, denoised = np.zeros((1, 2, 3), np.float32), np.full((1, 2, 3), 60, np.float32)
    assert mixed(planned, denoised, planner_share=0.7, fields=fields) == pytest.approx(60 * denoiser_share)
