"""What is missing or doubtful about the segments, each in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from slicer.i18n import tr as _

from dose_prediction.case import RoleKind

from .SegmentMeasures import SegmentMeasure
from .SegmentRoles import SegmentRow

# A target may reach out of the skin a little; with more than half outside, a case is refused.
DOUBTFUL_PART_OUTSIDE = 0.02
REFUSED_PART_OUTSIDE = 0.5
# Voxels of some mm say of a small target only roughly what of it is cut off by the end of the scan.
DOUBTFUL_PART_OFF_CT = 0.2


@dataclass(frozen=True)
class Finding:
    """Something about one segment; with `prevents`, no prediction can start before it is settled."""

    segment_id: str
    sentence: str
    prevents: bool


def structure_findings(rows: tuple[SegmentRow, ...], measures: Mapping[str, SegmentMeasure]) -> tuple[Finding, ...]:
    """All findings, in the order of the rows; what is not measured yet is not spoken of."""
    names = Counter(row.name for row in rows if row.kind is not RoleKind.IGNORED)
    found = []
    for row in rows:
        measure = measures.get(row.segment_id, SegmentMeasure(None))
        refused = [row.prescription_problem, _empty(row, measure), _same_name(row, names), _refused_outside(row, measure)]
        doubtful = [_twice(row, rows), _unknown(row), _doubtful_outside(row, measure), *measure.doubts]
        found += [Finding(row.segment_id, sentence, True) for sentence in refused if sentence]
        found += [Finding(row.segment_id, sentence, False) for sentence in doubtful if sentence]
    return tuple(found)


def _empty(row: SegmentRow, measure: SegmentMeasure) -> str:
    if row.kind is RoleKind.IGNORED or measure.volume_cc != 0:
        return ""
    return _("{name} is empty; contour it, or set its role to Not used.").format(name=row.name)


def _same_name(row: SegmentRow, names: Counter[str]) -> str:
    if row.kind is RoleKind.IGNORED or names[row.name] < 2:
        return ""
    return _("Two segments are named {name}; rename one of them.").format(name=row.name)


def _refused_outside(row: SegmentRow, measure: SegmentMeasure) -> str:
    if row.kind is not RoleKind.TARGET:
        return ""
    if measure.outside_ct == 1.0:
        return _("Target {name} lies outside the CT; check that both belong together.").format(name=row.name)
    if (measure.outside_body or 0.0) > REFUSED_PART_OUTSIDE:
        sentence = _("{part} of target {name} lies outside the body; correct one of the two.")
        return sentence.format(part=f"{measure.outside_body:.0%}", name=row.name)
    return ""


def _doubtful_outside(row: SegmentRow, measure: SegmentMeasure) -> str:
    if row.kind is not RoleKind.TARGET or _refused_outside(row, measure):
        return ""
    if (measure.outside_ct or 0.0) > DOUBTFUL_PART_OFF_CT:
        sentence = _("About {part} of target {name} lies beyond the CT and is cut off.")
        return sentence.format(part=f"{measure.outside_ct:.0%}", name=row.name)
    if (measure.outside_body or 0.0) > DOUBTFUL_PART_OUTSIDE:
        sentence = _("{part} of target {name} lies outside the body, where no dose builds up.")
        return sentence.format(part=f"{measure.outside_body:.0%}", name=row.name)
    return ""


def _twice(row: SegmentRow, rows: tuple[SegmentRow, ...]) -> str:
    """Said of the second of two segments of one organ, and of a second body."""
    before = rows[: rows.index(row)]
    first = next((other for other in before if (other.kind, other.standard_name) == (row.kind, row.standard_name)), None)
    if first is None or not row.standard_name or row.kind not in (RoleKind.ORGAN, RoleKind.EXTERNAL):
        return ""
    if row.kind is RoleKind.EXTERNAL:
        return _("{name} and {first} are both the body; the larger one counts.").format(name=row.name, first=first.name)
    sentence = _("{name} and {first} are both {organ}; each is judged by its goals.")
    return sentence.format(name=row.name, first=first.name, organ=row.standard_name)


def _unknown(row: SegmentRow) -> str:
    if row.kind is RoleKind.IGNORED and not row.is_corrected:
        return _("{name} is not used: its name is that of no target or organ known here. Choose its role if it is one.").format(name=row.name)
    if row.kind is RoleKind.ORGAN and not row.standard_name:
        return _("{name} is an organ without a name known here; no goal is judged in it.").format(name=row.name)
    return ""
