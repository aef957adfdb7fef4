"""The treatment machine's photon beam: depth components and lateral kernels of a pencil beam.

The dose of a pencil beam is a sum of three products of a depth term and a lateral kernel (Bortfeld, Schlegel and Rhein, Med. Phys. 20, 311, 1993):
    D(r, d) = sum_c  beta_c / (beta_c - m) * (exp(-m d) - exp(-beta_c d)) * K_c(r)
with the radiological depth d, the attenuation m and the build-up constants beta_c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.errors import CaseError

DATA = Path(__file__).with_name("data")
PHOTON_FILES = {6.0: "generic_photon_6mv.npz"}
FINE_MM = 0.5  # sampling of the kernels while they are convolved with a beamlet


@dataclass(frozen=True, eq=False)
class Machine:
    """A photon beam of one energy.

    `kernel` (source-surface distances, 3, radii) is tabulated at `ssd_mm` and `radius_mm`; `kernel_radius_mm` cuts its tail; `penumbra_fwhm_mm`
    is the width at half maximum of the source as seen in the isocentre plane; `beamlet_mm` the beamlet's side there.
    """

    energy_mv: float
    source_axis_mm: float
    attenuation_per_mm: float
    build_up_per_mm: NDArray[np.float32]
    ssd_mm: NDArray[np.float32]
    radius_mm: NDArray[np.float32]
    kernel: NDArray[np.float32]
    kernel_radius_mm: float = 25.0
    penumbra_fwhm_mm: float = 5.0
    beamlet_mm: float = 5.0

    def with_kernel_radius(self, radius_mm: float) -> Machine:
        return replace(self, kernel_radius_mm=radius_mm)

    def depth_components(self, depth_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """The three depth terms (3, n) at radiological depths (n,)."""
        beta, m = self.build_up_per_mm[:, None], self.attenuation_per_mm
        return (beta / (beta - m) * (np.exp(-m * depth_mm) - np.exp(-beta * depth_mm))).astype(np.float32)

    def beamlet_responses(self, ssd_mm: float, pitch_mm: float) -> NDArray[np.float32]:
        """Lateral dose (3, n, n) of one beamlet of unit fluence on a lattice of `pitch_mm` centred on it, n odd."""
        table = _response_table(self, pitch_mm)
        position = float(np.interp(ssd_mm, self.ssd_mm, np.arange(len(self.ssd_mm))))
        lower = min(int(position), len(table) - 2)
        return table[lower] + (position - lower) * (table[lower + 1] - table[lower])


@lru_cache(maxsize=8)
def _response_table(machine: Machine, pitch_mm: float) -> NDArray[np.float32]:
    """Beamlet box * source penumbra * lateral kernel at every tabulated distance: (distances, 3, n, n)."""
    step = round(pitch_mm / FINE_MM)
    half = int(np.ceil((machine.kernel_radius_mm + machine.beamlet_mm / 2 + machine.penumbra_fwhm_mm) / pitch_mm))
    size = 2 * (half * step + round(machine.beamlet_mm / FINE_MM))
    axis = (np.arange(size) - size // 2) * FINE_MM
    radius = np.hypot(axis[:, None], axis[None, :])
    sigma = machine.penumbra_fwhm_mm / np.sqrt(8 * np.log(2))
    penumbra = np.exp(-(radius**2) / (2 * sigma**2))
    edge = np.clip((machine.beamlet_mm / 2 - np.abs(axis)) / FINE_MM + 0.5, 0, 1)

    def transform(image: NDArray[np.floating]) -> NDArray[np.complexfloating]:
        return np.fft.rfft2(np.fft.ifftshift(image))

    source = transform(penumbra / penumbra.sum()) * transform(np.outer(edge, edge))
    lattice = size // 2 + np.arange(-half, half + 1) * step
    table = np.empty((len(machine.ssd_mm), 3, 2 * half + 1, 2 * half + 1), np.float32)
    for i, components in enumerate(machine.kernel):
        for c, values in enumerate(components):
            kernel = np.where(radius <= machine.kernel_radius_mm, np.interp(radius, machine.radius_mm, values), 0) * FINE_MM**2
            response = np.fft.fftshift(np.fft.irfft2(source * transform(kernel), s=(size, size)))
            table[i, c] = response[np.ix_(lattice, lattice)]
    return table


@lru_cache(maxsize=4)
def photon_machine(energy_mv: float = 6.0) -> Machine:
    """The generic linear accelerator (100 cm source-axis distance) at `energy_mv`."""
    if energy_mv not in PHOTON_FILES:
        known = ", ".join(f"{energy:g}" for energy in sorted(PHOTON_FILES))
        raise CaseError(f"No beam data for {energy_mv:g} MV; choose one of: {known} MV.")
    with np.load(DATA / PHOTON_FILES[energy_mv], allow_pickle=False) as data:
        return Machine(
            energy_mv=energy_mv,
            source_axis_mm=1000.0,
            attenuation_per_mm=float(data["m_per_mm"]),
            build_up_per_mm=data["beta_per_mm"],
            ssd_mm=data["ssd_mm"],
            radius_mm=data["radius_mm"],
            kernel=data["kernel"],
        )
