"""From which side a dose comes: its angular moments.

A beam's direction is the complex number z whose real part says how far its source stands to anterior, and whose imaginary part how far to the left,
of modulus 1 for a coplanar beam.  The m-th moment of the dose at a point is the sum over the beams of (what the beam gives there) x z^m.  Any
dose in which each beam is weighted anew by a smooth function of its angle is a linear combination of the first moments, whatever the number of
beams; so a few volumes tell a network about 5 fields, 11 fields or an arc alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.case import Beam
from dose_prediction.physics.beam_frame import beam_frame

ORDERS = 4  # nine numbers with the dose itself: as many as the beams of the commonest set


def beam_directions(beams: Sequence[Beam], turn_rad: float = 0.0) -> NDArray[np.complex64]:
    """The direction (beams,) of each beam's source, as above, in axes turned about the patient's long axis by `turn_rad` as gantry angles grow."""
    to_source = [-beam_frame(beam, (0.0, 0.0, 0.0), 1000.0).w for beam in beams]
    return (np.array([complex(-posterior, left) for left, posterior, _ in to_source]) * np.exp(-1j * turn_rad)).astype(np.complex64)


def angular_moments(doses: torch.Tensor, directions: NDArray[np.complex64]) -> torch.Tensor:
    """The moments (2 x ORDERS, points) of what each beam gives, `doses` (beams, points): real and imaginary part of each order from the first on."""
    powers = [directions**order for order in range(1, ORDERS + 1)]
    return torch.from_numpy(np.stack([part for power in powers for part in (power.real, power.imag)])) @ doses


def turned_moments(moments: torch.Tensor, turn_rad: float) -> torch.Tensor:
    """The moments (2 x ORDERS, ...) of coplanar beams whose gantry angles all grow by `turn_rad`."""
    pairs = moments.unflatten(0, (ORDERS, 2))
    angles = turn_rad * torch.arange(1, ORDERS + 1).view(-1, *(1 for _ in moments.shape[1:]))
    real, imaginary = pairs[:, 0], pairs[:, 1]
    turned = (real * angles.cos() - imaginary * angles.sin(), real * angles.sin() + imaginary * angles.cos())
    return torch.stack(turned, dim=1).flatten(0, 1)
