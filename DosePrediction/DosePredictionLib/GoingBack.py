"""Back to the inputs of an earlier result, its contours among them, and forth again."""

from __future__ import annotations

import ast
from collections.abc import Collection, Generator
from dataclasses import dataclass, replace
from typing import Any

import slicer

from dose_prediction.case import RoleKind

from .ContourStore import kept_contour, packed_contour, unpack_contour
from .DisplaySettings import DEFAULTS as DISPLAY_DEFAULTS
from .Fingerprints import Fingerprints
from .IsocentrePoint import Point, add_isocentre_point
from .NodeRemoval import remove_nodes
from .Parameters import Parameters
from .RunInputs import CT_ROLE, SEGMENTATION_ROLE, RunInputs
from .SegmentRoles import ROLES_ATTRIBUTE, correct_role, segment_rows


@dataclass(frozen=True)
class PanelInputs:
    """What the panel is set to, or is to be.

    `contours` are packed contours by segment, None for a segment that is not to be there; segments that it does not name stay as they are, those of
    `unused` without a role.
    """

    ct: Any
    segmentation: Any
    parameters: dict[str, str]
    roles: str
    isocentre_mm: Point | None
    contours: dict[str, str | None]
    unused: tuple[str, ...] = ()


def earlier_inputs(dose_node: Any, inputs: RunInputs, fingerprints: Fingerprints) -> tuple[PanelInputs, tuple[str, ...]]:
    """What the result was made from, and the names of structures whose contours differ and were not kept."""
    segmentation = dose_node.GetNodeReference(SEGMENTATION_ROLE)
    present = set(segmentation.GetSegmentation().GetSegmentIDs())
    contours: dict[str, str | None] = {}
    lost = []
    for segment_id, structure in inputs.structures.items():
        if segment_id in present and fingerprints.of_segment(segmentation, segment_id) == structure.contour:
            continue
        packed = kept_contour(structure.contour)
        if packed is None:
            lost.append(structure.name)
        else:
            contours[segment_id] = packed
    return PanelInputs(
        dose_node.GetNodeReference(CT_ROLE),
        segmentation,
        inputs.parameters,
        inputs.roles,
        ast.literal_eval(inputs.settings["isocentre_mm"]),
        contours,
        tuple(present - set(inputs.structures)),
    ), tuple(lost)


def present_inputs(parameters: Parameters, segmentation: Any, segment_ids: Collection[str]) -> PanelInputs:
    """What the panel is set to now, with the contours of these segments of the segmentation that is to be changed."""
    is_there = segmentation.GetSegmentation().GetSegment
    contours = {segment_id: packed_contour(segmentation, segment_id) if is_there(segment_id) else None for segment_id in segment_ids}
    return PanelInputs(
        parameters.ct,
        segmentation,
        {name: parameters.node.GetParameter(name) for name in parameters.node.GetParameterNames()},
        segmentation.GetAttribute(ROLES_ATTRIBUTE) or "",
        parameters.isocentre_mm,
        contours,
    )


def go_to(inputs: PanelInputs, parameters: Parameters) -> Generator[float, None, None]:
    """Set everything as `inputs` have it, a contour a step, the settings at the end; yields the fraction done."""
    segmentation = inputs.segmentation
    for number, (segment_id, packed) in enumerate(inputs.contours.items(), start=1):
        if packed is not None:
            unpack_contour(packed, segmentation, segment_id)
        else:
            segmentation.GetSegmentation().RemoveSegment(segment_id)
        yield number / (len(inputs.contours) + 1)
    with slicer.util.NodeModify(parameters.node):
        parameters.ct, parameters.segmentation = inputs.ct, segmentation
        _set_parameters(parameters.node, inputs.parameters)
        _set_isocentre(parameters, inputs.isocentre_mm)
        segmentation.SetAttribute(ROLES_ATTRIBUTE, inputs.roles or None)
        for row in segment_rows(segmentation):
            if row.segment_id in inputs.unused and row.kind is not RoleKind.IGNORED:
                correct_role(segmentation, replace(row, kind=RoleKind.IGNORED, standard_name="", prescription=""))


def _set_parameters(node: Any, wanted: dict[str, str]) -> None:
    """Those that decide a dose; how results are shown stays."""
    for name in set(node.GetParameterNames()) - set(wanted) - set(DISPLAY_DEFAULTS):
        node.UnsetParameter(name)
    for name in set(wanted) - set(DISPLAY_DEFAULTS):
        node.SetParameter(name, wanted[name])


def _set_isocentre(parameters: Parameters, at_mm: Point | None) -> None:
    if parameters.isocentre_mm == at_mm:
        return
    point = parameters.isocentre_point
    remove_nodes((point.GetDisplayNode(), point) if point is not None else ())
    parameters.isocentre_point = add_isocentre_point(at_mm) if at_mm is not None else None
