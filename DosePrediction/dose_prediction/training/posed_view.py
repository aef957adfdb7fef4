"""A case as the beam planner's volume network sees it in training: laid onto its lattice in some way, then turned a little, zoomed and shifted.

Beams and dose stay in the patient's own frame, so that physics stays exact; only what is shown of the volume is interpolated, and what the network
answers there is brought back the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dose_prediction.model.lattice_symmetry import LatticeSymmetry

MOST_TURN_RAD = 0.35
MOST_ZOOM = 1.14
MOST_SHIFT = 0.06  # of half the lattice


@dataclass(frozen=True)
class PosedView(LatticeSymmetry):
    """A symmetry of the lattice, and what it shows turned in the slices' plane, zoomed, and shifted along x, y and z in halves of the lattice."""

    turn_rad: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def channels(self, volumes: Tensor) -> Tensor:
        shown = super().channels(volumes)
        return _resampled(shown, self._places(shown))

    def volume(self, volume: Tensor) -> Tensor:
        shown = super().volume(volume)
        return _resampled(shown, self._places(shown))

    def volume_back(self, seen: Tensor) -> Tensor:
        return super().volume_back(_resampled(seen, torch.linalg.inv(self._places(seen))))

    def directions(self, directions: Tensor) -> Tensor:
        left, front = super().directions(directions).unbind(-1)
        cosine, sine = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return torch.stack([cosine * left - sine * front, sine * left + cosine * front], dim=-1)

    def _places(self, volume: Tensor) -> Tensor:
        """The affine map (4, 4) from the view to what the symmetry shows, both in grid_sample's unit cubes (x, y, z)."""
        height, width = volume.shape[-2:]
        cosine, sine = math.cos(self.turn_rad) / self.zoom, math.sin(self.turn_rad) / self.zoom
        places = torch.eye(4, device=volume.device)
        places[:2, :2] = torch.tensor([[cosine, -sine * height / width], [sine * width / height, cosine]])
        places[2, 2] = 1 / self.zoom
        places[:3, 3] = torch.tensor(self.shift)
        return places


def posed(symmetry: LatticeSymmetry, generator: torch.Generator) -> PosedView:
    """A random pose of what `symmetry` shows."""
    turn, zoom, *shift = (2 * torch.rand(5, generator=generator) - 1).tolist()
    x, y, z = (MOST_SHIFT * part for part in shift)
    return PosedView(**vars(symmetry), turn_rad=MOST_TURN_RAD * turn, zoom=MOST_ZOOM**zoom, shift=(x, y, z))


def _resampled(volume: Tensor, places: Tensor) -> Tensor:
    """A volume (1, channels, z, y, x) at other places, zero beyond its edges."""
    with torch.autocast(volume.device.type, enabled=False):
        where = torch.nn.functional.affine_grid(places[None, :3], [1, 1, *volume.shape[-3:]], align_corners=False)
        return torch.nn.functional.grid_sample(volume.float(), where, mode="bilinear", padding_mode="zeros", align_corners=False)
