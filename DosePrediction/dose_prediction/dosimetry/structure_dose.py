"""The dose in one structure as a histogram without bins: doses, and the volume that each of them stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

VolumeUnit = Literal["%", "cc"]


@dataclass(frozen=True, eq=False)
class StructureDose:
    """Doses in Gy, in any order, with the volume in cc that receives each; sorted when it is made.

    Between samples the dose is interpolated linearly: the coldest sample is D100%, the hottest D0%, as in `dose_prediction.dosimetry.dvh`.

    >>> dose = StructureDose([10.0, 20.0, 30.0, 40.0], [0.5, 0.5, 0.5, 0.5])
    >>> dose.total_cc, dose.mean_gy, dose.volume_at_dose(20.0), dose.volume_at_dose(20.0, "cc"), dose.dose_at_volume(50.0)
    (2.0, 25.0, 75.0, 1.5, 25.0)
    """

    dose_gy: ArrayLike
    volume_cc: ArrayLike

    def __post_init__(self) -> None:
        dose, volume = np.asarray(self.dose_gy, dtype=np.float64).ravel(), np.asarray(self.volume_cc, dtype=np.float64).ravel()
        if dose.shape != volume.shape:
            raise ValueError(f"There are {dose.size} doses and {volume.size} volumes; give one volume for each dose.")
        if not (np.isfinite(dose).all() and np.isfinite(volume).all() and (volume >= 0).all()):
            raise ValueError("Doses and volumes must be numbers and no volume below 0; repair the dose or the structure.")
        dose, volume = dose[volume > 0], volume[volume > 0]
        if dose.size == 0:
            raise ValueError("The structure has no volume on the dose grid; contour it, or leave it out.")
        order = np.argsort(dose, kind="stable")
        object.__setattr__(self, "dose_gy", dose[order])
        object.__setattr__(self, "volume_cc", volume[order])

    @property
    def _doses(self) -> NDArray[np.float64]:
        return np.asarray(self.dose_gy)

    @property
    def _volumes(self) -> NDArray[np.float64]:
        return np.asarray(self.volume_cc)

    @property
    def total_cc(self) -> float:
        return float(self._volumes.sum())

    @property
    def mean_gy(self) -> float:
        return float(np.average(self._doses, weights=self._volumes))

    @property
    def min_gy(self) -> float:
        return float(self._doses[0])

    @property
    def max_gy(self) -> float:
        return float(self._doses[-1])

    def dose_at_volume(self, volume: float, unit: VolumeUnit = "%") -> float:
        """The dose in Gy that the hottest `volume` receives at least: D95% or, in cc, D0.03cc; of a smaller structure, its smallest dose."""
        percent = volume if unit == "%" else min(100.0 * volume / self.total_cc, 100.0)
        if not 0 <= percent <= 100:
            raise ValueError(f"Volume is {volume:g} {unit}; give 0 to 100 %, or cc from 0.")
        volumes = self._volumes
        if volumes.size == 1:
            return self.min_gy
        middles = np.cumsum(volumes) - volumes / 2
        colder = (middles - middles[0]) / (middles[-1] - middles[0])
        return float(np.interp(1 - percent / 100, colder, self._doses))

    def volume_at_dose(self, at_least_gy: float, unit: VolumeUnit = "%") -> float:
        """The volume that receives at least this dose, in percent of the structure or in cc."""
        return float(self.cumulative([at_least_gy], unit)[0])

    def cumulative(self, axis_gy: ArrayLike, unit: VolumeUnit = "%") -> NDArray[np.float64]:
        """The cumulative DVH: the volume that receives at least each dose of `axis_gy`."""
        hotter = np.concatenate([np.cumsum(self._volumes[::-1])[::-1], [0.0]])
        at_least = hotter[np.searchsorted(self._doses, np.asarray(axis_gy, dtype=float), side="left")]
        return at_least * self._scale(unit)

    def differential(self, edges_gy: ArrayLike, unit: VolumeUnit = "%") -> NDArray[np.float64]:
        """The differential DVH: the volume per Gy between each edge and the next; the last edge belongs to the last interval.

        >>> StructureDose([10.0, 20.0, 30.0, 40.0], [0.5, 0.5, 0.5, 0.5]).differential([0.0, 20.0, 40.0], "cc").tolist()
        [0.025, 0.075]
        """
        edges = np.asarray(edges_gy, dtype=float)
        return np.histogram(self._doses, edges, weights=self._volumes)[0] / np.diff(edges) * self._scale(unit)

    def _scale(self, unit: VolumeUnit) -> float:
        return 100.0 / self.total_cc if unit == "%" else 1.0
