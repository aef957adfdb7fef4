"""A case that is small enough to know by heart: a cylinder of water with two targets and an organ."""

from __future__ import annotations

import numpy as np

from dose_prediction.case import Beam, Grid, PlanCase, Role, Structure, equispaced_beams

SHAPE = (20, 40, 40)


def water_case(name: str = "Water cylinder", grid: Grid | None = None) -> PlanCase:
    """A cylinder of water along z; PTV_7000 in its centre, PTV_5600 in front of it, the left parotid on the patient's left.

    `grid` may have other axes, as long as it holds 20 x 40 x 40 voxels; the structures then lie where the array says.
    """
    grid = grid or Grid(SHAPE, origin_mm=(-78.0, -78.0, -30.0), spacing_mm=(4.0, 4.0, 3.0))
    z, y, x = np.indices(SHAPE)
    body = (y - 19.5) ** 2 + (x - 19.5) ** 2 <= 17**2
    return PlanCase(
        name,
        grid,
        np.where(body, 0.0, -1000.0).astype(np.float32),
        (
            Structure("BODY", Role.external(), body),
            Structure("PTV_7000", Role.target(70.0), _box(z, y, x, (6, 14), (16, 24), (16, 24))),
            Structure("PTV_5600", Role.target(56.0), _box(z, y, x, (6, 14), (10, 16), (16, 24))),
            Structure("Parotid_L", Role.organ("Parotid_L"), _box(z, y, x, (6, 14), (16, 24), (28, 34))),
        ),
        equispaced_beams(5),
    )


def mirror_image(case: PlanCase) -> PlanCase:
    """The case with left and right exchanged; its grid is symmetric about x = 0."""
    sides = {"Parotid_L": "Parotid_R", "Parotid_R": "Parotid_L"}
    structures = tuple(
        Structure(s.name, Role.organ(sides[s.role.standard_name]) if s.role.standard_name in sides else s.role, s.mask[:, :, ::-1])
        for s in case.structures
    )
    beams = tuple(Beam(-beam.gantry_deg % 360, -beam.couch_deg % 360) for beam in case.beams)
    return PlanCase(case.name, case.grid, case.ct_hu[:, :, ::-1], structures, beams)


def _box(z: np.ndarray, y: np.ndarray, x: np.ndarray, *ranges: tuple[int, int]) -> np.ndarray:
    return np.logical_and.reduce([(first <= axis) & (axis < last) for axis, (first, last) in zip((z, y, x), ranges, strict=True)])
