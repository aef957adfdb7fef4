"""Where a beam stands in the patient: IEC 61217 angles to LPS vectors, for a head-first supine patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.beam import Beam

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BeamFrame:
    """A divergent beam's own axes, unit vectors in LPS.

    `u` and `v` span the isocentre plane (IEC beam-limiting-device X and Y), `w` points from the source to the isocentre; `source_axis_mm` is the
    distance from the source to the isocentre.
    """

    isocentre_mm: Vector
    u: Vector
    v: Vector
    w: Vector
    source_axis_mm: float

    @property
    def source_mm(self) -> Vector:
        return self.isocentre_mm - self.source_axis_mm * self.w

    @property
    def key(self) -> tuple[float, ...]:
        """Numbers that two frames share exactly where they are the same."""
        return (*self.isocentre_mm.tolist(), *self.u.tolist(), *self.v.tolist(), *self.w.tolist(), self.source_axis_mm)

    def turned_towards(self, axis: Vector) -> BeamFrame:
        """The same beam with u and v turned about w, so that v is as close to the unit vector `axis` as it can be."""
        across = axis - (axis @ self.w) * self.w
        length = np.linalg.norm(across)
        if length < 1e-6 or np.allclose(across, length * self.v, atol=1e-9):
            return self
        v = across / length
        return replace(self, u=np.cross(v, self.w) * np.sign(np.cross(self.v, self.w) @ self.u), v=v)

    def project(self, points_mm: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Divergent projection of LPS points (n, 3): coordinates u and v on the isocentre plane and distance from the source along the axis, mm."""
        from_isocentre = (points_mm - self.isocentre_mm).astype(np.float32)
        # One axis after the other: a product with all three at once is a hundred times slower in some builds of BLAS.
        u, v, w = (from_isocentre @ axis.astype(np.float32) for axis in (self.u, self.v, self.w))
        distance = self.source_axis_mm + w
        magnification = self.source_axis_mm / distance
        return u * magnification, v * magnification, distance


def beam_frame(beam: Beam, isocentre_mm: tuple[float, float, float], source_axis_mm: float) -> BeamFrame:
    """The frame of `beam` about `isocentre_mm`.

    Gantry 0 enters from anterior, gantry 90 from the patient's left; couch angles turn the table counter-clockwise seen from above; collimator
    angles turn the leaves counter-clockwise seen from the source (IEC 61217).
    """
    gantry, couch, collimator = np.deg2rad([beam.gantry_deg, beam.couch_deg, beam.collimator_deg])
    # In the fixed system: X to the patient's left, Y to superior, Z up, for a head-first supine patient on an unturned table.
    x_gantry = np.array([np.cos(gantry), 0.0, -np.sin(gantry)])
    y_gantry = np.array([0.0, 1.0, 0.0])
    to_source = np.array([np.sin(gantry), 0.0, np.cos(gantry)])
    x_leaves = np.cos(collimator) * x_gantry + np.sin(collimator) * y_gantry
    y_leaves = -np.sin(collimator) * x_gantry + np.cos(collimator) * y_gantry
    table = np.array([[np.cos(couch), np.sin(couch), 0.0], [-np.sin(couch), np.cos(couch), 0.0], [0.0, 0.0, 1.0]])
    lps_from_table = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    to_patient = lps_from_table @ table
    return BeamFrame(
        np.asarray(isocentre_mm, dtype=float), to_patient @ x_leaves, to_patient @ y_leaves, -(to_patient @ to_source), float(source_axis_mm)
    )


def angles_in_turned_frame(beam: Beam, turn_rad: float) -> tuple[float, float]:
    """Gantry and couch angle in radians that show where the beam's source is, counted in axes turned about the patient's long axis.

    `turn_rad` is how far they are turned as gantry angles grow.
    """
    gantry, couch = float(np.deg2rad(beam.gantry_deg)), float(np.deg2rad(beam.couch_deg))
    if not turn_rad:
        return gantry, couch
    if not beam.couch_deg:
        return gantry - turn_rad, 0.0
    left, superior, anterior = np.cos(couch) * np.sin(gantry), -np.sin(couch) * np.sin(gantry), np.cos(gantry)
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    left, anterior = cosine * left - sine * anterior, cosine * anterior + sine * left
    side = np.sign(left) or 1.0
    return float(np.arctan2(side * np.hypot(left, superior), anterior)), float(np.arctan2(-side * superior, side * left))
