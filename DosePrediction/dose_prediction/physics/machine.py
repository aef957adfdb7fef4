"""The treatment machine's photon beam: depth components and lateral kernels of a pencil beam.

The dose of a pencil beam is a sum of three products of a depth term and a lateral kernel (Bortfeld, Schlegel and Rhein, Med. Phys. 20, 311, 1993):
    D(r, d) = sum_c  beta_c / (beta_c - m) * (exp(-m d) - exp(-beta_c d)) * K_c(r)
with the radiological depth d, the attenuation m and the build-up constants beta_c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.beam import LEAF_WIDTHS_MM
from dose_prediction.case.errors import CaseError

DATA = Path(__file__).with_name("data")
# By energy in MV and whether the beam is flattened; every file has its source and licence beside it.
PHOTON_FILES = {
    (6.0, True): "generic_photon_6mv.npz",
    (10.0, True): "generic_photon_10mv.npz",
    (6.0, False): "generic_photon_6mv_fff.npz",
    (10.0, False): "generic_photon_10mv_fff.npz",
}
OFF_AXIS = ("half_fluence_mm", "fall_off_power")  # only in files of beams without flattening filter
FINE_MM = 0.5  # sampling of the kernels while they are convolved with a beamlet
SPREAD_DENSITIES = (0.5, 0.25)  # densities of the stretched kernels of lung, each half of the one before
STRETCHED_MM = (30.0, 50.0)  # radius in water up to which the kernel is stretched wholly, and from which not at all
WIDE_MM = 100.0  # radius at which a wide kernel ends
# Radius at which a stretched one ends, if it is not wide: beyond are 2 % of it in the thinnest lung and nothing elsewhere; smaller planes are faster.
STRETCHED_REACH_MM = 60.0


@dataclass(frozen=True, eq=False)
class Machine:
    """A photon beam of one energy.

    `kernel` (source-surface distances, 3, radii) is tabulated at `ssd_mm` and `radius_mm`; `kernel_radius_mm` cuts its tail; `penumbra_fwhm_mm`
    is the width at half maximum of the source as seen in the isocentre plane; `beamlet_mm` the beamlet's side there.  Without flattening filter the
    open beam's fluence falls off from its axis: to half of it at `half_fluence_mm` in that plane, as steeply as `fall_off_power` says.
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
    half_fluence_mm: float = np.inf
    fall_off_power: float = 1.0

    def with_kernel_radius(self, radius_mm: float) -> Machine:
        return replace(self, kernel_radius_mm=radius_mm)

    @cached_property
    def wide(self) -> Machine:
        """The same beam with all of the scattered photons' tail."""
        return self.with_kernel_radius(WIDE_MM)

    def open_fluence(self, radius_mm: NDArray[np.floating]) -> NDArray[np.floating]:
        """Fluence of the open beam at distances from its axis in the isocentre plane, relative to that on the axis."""
        return 1 / (1 + (radius_mm / self.half_fluence_mm) ** self.fall_off_power)

    def depth_components(self, depth_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """The three depth terms (3, n) at radiological depths (n,)."""
        beta, m = self.build_up_per_mm[:, None], self.attenuation_per_mm
        return (beta / (beta - m) * (np.exp(-m * depth_mm) - np.exp(-beta * depth_mm))).astype(np.float32)

    def spread_depth_components(self, depth_mm: NDArray[np.float32], density: NDArray[np.float32]) -> NDArray[np.float32]:
        """The depth terms (5, n) where the electrons spread as at `density` (n,): the first one is shared out among kernels of these densities.

        The order is that of `beamlet_responses`: the kernels of water, then that of the first component stretched by each `SPREAD_DENSITIES`.
        """
        first, *others = self.depth_components(depth_mm)
        halvings = -np.log2(np.clip(density, SPREAD_DENSITIES[-1], 1))
        shares = [np.clip(1 - np.abs(halvings + np.log2(level)), 0, 1) for level in (1.0, *SPREAD_DENSITIES)]
        return np.stack([first * shares[0], *others, *(first * share for share in shares[1:])]).astype(np.float32)

    def beamlet_responses(self, ssd_mm: float, pitch_mm: float, spreads: bool = False, wide_share: float = 0.0) -> NDArray[np.float32]:
        """Lateral dose (components, n, n) of one beamlet of unit fluence on a lattice of `pitch_mm` centred on it, n odd.

        There are three components; two more where the electrons' spread in lung is wanted.  `wide_share` of the wide kernel is mixed in.
        """
        if wide_share:
            narrow, wide = of_one_size([machine.beamlet_responses(ssd_mm, pitch_mm, spreads) for machine in (self, self.wide)])
            return narrow + np.float32(wide_share) * (wide - narrow)
        table = _response_table(self, pitch_mm, spreads)
        position = float(np.interp(ssd_mm, self.ssd_mm, np.arange(len(self.ssd_mm))))
        lower = min(int(position), len(table) - 2)
        return table[lower] + (position - lower) * (table[lower + 1] - table[lower])


def of_one_size(responses: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Responses (..., components, n, n) with zeros around those (components, n, n) that reach less far than the widest."""
    size = max(response.shape[-1] for response in responses)
    margins = [(size - response.shape[-1]) // 2 for response in responses]
    return np.stack([np.pad(response, ((0, 0), (margin, margin), (margin, margin))) for response, margin in zip(responses, margins, strict=True)])


@lru_cache(maxsize=16)
def _response_table(machine: Machine, pitch_mm: float, spreads: bool) -> NDArray[np.float32]:
    """Beamlet box * source penumbra * lateral kernel at every tabulated distance: (distances, components, n, n)."""
    step = round(pitch_mm / FINE_MM)
    reach = max(machine.kernel_radius_mm, STRETCHED_REACH_MM) if spreads else machine.kernel_radius_mm
    half = int(np.ceil((reach + machine.beamlet_mm / 2 + machine.penumbra_fwhm_mm) / pitch_mm))
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
    table = []
    for components in machine.kernel:
        kernels = [_disc(machine, radius, values) for values in components]
        if spreads:
            kernels += [_stretched(machine, radius, components[0], density) for density in SPREAD_DENSITIES]
        responses = [np.fft.fftshift(np.fft.irfft2(source * transform(kernel), s=(size, size))) for kernel in kernels]
        table.append([response[np.ix_(lattice, lattice)] for response in responses])
    return np.array(table, np.float32)


def _disc(machine: Machine, radius_mm: NDArray[np.floating], values: NDArray[np.float32]) -> NDArray[np.floating]:
    """A kernel tabulated over the radius, as the dose of each fine pixel; its tail is cut."""
    return np.where(radius_mm <= machine.kernel_radius_mm, np.interp(radius_mm, machine.radius_mm, values), 0) * FINE_MM**2


def _stretched(machine: Machine, radius_mm: NDArray[np.floating], values: NDArray[np.float32], density: float) -> NDArray[np.floating]:
    """The kernel with its core, the electrons' part, stretched by the inverse of `density`; its integral stays."""
    whole_to, nothing_from = STRETCHED_MM

    def core(radius: NDArray[np.floating]) -> NDArray[np.floating]:
        return _disc(machine, radius, values) * np.clip((nothing_from - radius) / (nothing_from - whole_to), 0, 1)

    in_water, stretched = core(radius_mm), core(radius_mm * density)
    return _disc(machine, radius_mm, values) - in_water + stretched * (in_water.sum() / stretched.sum())


@lru_cache(maxsize=8)
def photon_machine(energy_mv: float = 6.0, is_flattened: bool = True, leaf_width_mm: float = LEAF_WIDTHS_MM[0]) -> Machine:
    """The generic linear accelerator (100 cm source-axis distance) at `energy_mv`, with or without flattening filter, with leaves of this width."""
    if (energy_mv, is_flattened) not in PHOTON_FILES:
        known = ", ".join(_in_words(*beam) for beam in PHOTON_FILES)
        raise CaseError(f"No beam data for {_in_words(energy_mv, is_flattened)}; choose one of: {known}.")
    with np.load(DATA / PHOTON_FILES[energy_mv, is_flattened], allow_pickle=False) as data:
        return Machine(
            energy_mv=energy_mv,
            source_axis_mm=1000.0,
            attenuation_per_mm=float(data["m_per_mm"]),
            build_up_per_mm=data["beta_per_mm"],
            ssd_mm=data["ssd_mm"],
            radius_mm=data["radius_mm"],
            kernel=data["kernel"],
            beamlet_mm=leaf_width_mm,
            **{name: float(data[name]) for name in OFF_AXIS if name in data},
        )


def _in_words(energy_mv: float, is_flattened: bool) -> str:
    return f"{energy_mv:g} MV" if is_flattened else f"{energy_mv:g} MV FFF"
