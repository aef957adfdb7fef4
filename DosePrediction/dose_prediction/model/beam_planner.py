"""The beam planner: a network that plans as an optimiser does, and has learnt from reference plans what they strive for.

It starts from the quick plan's fluence and improves it in a few rounds.  In each, the fluence's dose is computed by the engine; a small U-Net on the
patient's volume sees it beside the anatomy and says what is to change where; the beams collect that along their rays; and a small U-Net on each
beam's map, the same for all beams, changes the fluence.  What comes out is a fluence and its dose, so a dose that these beams can deliver, and a last
correction of what the engine does not know.  This is Adler and Öktem's learned primal-dual reconstruction (IEEE Trans. Med. Imaging 37, 1322, 2018)
with beams in the place of detectors.  Knowing the physics, it needs far fewer patients than a network that has to learn it.

    fluence -> dose -> volume U-Net -> rays -> map U-Net -> fluence -> ... -> dose + correction
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dose_prediction.model.condition import DOSE_SCALE_GY, FIRST_MOMENT, padded_size
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.model.lattice_symmetry import AS_IT_IS, LatticeSymmetry
from dose_prediction.model.layers import VoxelNorm
from dose_prediction.model.structure_exchange import StructureExchange, structure_shares
from dose_prediction.physics.coarse_beams import CELL, CoarseBeams, coarse_beams
from dose_prediction.physics.prior import TracedBeams

Volume = NDArray[np.float32]
MULTIPLE = 8  # voxels: the volume U-Net halves the cells' lattice twice
MESSAGES = 8  # features that the beams carry into the volume
WISHES = 16  # features that the beams collect from it


@dataclass(frozen=True, eq=False)
class BeamScene:
    """The beams of a case as the planner is given them.

    `start` (beams, rows, columns) is the fluence of the quick plan, `unit` the even fluence whose mean dose in the targets is the highest
    prescription; `directions` (beams, 2) say how far each beam's source is to the left and in front, of a distance of 1; `voxel_mm3` is the
    volume of a voxel.
    """

    beams: CoarseBeams
    start: Tensor
    unit: float
    directions: Tensor
    voxel_mm3: float

    def to(self, device: torch.device) -> BeamScene:
        """The same scene on another device."""
        return BeamScene(self.beams.to(device), self.start.to(device), self.unit, self.directions.to(device), self.voxel_mm3)


def beam_scene(traced: TracedBeams, prescription_gy: Volume, start: Tensor, voxel_mm3: float) -> BeamScene:
    """The scene of traced beams in a region whose prescriptions are `prescription_gy` (z, y, x); `start` (n,) is the quick plan's fluence."""
    beams = traced.beams
    in_target = prescription_gy[traced.body] > 0
    open_fields = beams.dose(beams.open_beamlets.float())[torch.from_numpy(in_target)]
    unit = float(prescription_gy.max()) / float(open_fields.mean())
    depth, height, width = (padded_size(size, MULTIPLE) // CELL for size in traced.body.shape)
    directions = torch.from_numpy(np.stack([traced.directions.imag, traced.directions.real], axis=-1))
    return BeamScene(coarse_beams(beams, traced.body, (depth, height, width)), beams.to_maps(start), unit, directions, voxel_mm3)


@dataclass(frozen=True, eq=False)
class Planned:
    """The planned fluence (beams, rows, columns), the dose (cells,) in Gy before each round and at the end, and the correction (z, y, x) in Gy."""

    fluence: Tensor
    doses_gy: tuple[Tensor, ...]
    correction_gy: Tensor


class BeamPlanner(nn.Module):
    """Plans fluence for the beams of one case at a time."""

    def __init__(self, rounds: int, volume_widths: Sequence[int], map_widths: Sequence[int]) -> None:
        """`volume_widths` are the channels on cells and on ever coarser lattices, `map_widths` those on beamlets and on maps of half as many."""
        super().__init__()
        width = volume_widths[0]
        self.map_width = map_widths[0]
        self.stem = nn.Conv3d(FIRST_MOMENT, width, CELL, stride=CELL)
        self.rounds = nn.ModuleList(PlanningRound(volume_widths, map_widths) for _ in range(rounds))
        self.last = VolumeUpdate(volume_widths, map_widths[0])
        self.last_norm = VoxelNorm(width)
        self.correction = nn.ConvTranspose3d(width, 1, CELL, stride=CELL, bias=False)
        nn.init.zeros_(self.correction.weight)

    def forward(self, volumes: Tensor, scene: BeamScene, view: LatticeSymmetry = AS_IT_IS) -> Planned:
        """Plan the case of `volumes` (1, channels, z, y, x), whose axes are multiples of 8, looking at it in `view`."""
        seen = _Seen(volumes, scene, view)
        shown = view.channels(volumes[:, :FIRST_MOMENT])
        volume = self.stem(shown.contiguous(memory_format=torch.channels_last_3d))
        maps = torch.zeros(len(scene.start), self.map_width, *seen.map_shape, device=volumes.device).contiguous(memory_format=torch.channels_last)
        fluence = scene.start
        doses = []
        for planning in self.rounds:
            volume, dose = cast(PlanningRound, planning).volume_update(volume, maps, fluence, seen)
            maps, fluence = cast(PlanningRound, planning)(volume, maps, fluence, seen)
            doses.append(dose)
        volume, dose = self.last(volume, maps, fluence, seen)
        correction = self.correction(nn.functional.silu(self.last_norm(volume))).float()
        return Planned(fluence, (*doses, dose), RESIDUAL_SCALE_GY * view.volume_back(correction)[0, 0])


class _Seen:
    """A scene in a view: what passes between the network, which sees the view, and the beams, which are in the patient's own frame."""

    def __init__(self, volumes: Tensor, scene: BeamScene, view: LatticeSymmetry) -> None:
        self.scene, self.view = scene, view
        self.beams = scene.beams
        self.opened = scene.beams.beams.open_beamlets[:, None].float()
        self.rows, self.columns = self.opened.shape[2:]
        self.map_shape = (-(-self.rows // 2) * 2, -(-self.columns // 2) * 2)  # the map U-Net halves them once
        self.directions = view.directions(scene.directions)
        self.opened_seen = self.shown(self.opened)
        shares = structure_shares(volumes)
        self.structures = view.volume(shares[None])[0]
        self.litres = shares.sum((1, 2, 3)) * CELL**3 * scene.voxel_mm3 / 1e6

    def shown(self, maps: Tensor) -> Tensor:
        """Maps (beams, features, rows, columns) as the network sees them, padded."""
        wider = nn.functional.pad(maps, (0, self.map_shape[1] - self.columns, 0, self.map_shape[0] - self.rows))
        return self.view.maps(wider).contiguous(memory_format=torch.channels_last)

    def beamlets(self, shown: Tensor) -> Tensor:
        """Maps of the network on the beamlets."""
        return self.view.maps(shown.float())[..., : self.rows, : self.columns].contiguous()

    def relative(self, fluence: Tensor) -> Tensor:
        """Fluence as a map (beams, 1, rows, columns) that the network sees."""
        return self.shown(fluence[:, None] / self.scene.unit)


class VolumeUpdate(nn.Module):
    """The beams' messages and the dose of their fluence are brought into the volume, its structures confer, and a U-Net digests it all."""

    def __init__(self, volume_widths: Sequence[int], map_width: int) -> None:
        super().__init__()
        self.messages = ChannelMap(map_width + 1, MESSAGES)
        self.taken_in = ChannelMap(MESSAGES + 1, volume_widths[0])
        self.exchange = StructureExchange(volume_widths[0])
        self.unet = UNet(3, volume_widths)

    def forward(self, volume: Tensor, maps: Tensor, fluence: Tensor, seen: _Seen) -> tuple[Tensor, Tensor]:
        """The new volume (1, channels, z, y, x) and the dose (cells,) in Gy."""
        sent = seen.beamlets(self.messages(torch.cat([maps, seen.relative(fluence)], 1))) * seen.opened
        dose = seen.beams.dose(fluence)
        arrived = torch.cat([seen.beams.to_cells(sent), dose[None] / DOSE_SCALE_GY])
        volume = volume + self.taken_in(seen.view.volume(seen.beams.volume(arrived)))
        return self.unet(self.exchange(volume, seen.structures, seen.litres)), dose


class PlanningRound(nn.Module):
    """One round: what the volume wishes is collected along the rays, and every beam changes its fluence."""

    def __init__(self, volume_widths: Sequence[int], map_widths: Sequence[int]) -> None:
        super().__init__()
        width = map_widths[0]
        self.volume_update = VolumeUpdate(volume_widths, width)
        self.volume_norm = VoxelNorm(volume_widths[0])
        self.wishes = ChannelMap(volume_widths[0], WISHES)
        self.taken_in = ChannelMap(WISHES + 2, width)
        self.direction = nn.Linear(2, width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.agreed = nn.Linear(width, width)
        self.unet = UNet(2, map_widths)
        self.map_norm = VoxelNorm(width)
        self.change = ChannelMap(width, 1)
        for layer in (self.agreed, self.change):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, volume: Tensor, maps: Tensor, fluence: Tensor, seen: _Seen) -> tuple[Tensor, Tensor]:
        """The new maps (beams, channels, rows, columns) and fluence (beams, rows, columns)."""
        wishes = seen.view.volume_back(self.wishes(self.volume_norm(volume)).float())
        collected = seen.beams.to_beamlets(seen.beams.in_cells(wishes).contiguous())
        maps = maps + self.taken_in(torch.cat([seen.shown(collected), seen.relative(fluence), seen.opened_seen], 1))
        maps = self.unet(maps + self._agreement(maps, seen.directions)[:, :, None, None])
        change = seen.beamlets(self.change(self.map_norm(maps)))[:, 0]
        return maps, torch.relu(fluence + seen.scene.unit * change) * seen.opened[:, 0]

    def _agreement(self, maps: Tensor, directions: Tensor) -> Tensor:
        """What the beams tell each other of their maps' means (beams, channels), by attention."""
        query, key, value = self.query_key_value(maps.mean((2, 3)) + self.direction(directions)).chunk(3, -1)
        shares = torch.softmax((query @ key.T).float() / query.shape[-1] ** 0.5, -1)
        told: Tensor = self.agreed(shares.to(value.dtype) @ value)
        return told


class ChannelMap(nn.Linear):
    """A linear map of the channels (batch, channels, ...), the same at every place."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class UNet(nn.Module):
    """Residual blocks down to coarser levels and up again, one block a level each way, in two or three dimensions."""

    def __init__(self, dimensions: int, widths: Sequence[int]) -> None:
        super().__init__()
        convolution = nn.Conv3d if dimensions == 3 else nn.Conv2d
        transposed = nn.ConvTranspose3d if dimensions == 3 else nn.ConvTranspose2d
        self.downs = nn.ModuleList(convolution(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.ups = nn.ModuleList(transposed(coarse, fine, 2, stride=2, bias=False) for fine, coarse in pairwise(widths))
        self.on_the_way_down = nn.ModuleList(PlainBlock(dimensions, width) for width in widths)
        self.on_the_way_up = nn.ModuleList(PlainBlock(dimensions, width) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        passed = []
        for level, block in enumerate(self.on_the_way_down):
            if level:
                x = self.downs[level - 1](x)
            x = block(x)
            passed.append(x)
        for level in reversed(range(len(self.on_the_way_up))):
            if level < len(self.ups):
                x = self.ups[level](x) + passed[level]
            x = self.on_the_way_up[level](x)
        return x


class PlainBlock(nn.Module):
    """Normalisation and two convolutions of width 3, added to the input; begins as nothing."""

    def __init__(self, dimensions: int, channels: int) -> None:
        super().__init__()
        convolution = nn.Conv3d if dimensions == 3 else nn.Conv2d
        self.norm = VoxelNorm(channels)
        self.conv1 = convolution(channels, channels, 3, padding=1)
        self.conv2 = convolution(channels, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(nn.functional.silu(self.conv1(self.norm(x))))
