"""Beams as a network sees them: beamlets on one side, cells of 2 x 2 x 2 voxels on the other, and the rays between them.

Features travel along the rays as fluence does, weakened with depth but not blurred; a network can blur by itself, and this way costs no transform.
Dose is computed as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dose_prediction.physics.pencil_beam import PencilBeams

CELL = 2  # voxels along each axis
LEAST_SEEN = 1e-3  # of what the beamlet that sees most does; a beamlet that sees less has little to say


@dataclass(frozen=True, eq=False)
class CoarseBeams:
    """The beams of a plan, set up for the cells of a lattice (z, y, x) that hold some of the body."""

    beams: PencilBeams  # its points are the cells
    lattice: tuple[int, int, int]
    cells: Tensor  # (cells,) where each lies in the flattened lattice
    rays: Tensor  # (beams, cells, 2) where each is seen among the beamlets, in grid_sample's unit square
    strength: Tensor  # (beams, cells) what an open beam gives there, relative to the mean over all
    seen: Tensor  # (beams, 1, rows, columns) what reaches each beamlet from cells that are worth 1

    def to(self, device: torch.device) -> CoarseBeams:
        """The same beams on another device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, (Tensor, PencilBeams))}
        return replace(self, **moved)

    def dose(self, maps: Tensor) -> Tensor:
        """The dose (cells,) of fluence maps (beams, rows, columns), differentiable."""
        return self.beams.dose(maps)

    def to_cells(self, maps: Tensor) -> Tensor:
        """What the beams carry of maps of features (beams, features, rows, columns) into each cell: (features, cells), differentiable."""
        carried: Tensor = _Linear.apply(maps, self._carried, self._collected)
        return carried

    def to_beamlets(self, values: Tensor) -> Tensor:
        """The mean (beams, features, rows, columns) of the values (features, cells) over the cells that each open beamlet sees, differentiable."""
        collected: Tensor = _Linear.apply(values, self._collected, self._carried)
        return collected / self.seen * self.beams.open_beamlets[:, None]

    def volume(self, values: Tensor) -> Tensor:
        """Values (features, cells) as a volume (1, features, z, y, x), zero where there is no body."""
        flat = torch.zeros(len(values), int(np.prod(self.lattice)), dtype=values.dtype, device=values.device)
        return flat.index_copy(1, self.cells, values).view(1, -1, *self.lattice)

    def in_cells(self, volume: Tensor) -> Tensor:
        """The values (features, cells) of a volume (1, features, z, y, x)."""
        return volume[0].flatten(1)[:, self.cells]

    def _carried(self, maps: Tensor) -> Tensor:
        found = torch.nn.functional.grid_sample(maps, self.rays[:, None], mode="bilinear", padding_mode="zeros", align_corners=True)
        return torch.einsum("bfc,bc->fc", found[:, :, 0], self.strength)

    def _collected(self, values: Tensor) -> Tensor:
        """The transpose of `_carried`."""
        arriving = (self.strength[:, None] * values)[:, :, None]
        maps = torch.empty(1, device=values.device).expand(*arriving.shape[:2], *self.beams.open_beamlets.shape[1:])  # only its shape is read
        collected: Tensor = torch.ops.aten.grid_sampler_2d_backward(arriving, maps, self.rays[:, None], 0, 0, True, [True, False])[0]
        return collected


class _Linear(torch.autograd.Function):
    """A linear map whose gradient is its transpose, which is given with it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mapped: Callable[[Tensor], Tensor], transposed: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.transposed = transposed
        return mapped(values)

    @staticmethod
    def backward(ctx: Any, *worth: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed(worth[0].contiguous()), None, None


def coarse_beams(beams: PencilBeams, body: NDArray[np.bool_], lattice: tuple[int, int, int]) -> CoarseBeams:
    """The beams, whose points are the voxels of `body` (z, y, x), for the cells of a lattice that begins where the body's array does."""
    z, y, x = (torch.from_numpy(index) // CELL for index in np.nonzero(body))
    cells, cell_of_voxel = torch.unique((z * lattice[1] + y) * lattice[2] + x, return_inverse=True)
    coarse = beams.averaged(cell_of_voxel, len(cells))
    rows, columns = beams.open_beamlets.shape[1:]
    plane = torch.tensor([beams.plane_shape[1], beams.plane_shape[0]]) - 1
    beamlet = ((coarse.positions + 1) / 2 * plane - beams.margin) / beams.upsampling
    broad = beams.responses[..., 0, 0].real  # a response's sum is what a broad beam gives
    strength = torch.einsum("bcn,bc->bn", coarse.depth_weights, broad)
    without = CoarseBeams(
        coarse, lattice, cells, beamlet / (torch.tensor([columns, rows]) - 1).clamp_min(1) * 2 - 1, strength / strength.mean(), torch.ones(())
    )
    seen = without._collected(torch.ones(1, len(cells)))
    return CoarseBeams(coarse, lattice, cells, without.rays, without.strength, seen.clamp_min(LEAST_SEEN * float(seen.max())))
