"""The ways to lay a case's lattice onto itself: mirrored, upended, turned by quarter turns.

A network that works on volumes and on beams' maps at once is shown the case in such a view, while dose is computed in the patient's own frame:
nothing is resampled, and every view is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dose_prediction.model.condition import mirrored_channels


@dataclass(frozen=True)
class LatticeSymmetry:
    """Axes x and y exchanged first, then x, y and z turned round as told.  An exchange is exact where voxels are as wide as they are deep."""

    swap: bool = False
    flip_x: bool = False
    flip_y: bool = False
    flip_z: bool = False

    def channels(self, volumes: Tensor) -> Tensor:
        """Channels (..., channels, z, y, x) as in `condition`, but for the moments: left and right organs change places in a mirror image."""
        seen = volumes.transpose(-1, -2) if self.swap else volumes
        if self.flip_x:
            seen = mirrored_channels(seen)
        axes = [axis for axis, turned in ((-2, self.flip_y), (-3, self.flip_z)) if turned]
        return seen.flip(axes) if axes else seen

    def volume(self, volume: Tensor) -> Tensor:
        """A volume (..., z, y, x) as it is seen."""
        seen = volume.transpose(-1, -2) if self.swap else volume
        axes = self._axes()
        return seen.flip(axes) if axes else seen

    def volume_back(self, seen: Tensor) -> Tensor:
        """The volume (..., z, y, x) that is seen so."""
        axes = self._axes()
        volume = seen.flip(axes) if axes else seen
        return volume.transpose(-1, -2) if self.swap else volume

    def maps(self, maps: Tensor) -> Tensor:
        """Maps (..., rows, columns) as they are seen, or the maps that are seen so: a reflection across the slices turns a beam's columns round."""
        axes = [axis for axis, turned in ((-1, (self.swap + self.flip_x + self.flip_y) % 2 == 1), (-2, self.flip_z)) if turned]
        return maps.flip(axes) if axes else maps

    def directions(self, directions: Tensor) -> Tensor:
        """Where the beams' sources are seen (beams, 2), to the left and in front, for those that are there."""
        x, y = directions[:, 0], -directions[:, 1]  # in front is where y falls
        if self.swap:
            x, y = y, x
        return torch.stack([-x if self.flip_x else x, y if self.flip_y else -y], dim=-1)

    def _axes(self) -> list[int]:
        return [axis for axis, turned in ((-1, self.flip_x), (-2, self.flip_y), (-3, self.flip_z)) if turned]


AS_IT_IS = LatticeSymmetry()
