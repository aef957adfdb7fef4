"""The loss of one case in one step, the denoiser's or a planner's: how the case is seen, with which noise and goals, and how far it is off."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from dose_prediction.model import beam_planner, diffusion
from dose_prediction.model.beam_planner import BeamScene
from dose_prediction.model.condition import (
    CHANNELS,
    DOSE_SCALE_GY,
    FIRST_MOMENT,
    FIRST_ORGAN,
    ORGANS,
    DoseGoal,
    goal_tokens,
    mirrored_channels,
    mirrored_tokens,
    padded,
)
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.model.lattice_symmetry import LatticeSymmetry
from dose_prediction.model.network import ADDiffDose
from dose_prediction.physics.coarse_beams import CELL
from dose_prediction.training.augmentation import draw_pose, posed_channels, posed_tokens, posed_volumes
from dose_prediction.training.dataset import TrainingCase, structures_in
from dose_prediction.training.losses import absolute_error, dvh_error, squared_error
from dose_prediction.training.posed_view import posed
from dose_prediction.training.settings import TrainingSettings


class TrainingStep(nn.Module):
    """The network with its losses as one module, so that processes can share it."""

    def __init__(self, network: ADDiffDose, settings: TrainingSettings, device: torch.device, precision: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.device = device
        self.precision = precision

    def forward(self, case: TrainingCase, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss terms by name; every random choice comes from `generator`."""
        settings = self.settings
        if float(torch.rand((), generator=generator)) < settings.planner_step_share:
            return self._planner_losses(case, generator)
        volumes, residual, tokens = torch.from_numpy(case.volumes).float(), torch.from_numpy(case.residual).float(), torch.from_numpy(case.tokens)
        draw = torch.rand(4, generator=generator).tolist()
        if draw[1] < settings.goal_share:
            tokens = torch.cat([tokens, _reference_goals(volumes, residual, generator)])
        if draw[0] < 0.5:
            volumes, residual, tokens = mirrored_channels(volumes), residual.flip(-1), mirrored_tokens(tokens)
        voxel_mm3 = case.voxel_mm3
        if draw[3] < settings.posed_share:
            pose = draw_pose(tokens, generator)
            volumes, residual, tokens = posed_channels(volumes, pose), posed_volumes(residual[None], pose)[0], posed_tokens(tokens, pose)
            voxel_mm3 /= pose.zoom**2
        volumes, residual, tokens = volumes.to(self.device), residual.to(self.device), tokens.to(self.device)
        if draw[2] < settings.expected_share:
            return self._expected_losses(volumes, residual, tokens, voxel_mm3)
        return self._noise_losses(volumes, residual, tokens, generator)

    def _planner_losses(self, case: TrainingCase, generator: torch.Generator) -> dict[str, Tensor]:
        """How far the planned dose is off, with and without its correction, and each round's."""
        traced, scene = case.scene()
        scene = replace(scene, start=scene.start * noise_factors(scene.start, self.settings.start_noise, generator))
        scene, beams = scene.to(self.device), traced.beams.to(self.device)
        volumes = torch.from_numpy(case.volumes[:FIRST_MOMENT]).float().to(self.device)
        wanted = _prior(volumes) + torch.from_numpy(case.residual).float().to(self.device)
        view = drawn_view(scene, self.settings, generator)
        planner = self.network.planners[int(torch.randint(len(self.network.planners), (), generator=generator))]
        with self._autocast():
            planned = planner(padded(volumes, beam_planner.MULTIPLE)[None], scene, view)
        inside = _body(volumes).flatten()
        dose = torch.zeros(len(inside), device=self.device).index_copy(0, inside.nonzero()[:, 0], beams.dose(planned.fluence) / RESIDUAL_SCALE_GY)
        correction = planned.correction_gy[tuple(slice(size) for size in wanted.shape)] / RESIDUAL_SCALE_GY
        answers = dose, dose + inside * correction.flatten()
        structures = structures_in(volumes)
        error = torch.stack([absolute_error(answer, wanted.flatten(), inside) for answer in answers]).mean()
        dvh = torch.stack([dvh_error(answer, wanted.flatten(), structures, case.voxel_mm3) for answer in answers]).mean()
        of_cells = nn.functional.avg_pool3d(padded(torch.stack([wanted, volumes[CHANNELS.index("body")]]), beam_planner.MULTIPLE), CELL)
        cells, filled = scene.beams.in_cells(of_cells[None])
        rounds = (torch.stack(planned.doses_gy[1:]) / RESIDUAL_SCALE_GY - cells / filled).abs().mean()
        return {"planned": error, "planned dvh": self.settings.dvh_weight * dvh, "rounds": self.settings.rounds_weight * rounds}

    def _expected_losses(self, volumes: Tensor, residual: Tensor, tokens: Tensor, voxel_mm3: float) -> dict[str, Tensor]:
        batch = _batch(volumes)
        with self._autocast():
            denoiser = self.network.bound(self.network.condition(batch, tokens[None]))
            answer = _cropped(diffusion.expected(denoiser, (1, 1, *batch.shape[2:]), self.network.levels, self.device), residual)
        prior = _prior(volumes)
        dvh = dvh_error((prior + answer).flatten(), (prior + residual).flatten(), structures_in(volumes), voxel_mm3)
        return {"error": absolute_error(answer, residual, _body(volumes)), "dvh": self.settings.dvh_weight * dvh}

    def _noise_losses(self, volumes: Tensor, residual: Tensor, tokens: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch = _batch(volumes)
        levels = self.network.levels
        level = levels.draw(1, generator).to(self.device)
        noise = diffusion.draw_noise((1, 1, *batch.shape[2:]), generator).to(self.device)
        with self._autocast():
            denoiser = self.network.bound(self.network.condition(batch, tokens[None]))
            answer = _cropped(diffusion.denoised(denoiser, padded(residual)[None, None] + level * noise, level, levels), residual)
        return {"noise": self.settings.noise_weight * squared_error(answer, residual, _body(volumes), levels.loss_weight(level)[0])}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32)


def _batch(volumes: Tensor) -> Tensor:
    return padded(volumes)[None]


def drawn_view(scene: BeamScene, settings: TrainingSettings, generator: torch.Generator) -> LatticeSymmetry:
    """A random view of a case: a mirror image or not, and some of the others; beams out of the slices' plane are not exchanged with others."""
    mirror, upend, turn, swap, flip, pose = torch.rand(6, generator=generator).tolist()
    coplanar = bool((scene.directions.norm(dim=1) > 0.999).all())
    turned = coplanar and turn < settings.swapped_share
    symmetry = LatticeSymmetry(turned and swap < 2 / 3, mirror < 0.5, turned and flip < 2 / 3, upend < settings.upended_share)
    return posed(symmetry, generator) if pose < settings.planner_posed_share else symmetry


def noise_factors(maps: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Log-normal factors for maps (beams, rows, columns): a draw for every beam times one for every beamlet."""
    of_beams, of_beamlets = torch.randn(len(maps), 1, 1, generator=generator), torch.randn(maps.shape, generator=generator)
    return (noise * (of_beams + of_beamlets)).exp()


def _prior(volumes: Tensor) -> Tensor:
    """The physics prior (z, y, x) in units of the residual."""
    return volumes[CHANNELS.index("prior")] * (DOSE_SCALE_GY / RESIDUAL_SCALE_GY)


def _body(volumes: Tensor) -> Tensor:
    return volumes[CHANNELS.index("body")] > 0.5


def _cropped(answer: Tensor, residual: Tensor) -> Tensor:
    """The network's answer on the padded lattice, on that of the case."""
    depth, height, width = residual.shape
    return answer[0, 0, :depth, :height, :width]


def _reference_goals(volumes: Tensor, residual: Tensor, generator: torch.Generator) -> Tensor:
    """Tokens of what the reference plan kept some of its organs to, so that the network learns to follow goals that can be met."""
    dose = (volumes[CHANNELS.index("prior")] * DOSE_SCALE_GY + residual * RESIDUAL_SCALE_GY).clamp_min(0)  # rounding may leave less than nothing
    goals = []
    for i, organ in enumerate(ORGANS):
        inside = volumes[FIRST_ORGAN + i] > 0.5
        if not inside.any() or torch.rand((), generator=generator) < 0.5:
            continue
        maximum = bool(torch.rand((), generator=generator) < 0.5)
        values = dose[inside]
        goals.append(DoseGoal(organ, "max" if maximum else "mean", float(values.max() if maximum else values.mean())))
    return torch.from_numpy(goal_tokens(goals))
