"""How large each segment is and how much of a target lies outside the body: measured in steps, and kept until the segment changes."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from dose_prediction.case import CaseError, Grid, RoleKind

from .ContourMasks import PLANAR_CONTOUR, contours_of, fill, lattice_around
from .ContourStore import BINARY_LABELMAP
from .SceneReader import CLOSED_SURFACE, grid_of_volume, segment_mask, volume_problem
from .SegmentRoles import SegmentRow
from .Signal import Signal
from .Steps import Steps

# What part of a target is outside is told on voxels of about this size.
OVERLAP_SPACING_MM = 3.0
# As many voxels are counted in one step, some hundredths of a second.
STEP_VOXELS = 20_000_000


@dataclass(frozen=True)
class SegmentMeasure:
    """The volume is None where it cannot be told; `doubts` are about contours; the parts (0 to 1) that lie outside are told of targets only."""

    volume_cc: float | None
    doubts: tuple[str, ...] = ()
    outside_ct: float | None = None
    outside_body: float | None = None


class SegmentMeasures:
    """`found` holds what is known by segment id, `targets_mm` points (n, 3) in LPS all over the targets; `changed` is emitted when more is known."""

    def __init__(self) -> None:
        self.changed = Signal()
        self.found: dict[str, SegmentMeasure] = {}
        self.targets_mm: NDArray[np.float64] | None = None
        self._targets_state: Any = None
        self._states: dict[str, tuple[Any, ...]] = {}
        self._wanted: dict[str, tuple[Any, ...]] = {}
        self._steps: Steps | None = None

    def follow(self, ct: Any, segmentation: Any, rows: tuple[SegmentRow, ...]) -> None:
        """Forget what has changed and begin to measure it, unless that is under way."""
        wanted = {row.segment_id: _state(ct, segmentation, row, rows) for row in rows}
        self.found = {one: measure for one, measure in self.found.items() if self._states[one] == wanted.get(one)}
        if wanted == self._wanted:
            return
        self.stop()
        self._wanted = wanted
        if any(row.segment_id not in self.found for row in rows) or self._state_of_targets(rows) != self._targets_state:
            self._steps = Steps(self._measure(ct, segmentation, rows), self._on_done, _report, lambda _fraction: None)

    def stop(self) -> None:
        """Measure no further."""
        self._wanted = {}
        if self._steps is not None:
            self._steps.stop()
            self._steps = None

    def _measure(self, ct: Any, segmentation: Any, rows: tuple[SegmentRow, ...]) -> Generator[float, None, None]:
        for row in rows:
            if row.segment_id not in self.found:
                measure = yield from measured_volume(segmentation, row.segment_id)
                self._keep(row, measure)
        grid, targets_state = _overlap_grid(ct), self._state_of_targets(rows)
        if targets_state == self._targets_state:
            return
        targets = [row for row in rows if row.kind is RoleKind.TARGET and self.found[row.segment_id].volume_cc]
        self.targets_mm = None
        if grid is not None:
            yield from self._measure_targets(segmentation, targets, rows, grid)
        self._targets_state = targets_state

    def _measure_targets(
        self, segmentation: Any, targets: list[SegmentRow], rows: tuple[SegmentRow, ...], grid: Grid
    ) -> Generator[float, None, None]:
        body = None
        for row in rows:
            if row.kind is RoleKind.EXTERNAL:
                part = yield from segment_mask(segmentation, row, grid)
                body = part if body is None or part.sum() > body.sum() else body
        together = np.zeros(grid.shape, dtype=bool)
        for row in targets:
            mask = yield from segment_mask(segmentation, row, grid)
            together |= mask
            self._keep(row, _with_overlap(self.found[row.segment_id], mask, body, grid))
        self.targets_mm = grid.world_from_index(np.argwhere(together)) if together.any() else None

    def _state_of_targets(self, rows: tuple[SegmentRow, ...]) -> tuple[Any, ...]:
        return tuple((row.segment_id, self._wanted[row.segment_id]) for row in rows if row.kind is RoleKind.TARGET)

    def _keep(self, row: SegmentRow, measure: SegmentMeasure) -> None:
        self.found[row.segment_id] = measure
        self._states[row.segment_id] = self._wanted[row.segment_id]

    def _on_done(self, _result: Any) -> None:
        self._steps = None
        self.changed.emit()


def measured_volume(segmentation_node: Any, segment_id: str) -> Generator[float, None, SegmentMeasure]:
    """The volume of a segment in the world, in steps; none is told under a bending transform."""
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    scale = _volume_scale(segmentation_node)
    yield 0.0
    if segment is None or scale is None:
        return SegmentMeasure(None)
    labelmap = segment.GetRepresentation(BINARY_LABELMAP)
    if labelmap is not None:
        count = yield from _voxel_count(labelmap, segment.GetLabelValue())
        return SegmentMeasure(scale * count * float(np.prod(labelmap.GetSpacing())) / 1000.0)
    surface = segment.GetRepresentation(CLOSED_SURFACE)
    if surface is not None:
        return SegmentMeasure(scale * _volume_inside_mm3(surface) / 1000.0)
    contours = contours_of(segment)
    if not contours:
        return SegmentMeasure(0.0)
    lattice = lattice_around(contours)
    filled = yield from fill(contours, lattice, segment.GetName())
    return SegmentMeasure(scale * np.count_nonzero(filled.mask) * lattice.voxel_volume_mm3 / 1000.0, filled.doubts)


def _voxel_count(labelmap: Any, label: int) -> Generator[float, None, int]:
    if labelmap.IsEmpty():
        return 0
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars())
    count = 0
    for start in range(0, len(voxels), STEP_VOXELS):
        count += int(np.count_nonzero(voxels[start : start + STEP_VOXELS] == label))
        yield start / len(voxels)
    return count


def _volume_inside_mm3(surface: Any) -> float:
    if surface.GetNumberOfPolys() + surface.GetNumberOfStrips() == 0:
        return 0.0
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    properties = vtk.vtkMassProperties()
    properties.SetInputConnection(triangles.GetOutputPort())
    properties.Update()
    return float(properties.GetVolume())


def _volume_scale(segmentation_node: Any) -> float | None:
    """By how much the transforms over the node stretch volumes; None where they bend."""
    transform = segmentation_node.GetParentTransformNode()
    if transform is None:
        return 1.0
    if not transform.IsTransformToWorldLinear():
        return None
    return abs(_matrix_to_world(segmentation_node).Determinant())


def _matrix_to_world(node: Any) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    if node.GetParentTransformNode() is not None:
        node.GetParentTransformNode().GetMatrixTransformToWorld(matrix)
    return matrix


def _overlap_grid(ct: Any) -> Grid | None:
    """Coarse voxels over the CT; None without a CT that can be planned on."""
    if ct is None or volume_problem(ct):
        return None
    grid = grid_of_volume(ct)
    spacing = np.array(grid.spacing_mm)
    strides = np.maximum(1, np.round(OVERLAP_SPACING_MM / spacing)).astype(int)
    shape = [int(np.ceil(count / stride)) for count, stride in zip(grid.shape, strides[::-1], strict=True)]
    return Grid(tuple(shape), tuple(grid.world_from_index((strides[::-1] - 1) / 2)), tuple(spacing * strides), grid.direction)


def _with_overlap(measure: SegmentMeasure, mask: Any, body: Any, grid: Grid) -> SegmentMeasure:
    inside_cc = float(mask.sum()) * grid.voxel_volume_mm3 / 1000.0
    outside_ct = max(0.0, 1.0 - inside_cc / (measure.volume_cc or inside_cc or 1.0))
    outside_body = None if body is None or not mask.any() else float(1.0 - body[mask].mean())
    return replace(measure, outside_ct=outside_ct, outside_body=outside_body)


def _state(ct: Any, segmentation: Any, row: SegmentRow, rows: tuple[SegmentRow, ...]) -> tuple[Any, ...]:
    """What the measure of a segment depends on: equal states, equal measures."""
    own = (_content(segmentation, row.segment_id), _numbers(_matrix_to_world(segmentation)))
    if row.kind is not RoleKind.TARGET or ct is None:
        return own
    bodies = tuple(_content(segmentation, other.segment_id) for other in rows if other.kind is RoleKind.EXTERNAL)
    to_ras = vtk.vtkMatrix4x4()
    ct.GetIJKToRASMatrix(to_ras)
    shape = ct.GetImageData().GetDimensions() if ct.GetImageData() else ()
    return (*own, bodies, ct.GetID(), shape, _numbers(to_ras), _numbers(_matrix_to_world(ct)))


def _content(segmentation: Any, segment_id: str) -> tuple[Any, ...]:
    """The segment's voxels or surface as of now."""
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    kinds = (kind for kind in (BINARY_LABELMAP, CLOSED_SURFACE, PLANAR_CONTOUR) if segment.GetRepresentation(kind) is not None)
    kind = next(kinds, "")
    representation = segment.GetRepresentation(kind)
    return (segmentation.GetID(), kind, segment.GetLabelValue(), representation.GetMTime() if representation is not None else 0)


def _numbers(matrix: vtk.vtkMatrix4x4) -> tuple[float, ...]:
    return tuple(slicer.util.arrayFromVTKMatrix(matrix).ravel())


def _report(error: Exception) -> None:
    """A segment that cannot be measured is refused with its reason when Predict is pressed; here it only stays without a volume."""
    if not isinstance(error, CaseError):
        logging.error("Segments could not be measured", exc_info=error)
