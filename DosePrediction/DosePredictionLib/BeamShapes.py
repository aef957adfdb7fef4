"""What is drawn of a beam: its axis with an arrow head, and its aperture around the targets; lines in LPS mm.

Only the side that the beam comes from is drawn, so that a wrong angle is seen at a glance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case import Arc, Beam
from dose_prediction.physics.beam_frame import BeamFrame, beam_frame

Points = NDArray[np.float64]

SOURCE_AXIS_MM = 1000.0
# So far from the isocentre, towards the source, a beam is drawn; farther than most patients reach.
DRAWN_MM = 300.0
ARROW_MM = 25.0
# Around the targets' shadow in the isocentre plane.
APERTURE_MARGIN_MM = 5.0
ARC_STEP_DEG = 5.0


def beam_lines(beam: Beam | Arc, isocentre_mm: tuple[float, float, float], targets_mm: Points) -> list[Points]:
    """Lines, each as its corners (n, 3), of a field, or of an arc: where it begins and ends and the way between, with an arrow head at its end."""
    if isinstance(beam, Beam):
        return _field_lines(beam_frame(beam, isocentre_mm, SOURCE_AXIS_MM), targets_mm)
    fields = _way(beam)
    frames = [beam_frame(field, isocentre_mm, SOURCE_AXIS_MM) for field in fields]
    way = np.stack([_upstream(frame, DRAWN_MM) for frame in frames])
    begins, ends = (_field_lines(frame, targets_mm) for frame in (frames[0], frames[-1]))
    return [way, _arrow_head(way[-1], way[-1] - way[-2], frames[-1].w), *begins, *ends]


def _way(arc: Arc) -> tuple[Beam, ...]:
    """Static fields along the arc, its ends among them."""
    points = arc.control_points()
    step = max(1, round(ARC_STEP_DEG / arc.spacing_deg))
    return (*points[:-1:step], points[-1])


def _field_lines(frame: BeamFrame, targets_mm: Points) -> list[Points]:
    axis = np.stack([_upstream(frame, DRAWN_MM), frame.isocentre_mm])
    near = _aperture(frame, targets_mm)
    far = frame.source_mm + (near - frame.source_mm) * (1 - DRAWN_MM / SOURCE_AXIS_MM)
    edges = [np.stack([one, other]) for one, other in zip(far, near, strict=True)]
    return [axis, _arrow_head(frame.isocentre_mm, frame.w, frame.u), _closed(near), _closed(far), *edges]


def _upstream(frame: BeamFrame, distance_mm: float) -> Points:
    return frame.isocentre_mm - distance_mm * frame.w


def _aperture(frame: BeamFrame, targets_mm: Points) -> Points:
    """Corners (4, 3) in the isocentre plane of the rectangle, along the leaves, around the targets' shadow."""
    u, v, _distance = frame.project(targets_mm)
    u_low, u_high = float(u.min()) - APERTURE_MARGIN_MM, float(u.max()) + APERTURE_MARGIN_MM
    v_low, v_high = float(v.min()) - APERTURE_MARGIN_MM, float(v.max()) + APERTURE_MARGIN_MM
    corners = ((u_low, v_low), (u_high, v_low), (u_high, v_high), (u_low, v_high))
    return np.stack([frame.isocentre_mm + along * frame.u + across * frame.v for along, across in corners])


def _arrow_head(tip: Points, direction: Points, side: Points) -> Points:
    """Three corners of an arrow head at `tip`."""
    back = tip - ARROW_MM * direction / np.linalg.norm(direction)
    return np.stack([back + 0.4 * ARROW_MM * side, tip, back - 0.4 * ARROW_MM * side])


def _closed(corners: Points) -> Points:
    return np.vstack([corners, corners[:1]])
