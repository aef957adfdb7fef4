"""VMAT arcs, and the static fields that stand for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dose_prediction.case.beam import LEAF_WIDTHS_MM, Beam, check_values
from dose_prediction.case.errors import CaseError

# An arc's dose is computed from static fields at most this far apart.  Open fields then differ from those every 2 degrees by 0.3 % of the targets'
# mean dose on average, and by 1.9 % at the 99th percentile (Testing/benchmarks/bench_arcs.py).
FIELD_SPACING_DEG = 10.0


@dataclass(frozen=True)
class Arc:
    """One VMAT arc: the gantry turns from `start_deg` to `stop_deg` while the beam is on.

    Angles are those of IEC 61217; clockwise is towards larger gantry angles, as seen by someone who faces the gantry.  Equal angles are a full turn.
    `spacing_deg` lies between two control points.  Energy, filter, weight, name and leaf width are those of a `Beam`.
    """

    start_deg: float
    stop_deg: float
    is_clockwise: bool = True
    couch_deg: float = 0.0
    collimator_deg: float = 0.0
    energy_mv: float = 6.0
    spacing_deg: float = 2.0
    is_flattened: bool = True
    weight: float = 1.0
    name: str = ""
    leaf_width_mm: float = LEAF_WIDTHS_MM[0]

    def __post_init__(self) -> None:
        check_values(self, "Arc", ("start_deg", "stop_deg", "couch_deg", "collimator_deg"))
        if not np.isfinite(self.spacing_deg) or not 0.5 <= self.spacing_deg <= 20:
            raise CaseError(f"Arc has control points every {self.spacing_deg} degrees; give 0.5 to 20 degrees.")
        if self.length_deg < self.spacing_deg - 1e-6:
            direction, other = ("clockwise", "counter-clockwise") if self.is_clockwise else ("counter-clockwise", "clockwise")
            raise CaseError(
                f"Arc from {self.start_deg:g} to {self.stop_deg:g} {direction} is {self.length_deg:g} degrees long, less than the "
                f"{self.spacing_deg:g} between two control points; turn it {other}, or give one beam."
            )
        object.__setattr__(self, "spacing_deg", float(self.spacing_deg))

    @property
    def length_deg(self) -> float:
        """How far the gantry turns, above 0 and up to 360.

        >>> Arc(181, 179).length_deg, Arc(20, 340, is_clockwise=False).length_deg, Arc(180, 180).length_deg
        (358.0, 40.0, 360.0)
        """
        turn = self.stop_deg - self.start_deg
        return (turn if self.is_clockwise else -turn) % 360.0 or 360.0

    def control_points(self) -> tuple[Beam, ...]:
        """The beam at each control point, from start to stop, equally spaced by about `spacing_deg`."""
        steps = round(self.length_deg / self.spacing_deg)
        return self._beams_at([i / steps for i in range(steps + 1)])

    def fields(self, at_most_deg: float) -> tuple[Beam, ...]:
        """The static beams that stand for the arc: one in the middle of each of the fewest equal parts that are at most `at_most_deg` long.

        >>> [beam.gantry_deg for beam in Arc(350, 20).fields(10)]
        [355.0, 5.0, 15.0]
        """
        parts = int(np.ceil(self.length_deg / at_most_deg - 1e-9))
        return self._beams_at([(i + 0.5) / parts for i in range(parts)])

    def _beams_at(self, fractions: list[float]) -> tuple[Beam, ...]:
        """Beams at ascending fractions of the length; counted clockwise, so that arcs there and back have beams at the very same angles."""
        first = self.start_deg if self.is_clockwise else self.stop_deg
        angles = [round(first + self.length_deg * fraction, 6) % 360.0 for fraction in fractions]
        first_beam = Beam(0.0, self.couch_deg, self.collimator_deg, self.energy_mv, self.is_flattened, self.weight, self.name, self.leaf_width_mm)
        beams = [replace(first_beam, gantry_deg=angle) for angle in angles]
        return tuple(beams if self.is_clockwise else reversed(beams))


def static_fields(beams: Iterable[Beam | Arc], at_most_deg: float = FIELD_SPACING_DEG) -> tuple[Beam, ...]:
    """The static beams that a dose is computed from: beams as they are, then those of the arcs.

    Fields of two arcs in one direction are one field, of their mean weight: whatever fluence the two arcs have there, one map can hold it.
    """
    given = list(beams)
    together: dict[tuple[float, float, float, bool], list[Beam]] = {}
    for arc in given:
        if isinstance(arc, Arc):
            for field in arc.fields(at_most_deg):
                together.setdefault((field.gantry_deg, field.couch_deg, field.energy_mv, field.is_flattened), []).append(field)
    merged = [replace(same[0], weight=sum(field.weight for field in same) / len(same)) for same in together.values()]
    return (*(beam for beam in given if isinstance(beam, Beam)), *merged)
