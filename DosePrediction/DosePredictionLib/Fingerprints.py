"""Short digests of what a dose was made from, so that an edit is noticed and an undone edit, too."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .ContourStore import BINARY_LABELMAP, cropped_labelmap

LENGTH = 16  # hex digits
# As many bytes are digested in one step, some 0.05 s.
STEP_BYTES = 32 * 2**20


class Fingerprints:
    """Digests of CTs and segments; each is taken again only when VTK says that its data were touched."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, str]] = {}

    def of_volume(self, volume_node: Any) -> Generator[float, None, str]:
        """Digest of the voxels and of where they lie in the world; a step for each part of them."""
        image = volume_node.GetImageData()
        key = (image.GetMTime(), _placement(volume_node))
        if self._known.get(volume_node.GetID(), (None, ""))[0] != key:
            digest = _digest(repr((image.GetDimensions(), key[1])).encode())
            voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(-1)
            rows = max(1, STEP_BYTES // voxels.itemsize)
            for start in range(0, voxels.size, rows):
                digest.update(np.ascontiguousarray(voxels[start : start + rows]).data)
                yield 0.0
            self._known[volume_node.GetID()] = (key, digest.hexdigest()[:LENGTH])
        return self._known[volume_node.GetID()][1]

    def of_segment(self, segmentation_node: Any, segment_id: str) -> str:
        """Digest of what a segment covers, however it is stored: the same voxels in another extent of the labelmap are the same segment."""
        segmentation = segmentation_node.GetSegmentation()
        segment = segmentation.GetSegment(segment_id)
        data = segment.GetRepresentation(segmentation.GetSourceRepresentationName())
        if data is None:
            return ""
        name = (segmentation_node.GetID(), segment_id)
        key = (data.GetMTime(), segment.GetLabelValue(), _transform(segmentation_node))
        if self._known.get(name, (None, ""))[0] != key:
            is_labelmap = segmentation.GetSourceRepresentationName() == BINARY_LABELMAP
            content = _labelmap_content(data, segment.GetLabelValue()) if is_labelmap else _surface_content(data)
            digest = _digest(repr(key[2]).encode())
            for part in content:
                digest.update(part)
            self._known[name] = (key, digest.hexdigest()[:LENGTH])
        return self._known[name][1]


def _digest(start: bytes) -> Any:
    return hashlib.blake2b(start, digest_size=LENGTH)


def _labelmap_content(image: Any, value: int) -> list[bytes]:
    """The box of the voxels with this value, and the voxels in it, a bit each."""
    first, voxels = cropped_labelmap(image, value)
    if voxels.size == 0:
        return [b"empty"]
    to_world = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_world)
    place = repr((list(first), list(voxels.shape), _rounded(to_world)))
    return [place.encode(), np.packbits(voxels).tobytes()]


def _surface_content(surface: Any) -> list[bytes]:
    """Points and cells of contours or of a closed surface."""
    if surface.GetNumberOfPoints() == 0:
        return [b"empty"]
    cells = [vtk_to_numpy(array.GetConnectivityArray()).tobytes() for array in (surface.GetLines(), surface.GetPolys()) if array.GetNumberOfCells()]
    return [vtk_to_numpy(surface.GetPoints().GetData()).tobytes(), *cells]


def _placement(volume_node: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return _rounded(matrix), _transform(volume_node)


def _transform(node: Any) -> Any:
    """The parent transform to the world; of one that bends, only when it was last touched."""
    transform = node.GetParentTransformNode()
    if transform is None:
        return ()
    if not transform.IsTransformToWorldLinear():
        return transform.GetTransformToParent().GetMTime()
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return _rounded(matrix)


def _rounded(matrix: Any) -> Any:
    return (np.round(slicer.util.arrayFromVTKMatrix(matrix), 4) + 0.0).tolist()  # no -0
