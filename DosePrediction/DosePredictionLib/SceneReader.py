"""From the scene to a `PlanCase`: RAS to LPS, parent transforms honoured, every segment on the CT's grid."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from dose_prediction.case import Arc, Beam, CaseError, Grid, PlanCase, RoleKind, Structure

from .ContourMasks import contours_of, fill, is_flat_in, lattice_around
from .ContourStore import BINARY_LABELMAP
from .SegmentRoles import SegmentRow
from .Steps import scaled

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CLOSED_SURFACE = "Closed surface"
# As many voxels of a segment are resampled in one step, some 0.1 s.
STEP_VOXELS = 4_000_000

Index = tuple[int, int, int]


def volume_problem(volume_node: Any) -> str:
    """Why the volume cannot be planned on, as a sentence; empty if it can."""
    if volume_node.GetImageData() is None or min(volume_node.GetImageData().GetDimensions()) < 1:
        return _("{name} has no voxels; load the CT again.").format(name=volume_node.GetName())
    transform = volume_node.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        return _("{name} is under a transform that bends it; harden the transform on it first.").format(name=volume_node.GetName())
    try:
        grid_of_volume(volume_node)
    except CaseError as error:
        return str(error)
    return ""


def grid_of_volume(volume_node: Any) -> Grid:
    """The grid (LPS) of a volume node in the world, its parent transform applied; CaseError where that is skewed."""
    to_ras, to_world = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(to_ras)
    if volume_node.GetParentTransformNode() is not None:
        volume_node.GetParentTransformNode().GetMatrixTransformToWorld(to_world)
    matrix = RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(to_world) @ slicer.util.arrayFromVTKMatrix(to_ras)
    columns, shape = matrix[:3, :3], volume_node.GetImageData().GetDimensions()[::-1]
    spacing = np.linalg.norm(columns, axis=0)
    return Grid(shape, tuple(matrix[:3, 3]), tuple(spacing), tuple(map(tuple, columns / np.where(spacing > 0, spacing, 1.0))))


def ijk_to_ras(grid: Grid) -> vtk.vtkMatrix4x4:
    """The matrix that puts a volume node on `grid`."""
    return slicer.util.vtkMatrixFromArray(RAS_TO_LPS @ grid.index_to_world_matrix)


def read_case(
    ct_node: Any,
    segmentation_node: Any,
    rows: tuple[SegmentRow, ...],
    beams: tuple[Beam | Arc, ...],
    isocentre_mm: tuple[float, float, float] | None = None,
) -> Generator[float, None, PlanCase]:
    """The case of a CT and the segments of `rows`, in steps: yields the fraction done and returns the case.

    Segments without a role are left out.  Raises CaseError naming what is unfit.
    """
    problem = volume_problem(ct_node)
    if problem:
        raise CaseError(problem)
    grid = grid_of_volume(ct_node)
    ct_hu = slicer.util.arrayFromVolume(ct_node)
    if ct_hu.ndim != 3:
        raise CaseError(_("{name} has several values a voxel; select a CT.").format(name=ct_node.GetName()))
    ct_hu = ct_hu.astype(np.float32)
    ct_hu.flags.writeable = False
    yield 0.1
    used = [row for row in rows if row.kind is not RoleKind.IGNORED]
    structures = []
    for number, row in enumerate(used):
        mask = yield from scaled(segment_mask(segmentation_node, row, grid), 0.1 + 0.8 * number / len(used), 0.8 / len(used))
        structures.append(Structure(row.name, row.role, mask))
        yield 0.1 + 0.8 * (number + 1) / len(used)
    return PlanCase(ct_node.GetName(), grid, ct_hu, tuple(structures), beams, isocentre_mm)


def segment_mask(segmentation_node: Any, row: SegmentRow, grid: Grid) -> Generator[float, None, NDArray[np.bool_]]:
    """The voxels (z, y, x) of `grid` that the segment covers, its parent transform applied; read-only.

    Taken a block of slices a step: yields the fraction done.
    """
    mask = np.zeros(grid.shape, dtype=bool)
    labelmap = yield from _labelmap_in_world(segmentation_node, row, grid)
    start, stop = _block_around(labelmap, grid)
    (z_start, y_start, x_start), (z_stop, y_stop, x_stop) = start, stop
    slices = max(1, STEP_VOXELS // max((y_stop - y_start) * (x_stop - x_start), 1))
    for z in range(z_start, z_stop, slices):
        z_end = min(z + slices, z_stop)
        block, resampled = _empty_image(grid, (z, y_start, x_start), (z_end, y_stop, x_stop)), slicer.vtkOrientedImageData()
        if not slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(labelmap, block, resampled):
            raise CaseError(_("Segment {name} could not be brought onto the CT's grid; check that it belongs to this CT.").format(name=row.name))
        voxels = vtk_to_numpy(resampled.GetPointData().GetScalars()).reshape(z_end - z, y_stop - y_start, x_stop - x_start)
        mask[z:z_end, y_start:y_stop, x_start:x_stop] = voxels > 0
        yield (z_end - z_start) / (z_stop - z_start)
    mask.flags.writeable = False
    return mask


def _block_around(labelmap: Any, grid: Grid) -> tuple[Index, Index]:
    """First index and first beyond (z, y, x) of the block of `grid` that holds all voxels of the labelmap; an empty one if there are none."""
    extent = [0] * 6
    if labelmap.IsEmpty() or not slicer.vtkOrientedImageDataResample.CalculateEffectiveExtent(labelmap, extent):
        return (0, 0, 0), (0, 0, 0)
    to_ras = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(to_ras)
    corners = np.array([[i, j, k, 1] for i in extent[:2] for j in extent[2:4] for k in extent[4:]])
    points_lps = corners @ (RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(to_ras)).T
    index = grid.index_from_world(points_lps[:, :3])
    # Half a voxel of the labelmap reaches beyond the centres of its outermost ones; one of the grid's is added for rounding.
    reach = 1 + np.ceil(0.5 * np.max(labelmap.GetSpacing()) / np.array(grid.spacing_zyx_mm))
    start = np.clip(np.floor(index.min(axis=0) - reach), 0, grid.shape).astype(int)
    stop = np.clip(np.ceil(index.max(axis=0) + reach) + 1, start, grid.shape).astype(int)
    if np.any(start == stop):
        return (0, 0, 0), (0, 0, 0)
    return tuple(map(int, start)), tuple(map(int, stop))


def _labelmap_in_world(segmentation_node: Any, row: SegmentRow, grid: Grid) -> Generator[float, None, Any]:
    """A copy of the segment's labelmap in RAS; contours are filled, and a surface is voxelised on a copy of this one segment."""
    labelmap, segmentation = slicer.vtkOrientedImageData(), segmentation_node.GetSegmentation()
    if segmentation.ContainsRepresentation(BINARY_LABELMAP):
        # The node's own method, for segments may share one labelmap: it takes out this segment's voxels.
        segmentation_node.GetBinaryLabelmapRepresentation(row.segment_id, labelmap)
    elif segmentation.ContainsRepresentation(CLOSED_SURFACE):
        labelmap.DeepCopy(_labelmap_from_surface(segmentation, row, grid))
    else:
        labelmap = yield from _labelmap_from_contours(segmentation_node, row, grid)
    slicer.vtkSlicerSegmentationsModuleLogic.ApplyParentTransformToOrientedImageData(segmentation_node, labelmap)
    return labelmap


def _labelmap_from_surface(segmentation: Any, row: SegmentRow, grid: Grid) -> Any:
    part = slicer.vtkSegmentation()
    part.SetSourceRepresentationName(CLOSED_SURFACE)
    part.SetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(),
        slicer.vtkSegmentationConverter.SerializeImageGeometry(_empty_image(grid, (0, 0, 0), grid.shape)),
    )
    if not (part.CopySegmentFromSegmentation(segmentation, row.segment_id) and part.CreateRepresentation(BINARY_LABELMAP)):
        raise CaseError(_("Segment {name} cannot be turned into voxels; create a binary labelmap of it.").format(name=row.name))
    return part.GetSegmentRepresentation(row.segment_id, BINARY_LABELMAP)


def _labelmap_from_contours(segmentation_node: Any, row: SegmentRow, grid: Grid) -> Generator[float, None, Any]:
    """On the slices of `grid` where the contours lie in them, else, turned by a transform, on planes of their own."""
    contours = contours_of(segmentation_node.GetSegmentation().GetSegment(row.segment_id))
    if not contours:
        return slicer.vtkOrientedImageData()
    own_grid = _grid_in_frame_of(segmentation_node, grid)
    if own_grid is None or not is_flat_in(contours, own_grid):
        own_grid = lattice_around(contours)
    filled = yield from fill(contours, own_grid, row.name)
    return labelmap_of(filled.mask, own_grid)


def _grid_in_frame_of(node: Any, grid: Grid) -> Grid | None:
    """The grid, which lies in the world, as seen from within the node's transform; None where that bends or stretches."""
    transform = node.GetParentTransformNode()
    if transform is None:
        return grid
    if not transform.IsTransformToWorldLinear():
        return None
    to_node = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformFromWorld(to_node)
    turn = (RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(to_node) @ RAS_TO_LPS @ grid.index_to_world_matrix)[:3]
    columns = turn[:, :3] / np.array(grid.spacing_mm)
    try:
        return Grid(grid.shape, tuple(turn[:, 3]), grid.spacing_mm, tuple(map(tuple, columns)))
    except CaseError:
        return None


def labelmap_of(voxels: NDArray[np.bool_], grid: Grid) -> Any:
    """The voxels (z, y, x) on `grid` as a labelmap."""
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetDimensions(*grid.shape[::-1])
    labelmap.SetImageToWorldMatrix(ijk_to_ras(grid))
    labelmap.GetPointData().SetScalars(numpy_to_vtk(voxels.astype(np.uint8).ravel(), deep=True))
    return labelmap


def _empty_image(grid: Grid, start: Index, stop: Index) -> Any:
    """An image without voxels on a block of `grid`, in RAS; `start` and `stop` are indices in z, y, x order."""
    image = slicer.vtkOrientedImageData()
    (z_start, y_start, x_start), (z_stop, y_stop, x_stop) = start, stop
    image.SetExtent(x_start, x_stop - 1, y_start, y_stop - 1, z_start, z_stop - 1)
    image.SetImageToWorldMatrix(ijk_to_ras(grid))
    return image
