"""Electrons spread farther in lung: the density that widens the lateral kernel of the primary dose.

The electrons that a photon sets free reach farther sideways by the inverse of the density; a pencil beam that knows only the radiological depth
gives a field in lung 10 to 20 % too much dose on its axis and too sharp an edge.  Here the kernel of the primary component is stretched by the
density that the electrons have met on their way to a point: the local density, followed with a delay.  Entering lung the field loses its lateral
equilibrium soon, leaving it the equilibrium takes longer to come back.  Both lengths, and the part of the kernel that is stretched, were fitted to a
collapsed-cone dose of 3 x 3, 5 x 5 and 10 x 10 cm fields on a slab of lung (`Testing/core/test_lung.py`).

Scattered photons matter more there, too.  In solid tissue the engine's kernels end at 25 mm, as those did with which the doses were computed that it
was fitted to: what is cut off can hardly be told from less fluence, as it changes with depth nearly as the rest does.  It no longer does where the
way to a point lacks water: behind a lung that lacks 74 mm of it a field of 10 x 10 cm gets 11 % too much from the narrow kernel, in proportion less
behind less lung.  So a beam that meets much lung gets the whole kernel, one that meets less a part of its tail.

Only volumes of lung count.  Airways, sinuses, and the partial volumes at skin and bone leave the dose as it is; between the two the correction
sets in continuously with the share of lung-like tissue in the surroundings.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from dose_prediction.physics.density import Medium

LUNG_LIKE_DENSITY = (0.03, 0.08, 0.6, 0.75)  # counts not at all, from here fully, to here fully, from here not at all
SURROUNDINGS_MM = 60.0  # side of the cube whose share of lung-like tissue decides
DECIDING_SHARES = (0.3, 0.5)  # no correction up to the first, all of it from the second on: half of the cube is lung at the lung's flat border
ENTERING_MM, LEAVING_MM = 3.0, 12.0  # water-equivalent path on which the kernel follows a falling and a rising density
LEAST_DENSITY = 0.25  # the kernel is stretched by no more than the inverse
# Water that lung lacks on the way to what a beam irradiates, on average: none of the kernel's tail up to the first, an error of 2 % at the most, and
# all of it from the second on.  The nine beams of 118 head-and-neck cases of OpenKBP reach 0 to 10 mm, those of targets in the lung 10 to 90 mm.
DECIDING_LACK_MM = (15.0, 30.0)

Values = NDArray[np.float32]


def lung_lack(medium: Medium) -> Medium | None:
    """How much less dense than water (z, y, x) the medium is in volumes of lung, 0 elsewhere; None where there is no volume of lung."""
    rising, fully, still, falling = LUNG_LIKE_DENSITY
    density = medium.density
    likeness = np.clip(np.minimum((density - rising) / (fully - rising), (falling - density) / (falling - still)), 0, 1)
    size = [2 * round(SURROUNDINGS_MM / spacing / 2) + 1 for spacing in medium.grid.spacing_zyx_mm]
    share = ndimage.uniform_filter(likeness, size, mode="constant")
    none, all_of_it = DECIDING_SHARES
    part = np.clip((share - none) / (all_of_it - none), 0, 1)
    if not part.any():
        return None
    return Medium((part * (1 - np.clip(density, LEAST_DENSITY, 1))).astype(np.float32), medium.grid)


def wide_kernel_share(lacking_mm: float) -> float:
    """How much of the kernel's tail a beam gets that irradiates points to which the way through lung lacks so much water on average.

    >>> wide_kernel_share(10.0), wide_kernel_share(24.0), wide_kernel_share(50.0)
    (0.0, 0.6, 1.0)
    """
    none, all_of_it = DECIDING_LACK_MM
    return min(max((lacking_mm - none) / (all_of_it - none), 0.0), 1.0)


def followed_density(local: torch.Tensor, path_mm: torch.Tensor) -> torch.Tensor:
    """The density (s, v, u) that electrons have met along the rays: the local one, followed exponentially on the water-equivalent path of a step."""
    met = torch.ones_like(local[0])
    followed = torch.empty_like(local)
    for plane, (here, path) in enumerate(zip(local, path_mm, strict=True)):
        length = torch.where(here < met, ENTERING_MM, LEAVING_MM)
        met = here + (met - here) * torch.exp(-path / length)
        followed[plane] = met
    return followed
