"""Contours of earlier results: each is kept once, by its digest, as compressed bits in a hidden node that is saved with the scene."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

BINARY_LABELMAP = "Binary labelmap"
NODE_NAME = "DosePredictionContours"
KEPT_ATTRIBUTE = "DosePrediction.KeptContours"
FAST = 1  # level of compression

Index = tuple[int, int, int]


def keep_contours(packed: Mapping[str, str]) -> None:
    """Keep packed contours by their digests."""
    if not packed:
        return
    node = _node()
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", NODE_NAME)
        node.SetAttribute(KEPT_ATTRIBUTE, "1")
        node.HideFromEditorsOn()
    for digest, text in packed.items():
        node.SetParameter(digest, text)


def kept_contour(digest: str) -> str | None:
    """The packed contour of this digest; None if it is not kept."""
    node = _node()
    return (node.GetParameter(digest) or None) if node is not None else None


def forget_contours(but: Collection[str]) -> None:
    """Keep no contours but those of these digests."""
    node = _node()
    if node is None:
        return
    for digest in set(node.GetParameterNames()) - set(but):
        node.UnsetParameter(digest)
    if not node.GetParameterNames():
        slicer.mrmlScene.RemoveNode(node)


def packed_contour(segmentation_node: Any, segment_id: str) -> str | None:
    """A segment with its name, colour and voxels as text; None where it is no labelmap."""
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if segmentation_node.GetSegmentation().GetSourceRepresentationName() != BINARY_LABELMAP or image is None:
        return None
    first, voxels = cropped_labelmap(image, segment.GetLabelValue())
    to_world = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_world)
    content = {
        "name": segment.GetName(),
        "colour": segment.GetColor(),
        "first": first,
        "shape": voxels.shape,
        "matrix": slicer.util.arrayFromVTKMatrix(to_world).ravel().tolist(),
        "bits": base64.b64encode(zlib.compress(np.packbits(voxels).tobytes(), FAST)).decode(),
    }
    return json.dumps(content)


def unpack_contour(text: str, segmentation_node: Any, segment_id: str) -> None:
    """Give a segment the voxels of a packed contour; one that is gone is made again."""
    content = json.loads(text)
    if segmentation_node.GetSegmentation().GetSegment(segment_id) is None:
        segmentation_node.GetSegmentation().AddEmptySegment(segment_id, content["name"], content["colour"])
    logic, shape = slicer.vtkSlicerSegmentationsModuleLogic, tuple(content["shape"])
    logic.ClearSegment(segmentation_node, segment_id)
    if 0 in shape:
        return
    bits = np.frombuffer(zlib.decompress(base64.b64decode(content["bits"])), np.uint8)
    voxels = np.unpackbits(bits, count=int(np.prod(shape)))
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(*(border for axis in (2, 1, 0) for border in (content["first"][axis], content["first"][axis] + shape[axis] - 1)))
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(np.array(content["matrix"]).reshape(4, 4)))
    labelmap.GetPointData().SetScalars(numpy_to_vtk(voxels, deep=True))
    logic.SetBinaryLabelmapToSegment(labelmap, segmentation_node, segment_id, logic.MODE_REPLACE)


def cropped_labelmap(image: Any, value: int) -> tuple[Index, NDArray[np.bool_]]:
    """The first index (z, y, x) and the voxels of the box that holds all with this value; of none, an empty array."""
    nothing = (0, 0, 0), np.zeros((0, 0, 0), dtype=bool)
    if image.IsEmpty():
        return nothing
    extent = image.GetExtent()
    shape = tuple(extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0))
    voxels: NDArray[np.bool_] = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape) == value
    bounds = [np.flatnonzero(voxels.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    if bounds[0].size == 0:
        return nothing
    box = tuple(slice(int(found[0]), int(found[-1]) + 1) for found in bounds)
    z, y, x = (int(found[0]) + extent[2 * (2 - axis)] for axis, found in enumerate(bounds))
    return (z, y, x), voxels[box]


def _node() -> Any:
    nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")  # no singleton, for those outlive the scene
    return next((node for node in nodes if node.GetAttribute(KEPT_ATTRIBUTE)), None)
