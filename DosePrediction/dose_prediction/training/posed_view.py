"""A case as the beam planner's volume network sees it in training: laid onto its lattice in some way, then turned a little, stretched and shifted.

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
MOST_STRETCH = 1.1  # of one axis, on top of the zoom
MOST_SHIFT = 0.06  # of half the lattice


@dataclass(frozen=True)
class PosedView(LatticeSymmetry):
    """A symmetry of the lattice, and what it shows: turned in the slices' plane, zoomed, and shifted by halves of the lattice, along x, y and z."""

    turn_rad: float = 0.0
    zoom: tuple[float, float, float] = (1.0, 1.0, 1.0)
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
        seen = super().directions(directions)
        left, front = seen.unbind(-1)
        cosine, sine = math.cos(self.turn_rad), math.sin(self.turn_rad)
        x_zoom, y_zoom, _ = self.zoom
        turned = torch.stack([x_zoom * (cosine * left - sine * front), y_zoom * (sine * left + cosine * front)], dim=-1)
        return turned * (seen.norm(dim=-1, keepdim=True) / turned.norm(dim=-1, keepdim=True).clamp_min(1e-6))

    def _places(self, volume: Tensor) -> Tensor:
        """The affine map (4, 4) from the view to what the symmetry shows, both in grid_sample's unit cubes (x, y, z)."""
        height, width = volume.shape[-2:]
        cosine, sine = math.cos(self.turn_rad), math.sin(self.turn_rad)
        places = torch.eye(4, device=volume.device)
        places[:2, :2] = torch.tensor([[cosine, -sine * height / width], [sine * width / height, cosine]])
        places[:3, :3] /= torch.tensor(self.zoom, device=volume.device)
        places[:3, 3] = torch.tensor(self.shift)
        return places


def posed(symmetry: LatticeSymmetry, generator: torch.Generator) -> PosedView:
    """A random pose of what `symmetry` shows."""
    turn, zoom, *of_axes = (2 * torch.rand(8, generator=generator) - 1).tolist()
    x_zoom, y_zoom, z_zoom = (MOST_ZOOM**zoom * MOST_STRETCH**part for part in of_axes[:3])
    x, y, z = (MOST_SHIFT * part for part in of_axes[3:])
    return PosedView(**vars(symmetry), turn_rad=MOST_TURN_RAD * turn, zoom=(x_zoom, y_zoom, z_zoom), shift=(x, y, z))


def _resampled(volume: Tensor, places: Tensor) -> Tensor:
    """A volume (1, channels, z, y, x) at other places, zero beyond its edges.

    First along z, then in the plane: by a matrix and slice by slice, which takes a fraction of the time of one interpolation in three dimensions.
    """
    depth, height, width = volume.shape[-3:]
    with torch.autocast(volume.device.type, enabled=False):
        slices = torch.arange(depth, device=volume.device)
        where = places[2, 2] * (slices + 0.5) + 0.5 * depth * (places[2, 3] + 1 - places[2, 2]) - 0.5
        along_z = (1 - (where[:, None] - slices).abs()).clamp_min(0)
        moved = torch.einsum("oz,czyx->ocyx", along_z, volume[0].float()).contiguous()
        plane = torch.nn.functional.affine_grid(places[None, :2][..., [0, 1, 3]], [1, 1, height, width], align_corners=False)
        turned = torch.nn.functional.grid_sample(moved, plane.expand(depth, -1, -1, -1), "bilinear", "zeros", align_corners=False)
    return turned.transpose(0, 1)[None]
