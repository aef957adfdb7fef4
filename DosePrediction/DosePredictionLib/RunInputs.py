"""What a result was made from: enough to tell what has changed since, and to go back to it.

Settings, roles and prescriptions are kept in full, the CT as a digest; a contour is kept by its digest, once for all the results that it is in.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from slicer.i18n import tr as _

from dose_prediction.case import Arc, Beam, RoleKind

from .ContourStore import forget_contours, keep_contours, kept_contour, packed_contour
from .Fingerprints import Fingerprints
from .PlanBeams import all_on, beams_as_text, beams_from_text
from .ResultNodes import RunRequest
from .Results import results
from .SegmentRoles import ROLES_ATTRIBUTE

INPUTS_ATTRIBUTE = "DosePrediction.Inputs"
BEAMS_ATTRIBUTE = "DosePrediction.Beams"
CT_ROLE, SEGMENTATION_ROLE = "DosePrediction.ctRef", "DosePrediction.segmentationRef"
# Of a request, what is no setting of the panel that decides the dose: nodes, where it is computed and put, and wishes, which are for one run.
NO_SETTINGS = ("parameters", "ct", "segmentation", "rows", "device", "is_automatic", "wishes")


@dataclass(frozen=True)
class StructureInput:
    """A structure that took part: its name, its role in words of the file formats, its prescription and the digest of its contour."""

    name: str
    kind: str
    standard_name: str
    prescription: str
    contour: str


@dataclass(frozen=True)
class RunInputs:
    """Inputs of one prediction.  `settings` are the request's other fields as text; `parameters` and `roles` are what going back sets."""

    ct: str
    structures: dict[str, StructureInput]
    settings: dict[str, str]
    parameters: dict[str, str]
    roles: str

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> RunInputs:
        content = json.loads(text)
        structures = {segment_id: StructureInput(**found) for segment_id, found in content.pop("structures").items()}
        return cls(structures=structures, **content)


def read_inputs(request: RunRequest, fingerprints: Fingerprints) -> Generator[float, None, RunInputs]:
    """The inputs of a request as they are now, in steps of a structure each."""
    ct = yield from fingerprints.of_volume(request.ct)
    structures = {}
    for row in request.rows:
        if row.kind is not RoleKind.IGNORED:
            contour = fingerprints.of_segment(request.segmentation, row.segment_id)
            structures[row.segment_id] = StructureInput(row.name, row.kind.value, row.standard_name, row.prescription, contour)
            yield 0.0
    settings = {field.name: repr(getattr(request, field.name)) for field in fields(request) if field.name not in NO_SETTINGS}
    if not request.samples:
        del settings["seed"]  # only samples are drawn by chance
    if not request.model_folder:
        del settings["model_folder"]  # the released model needs no mention
    node = request.parameters.node
    parameters = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    return RunInputs(ct, structures, settings, parameters, request.segmentation.GetAttribute(ROLES_ATTRIBUTE) or "")


def read_contours(request: RunRequest, inputs: RunInputs) -> Generator[float, None, dict[str, str]]:
    """The contours of the inputs that are not kept yet, packed, by their digests; one a step."""
    packed: dict[str, str] = {}
    for segment_id, structure in inputs.structures.items():
        if structure.contour not in packed and kept_contour(structure.contour) is None:
            text = packed_contour(request.segmentation, segment_id)
            packed.update({structure.contour: text} if text is not None else {})
            yield 0.0
    return packed


def keep_inputs(dose_node: Any, inputs: RunInputs, contours: Mapping[str, str], request: RunRequest) -> None:
    """Keep the inputs, with the contours that are new, with the dose that was made from them."""
    keep_contours(contours)
    dose_node.SetAttribute(INPUTS_ATTRIBUTE, inputs.as_text())
    dose_node.SetAttribute(BEAMS_ATTRIBUTE, beams_as_text(all_on(request.beams)))
    dose_node.SetNodeReferenceID(CT_ROLE, request.ct.GetID())
    dose_node.SetNodeReferenceID(SEGMENTATION_ROLE, request.segmentation.GetID())


def inputs_of(dose_node: Any) -> RunInputs | None:
    """The inputs that a result was made from; None for a dose of other origin."""
    text = dose_node.GetAttribute(INPUTS_ATTRIBUTE) if dose_node is not None else None
    return RunInputs.from_text(text) if text else None


def forget_unused_contours() -> None:
    """Drop the contours that are in no result."""
    found = [inputs_of(dose) for dose in results()]
    forget_contours({structure.contour for inputs in found if inputs is not None for structure in inputs.structures.values()})


def beams_of(dose_node: Any) -> tuple[Beam | Arc, ...]:
    """The beams that a result was predicted for; none for a dose of other origin."""
    text = dose_node.GetAttribute(BEAMS_ATTRIBUTE)
    return tuple(one.beam for one in beams_from_text(text)) if text else ()


def what_changed(before: RunInputs, now: RunInputs) -> tuple[str, ...]:
    """Every difference in words, in the order of the panel; none where a prediction would give the same dose."""
    changes = [] if before.ct == now.ct else [_("the CT")]
    for segment_id in {**before.structures, **now.structures}:
        changes += _structure_changes(before.structures.get(segment_id), now.structures.get(segment_id))
    names = {
        "beams": _("the beams"),
        "isocentre_mm": _("the isocentre"),
        "samples": _("the number of samples"),
        "seed": _("the seed"),
        "goal_set": _("the clinical goals"),
        "model_folder": _("the model"),
    }
    for name in {**before.settings, **now.settings}:
        if before.settings.get(name) != now.settings.get(name):
            changes.append(names.get(name, name.replace("_", " ")))
    return tuple(changes)


def _structure_changes(before: StructureInput | None, now: StructureInput | None) -> list[str]:
    if before is None or now is None:
        sentence = _("{name} is new") if before is None else _("{name} no longer takes part")
        return [sentence.format(name=(before or now).name)]  # type: ignore[union-attr]
    changes = []
    if before.contour != now.contour:
        changes.append(_("the contour of {name}").format(name=now.name))
    if (before.kind, before.standard_name) != (now.kind, now.standard_name):
        changes.append(_("the role of {name}").format(name=now.name))
    if before.prescription != now.prescription:
        change = _("the prescription of {name} ({before} to {now} Gy)")
        changes.append(change.format(name=now.name, before=before.prescription or "–", now=now.prescription or "–"))
    return changes
