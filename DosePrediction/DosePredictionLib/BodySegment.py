"""The body as a segment: found on the CT where no segment is the body, said so in the panel, and removed again at a click."""

from __future__ import annotations

import importlib.util
from collections.abc import Generator
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from dose_prediction.case import RoleKind, find_body_in_steps

from .ContourStore import BINARY_LABELMAP
from .SceneReader import CLOSED_SURFACE, grid_of_volume, ijk_to_ras, labelmap_of, volume_problem
from .Section import PanelView, say
from .Steps import Steps, sentence_of

NAME = "BODY"
COLOUR = (0.90, 0.76, 0.66)
# Attribute of the segmentation node with the segment that was made; it stays when the user removes the segment, so that it is not made again.
MADE_ATTRIBUTE = "DosePrediction.Body"


class BodySegment:
    """Drives `bodyLabel` and `bodyButton`."""

    def __init__(self, ui: Any) -> None:
        self._label, self._button = ui.bodyLabel, ui.bodyButton
        self._ct: Any = None
        self._segmentation: Any = None
        self._steps: Steps | None = None
        self._problem = ""
        self._is_overtaken = False
        self._button.clicked.connect(self._on_clicked)

    def show(self, view: PanelView) -> None:
        ct, segmentation = (view.parameters.ct, view.parameters.segmentation) if view.parameters else (None, None)
        if (ct, segmentation) != (self._ct, self._segmentation):
            self.clean_up()
            self._ct, self._segmentation = ct, segmentation
        has_body = any(row.kind is RoleKind.EXTERNAL for row in view.rows)
        has_target = any(row.kind is RoleKind.TARGET for row in view.rows)
        is_needed = ct is not None and segmentation is not None and has_target and not has_body and not volume_problem(ct)
        can_be_made = is_needed and _can_hold_voxels(segmentation)
        if self._steps is not None and not view.is_idle:
            self._steps.stop()  # the prediction that was started finds a body of its own; one made now would make its result stale
            self._steps, self._is_overtaken = None, True
        if can_be_made and view.is_idle and self._steps is None and not self._is_settled:
            self._make()
        self._say(is_needed, can_be_made)

    def clean_up(self) -> None:
        """Look for no body any more."""
        if self._steps is not None:
            self._steps.stop()
        self._steps, self._problem, self._is_overtaken = None, "", False
        self._ct = self._segmentation = None

    @property
    def _is_settled(self) -> bool:
        """True if a body is not to be made again by itself."""
        return bool(self._problem or self._is_overtaken or self._segmentation.GetAttribute(MADE_ATTRIBUTE))

    def _say(self, is_needed: bool, can_be_made: bool) -> None:
        """What the user is told of the body, and what the button does; nothing where a segment of theirs is the body."""
        made = _made_segment_id(self._segmentation)
        text = button = ""
        if made:
            text = _("BODY was found on the CT, for no segment is the body.")
            button = _("Remove BODY")
        elif self._problem:
            text = self._problem
        elif self._steps is not None:
            text = _("No segment is the body: finding it on the CT…")
        elif is_needed:
            text = _("No segment is the body; every prediction finds it on the CT.")
            button = _("Make BODY") if can_be_made else ""
        say(self._label, text)
        say(self._button, button)

    def _on_clicked(self) -> None:
        made = _made_segment_id(self._segmentation)
        if made:
            self._segmentation.GetSegmentation().RemoveSegment(made)
        elif self._segmentation is not None:
            self._make()
            self._say(is_needed=True, can_be_made=True)

    def _make(self) -> None:
        if importlib.util.find_spec("scipy") is None:
            self._problem = _("No segment is the body; it is found on the CT once the Python packages are installed.")
            return
        self._steps = Steps(_found_on(self._ct, self._segmentation), self._on_found, self._on_error, lambda _fraction: None)

    def _on_found(self, labelmap: Any) -> None:
        self._steps = None
        segmentation = self._segmentation
        segment_id = segmentation.AddSegmentFromBinaryLabelmapRepresentation(labelmap, NAME, COLOUR)
        if not segment_id:
            self._problem = _("No segment is the body, and none can be added to {name}.").format(name=segmentation.GetName())
            segmentation.Modified()
            return
        segmentation.CreateDefaultDisplayNodes()
        display = segmentation.GetDisplayNode()
        display.SetSegmentOpacity2DFill(segment_id, 0.0)
        display.SetSegmentOpacity3D(segment_id, 0.2)
        segmentation.SetAttribute(MADE_ATTRIBUTE, segment_id)

    def _on_error(self, error: Exception) -> None:
        self._steps = None
        self._problem = sentence_of(error, _("The body was not found: {error}. See the error log."))
        self._say(is_needed=True, can_be_made=True)


def _made_segment_id(segmentation: Any) -> str:
    """The segment that was made here, if it is still there."""
    made = (segmentation.GetAttribute(MADE_ATTRIBUTE) or "") if segmentation is not None else ""
    return made if made and segmentation.GetSegmentation().GetSegment(made) is not None else ""


def _can_hold_voxels(segmentation: Any) -> bool:
    """False where the segments are planar contours, which voxels cannot be turned into, and under a transform that bends them."""
    transform = segmentation.GetParentTransformNode()
    is_straight = transform is None or bool(transform.IsTransformToWorldLinear())
    return is_straight and segmentation.GetSegmentation().GetSourceRepresentationName() in (BINARY_LABELMAP, CLOSED_SURFACE)


def _found_on(ct: Any, segmentation: Any) -> Generator[float, None, Any]:
    """The body on the CT as a labelmap in the segmentation's own frame, in steps."""
    grid = grid_of_volume(ct)
    voxels = yield from find_body_in_steps(slicer.util.arrayFromVolume(ct), grid)
    labelmap = labelmap_of(voxels, grid)
    to_segmentation = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(None, segmentation.GetParentTransformNode(), to_segmentation)
    vtk.vtkMatrix4x4.Multiply4x4(to_segmentation, ijk_to_ras(grid), to_segmentation)
    labelmap.SetImageToWorldMatrix(to_segmentation)
    return labelmap
