"""Cases on disk.

`read_case` takes any of these:

* a folder in OpenKBP's CSV layout, or one `pt_*.npz` (see `dose_prediction.openkbp`);
* a folder with the CT (`ct.nrrd`, `ct.nii.gz` …), its structures and a plan, `plan.json`;
* a folder of DICOM files with a CT series, its structure set and, for its beams, its plan (see `dose_prediction.dicom`); roles,
  prescriptions, beams and isocentre of a `plan.json` in the folder take the place of those found;
* an `.npz` written by `write_case`.

Structures are a Slicer segmentation (`segmentation.seg.nrrd`, or any one `*.seg.nrrd`), a labelmap (`segmentation.nrrd`, `.nii.gz` …) with its names
in `plan.json`, or one mask file a structure in a folder `structures/`.  They lie voxel on voxel on the CT.

`plan.json` says what the files do not; every entry is optional:

    {
      "name": "Case 12",
      "ct": "planning_ct.nii.gz",
      "segmentation": "contours.seg.nrrd",
      "labels": {"1": "PTV_7000", "2": "Cord"},
      "targets": {"PTV_7000": 70, "Boost": 76},
      "roles": {"Myelum": "SpinalCord", "Outline": "external", "Stent": "ignored"},
      "beams": {"count": 9, "start_deg": 0},
      "isocentre_mm": [0, 12.5, -40],
      "leaf_width_mm": 10
    }

`ct` and `segmentation` name files in the folder (`segmentation` a folder of masks, too); `labels` names the values of a plain labelmap.  Roles come
from the names of the structures (`dose_prediction.case.recognise`) and `roles` corrects them: "target", "organ", "external", "ignored" or the TG-263
name of an organ.  `targets` is the whole list of targets with their prescriptions in Gy; without it, targets and prescriptions come from the names.
`beams` is a count with the first gantry angle, a template such as {"template": "2 full arcs"}, a text such as "0,40,...,320" or "arc 181-179 cw", or
a list; a beam in the list is its gantry angle, or a table such as {"gantry_deg": 30, "couch_deg": 90} or {"start_deg": 181, "stop_deg": 179} (see
`dose_prediction.case.beam_json`).  Angles are IEC 61217.  `isocentre_mm` is a point in LPS; left out, it is the centroid of the targets.
`leaf_width_mm`, 5 or 10, is that of all beams; left out, each beam's own, else 5.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction import openkbp
from dose_prediction.case import (
    Arc,
    Beam,
    CaseError,
    Grid,
    PlanCase,
    Role,
    RoleKind,
    Structure,
    beams_as_json,
    beams_from_json,
    equispaced_beams,
    parse_beams,
    recognise,
    template_named,
    with_leaf_width,
)
from dose_prediction.output_files import finish_interrupted, whole_file, whole_folder
from dose_prediction.segmentation_files import Masks, is_volume, read_mask_folder, read_segmentation, volume_stem, write_segmentation
from dose_prediction.volumes import read_volume, write_volume

if TYPE_CHECKING:
    from dose_prediction.dicom import DicomReferences

PLAN_FILE = "plan.json"
_PLAN_ENTRIES = ("name", "ct", "segmentation", "labels", "targets", "roles", "beams", "isocentre_mm", "leaf_width_mm")
_FORMAT = "dose-prediction case 1"

Beams = tuple[Beam | Arc, ...]


@dataclass(frozen=True, eq=False)
class OpenedCase:
    """A case and, if it came from DICOM files, what a dose that goes back to them refers to."""

    case: PlanCase
    dicom: DicomReferences | None = None

    @property
    def frame_of_reference_uid(self) -> str:
        """That of the CT; "" where no DICOM file tells it."""
        return self.dicom.frame_of_reference_uid if self.dicom is not None else ""


def read_case(path: Path | str, beams: Beams | None = None) -> PlanCase:
    """The case at `path`, with `beams` in place of its own if they are given.

    Raises CaseError for anything that cannot be planned: missing, empty or damaged files, masks on another grid, and all that `PlanCase` refuses;
    issues a CaseWarning for what can be planned but had to be understood in one of several ways.
    """
    return open_case(path, beams).case


def open_case(path: Path | str, beams: Beams | None = None) -> OpenedCase:
    """As `read_case`, with what a dose needs that is to be filed with a DICOM case."""
    path = Path(path)
    if not path.exists():
        raise CaseError(f"{path} does not exist; check the path.")
    if path.is_dir():
        finish_interrupted(path)
        if openkbp.is_csv_folder(path):
            case = openkbp.read_csv_folder(path)
        else:
            return _read_folder(path, beams)
    elif path.suffix.lower() == ".npz":
        case = openkbp.read_npz(path) if "bits" in _npz_names(path) else _read_npz(path)
    else:
        raise CaseError(f"{path} is no case; give a folder with a CT and structures, an OpenKBP case or an .npz written by this program.")
    return OpenedCase(case if beams is None else case.with_beams(beams))


def find_cases(folder: Path | str) -> list[Path]:
    """Everything in `folder` that should be a case, by name and number: its folders and its `.npz` files.  Raises CaseError if there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CaseError(f"{folder} is not a folder; give the folder that holds the cases.")
    found = [path for path in folder.iterdir() if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() == ".npz")]
    if not found:
        raise CaseError(f"{folder} holds no case; it should hold folders with a CT and structures, or .npz files.")
    return sorted(found, key=lambda path: (path.stem.rstrip("0123456789"), len(path.stem), path.stem))


def write_case(path: Path | str, case: PlanCase) -> None:
    """Write a case as one uncompressed `.npz`, whole or not at all; `read_case` gives back the same case, digest and all."""
    for _fraction in write_case_in_steps(path, case):
        pass


def write_case_in_steps(path: Path | str, case: PlanCase) -> Iterator[float]:
    """Do what `write_case` does in steps of a fraction of a second each, for callers that must not be held up; yields the fraction done."""
    ct: NDArray[Any] = case.ct_hu
    limits = np.iinfo(np.int16)
    as_integers = ct.astype(np.int16) if limits.min <= ct.min() and ct.max() <= limits.max else None
    yield 0.1
    if as_integers is not None and np.array_equal(as_integers, ct):
        ct = as_integers
    metadata = {
        "format": _FORMAT,
        "name": case.name,
        "grid": asdict(case.grid),
        "structures": [
            {"name": s.name, "kind": s.role.kind.value, "standard_name": s.role.standard_name, "prescription_gy": s.role.prescription_gy}
            for s in case.structures
        ],
        "beams": beams_as_json(case.beams),
        "isocentre_mm": case.isocentre_mm,
    }
    yield 0.2
    bits = np.empty((len(case.structures), (case.ct_hu.size + 7) // 8), dtype=np.uint8)
    for number, structure in enumerate(case.structures):
        bits[number] = np.packbits(structure.mask)
        yield 0.2 + 0.6 * (number + 1) / len(case.structures)
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, ct=ct, masks=bits, metadata=np.frombuffer(json.dumps(metadata).encode(), dtype=np.uint8))


def write_case_folder(path: Path | str, case: PlanCase) -> None:
    """Write a case as a folder that Slicer opens and `read_case` reads: `ct.nrrd`, `segmentation.seg.nrrd` and `plan.json`."""
    plan: dict[str, Any] = {
        "name": case.name,
        "ct": "ct.nrrd",
        "segmentation": "segmentation.seg.nrrd",
        "targets": {target.name: target.role.prescription_gy for target in case.targets},
        "roles": {s.name: _role_text(s.role) for s in case.structures if s.role.kind is not RoleKind.TARGET},
        "beams": beams_as_json(case.beams),
    }
    if case.isocentre_mm is not None:
        plan["isocentre_mm"] = list(case.isocentre_mm)
    ct = case.ct_hu.astype(np.int16) if np.array_equal(case.ct_hu.astype(np.int16), case.ct_hu) else case.ct_hu
    with whole_folder(path) as unfinished:
        write_volume(unfinished / "ct.nrrd", ct, case.grid)
        write_segmentation(unfinished / "segmentation.seg.nrrd", case.structures, case.grid)
        (unfinished / PLAN_FILE).write_text(json.dumps(plan, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_folder(folder: Path, beams: Beams | None) -> OpenedCase:
    contents = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not contents:
        raise CaseError(f"{folder} is an empty folder; give one with a CT, its structures and {PLAN_FILE}.")
    plan = _read_plan(folder / PLAN_FILE) if (folder / PLAN_FILE).is_file() else {}
    if "ct" not in plan and not _ct_files(contents):
        from dose_prediction.dicom import holds_dicom  # not at load: Slicer's side needs nothing of it

        if holds_dicom(folder):
            return _read_dicom(folder, plan, beams)
    ct, grid = read_volume(_ct_file(folder, contents, plan))
    masks = _read_masks(folder, contents, plan, grid)
    roles = _roles(plan, {name: recognise(name) for name in masks})
    if beams is None:
        if "beams" not in plan:
            raise CaseError(f'{folder} says nothing of beams; give them, or write them into {PLAN_FILE}, for example "beams": {{"count": 9}}.')
        beams = _beams(plan["beams"])
    return OpenedCase(PlanCase(_case_name(folder, plan), grid, ct, _structures(masks, roles), _leaves(plan, beams), _isocentre(plan)))


def _read_dicom(folder: Path, plan: Mapping[str, Any], beams: Beams | None) -> OpenedCase:
    from dose_prediction.dicom import read_dicom_case

    if beams is None and "beams" in plan:
        beams = _beams(plan["beams"])
    found = read_dicom_case(folder, beams)
    if not found.beams:
        raise CaseError("The folder holds no plan of photon beams (RTPLAN); give beams, or export the plan with the CT.")
    structures = _structures(found.masks, _roles(plan, found.roles))
    isocentre = _isocentre(plan) if "isocentre_mm" in plan else found.isocentre_mm
    beams = _leaves(plan, found.beams)
    return OpenedCase(PlanCase(_case_name(folder, plan), found.grid, found.ct_hu, structures, beams, isocentre), found.references)


def _case_name(folder: Path, plan: Mapping[str, Any]) -> str:
    return str(plan.get("name") or folder.resolve().name)


def _structures(masks: Masks, roles: Mapping[str, Role]) -> tuple[Structure, ...]:
    return tuple(Structure(name, role, masks[name]) for name, role in roles.items())


def _leaves(plan: Mapping[str, Any], beams: Beams) -> Beams:
    """The beams with the plan's leaf width where it states one."""
    if "leaf_width_mm" not in plan:
        return beams
    given = plan["leaf_width_mm"]
    _require(_is_numbers([given]), "leaf_width_mm", given, "5 or 10 (mm)")
    return with_leaf_width(beams, given)


def _isocentre(plan: Mapping[str, Any]) -> tuple[float, float, float] | None:
    given = plan.get("isocentre_mm")
    if given is None:
        return None
    _require(_is_numbers(given) and len(given) == 3, "isocentre_mm", given, "three numbers in mm (LPS)")
    x, y, z = given
    return x, y, z


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CaseError(f"{path} is damaged at line {error.lineno}, column {error.colno} ({error.msg}); correct it there.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{path} cannot be read ({error}); save it again as UTF-8 text.") from None
    if not isinstance(plan, dict):
        raise CaseError(f'{path} holds no table of entries; it should look like {{"targets": {{"PTV70": 70}}, "beams": {{"count": 9}}}}.')
    unknown = sorted(set(plan) - set(_PLAN_ENTRIES))
    if unknown:
        raise CaseError(f"{path} has the entry {unknown[0]!r}, which means nothing; entries are {', '.join(_PLAN_ENTRIES)}.")
    for entry in ("name", "ct", "segmentation"):
        _require(isinstance(plan.get(entry, ""), str), entry, plan.get(entry), "a text")
    for entry in ("labels", "targets", "roles"):
        _require(isinstance(plan.get(entry, {}), dict), entry, plan.get(entry), 'a table such as {"PTV70": …}')
    return plan


def _ct_file(folder: Path, contents: list[Path], plan: Mapping[str, Any]) -> Path:
    if "ct" in plan:
        return folder / plan["ct"]
    found = _ct_files(contents)
    if len(found) != 1:
        there = ", ".join(path.name for path in contents[:8])
        number = "no CT" if not found else f"{len(found)} CTs"
        raise CaseError(f'{folder} has {number} ({there}); name the file ct.nrrd or ct.nii.gz, or give its name as "ct" in {PLAN_FILE}.')
    return found[0]


def _ct_files(contents: list[Path]) -> list[Path]:
    return [path for path in contents if is_volume(path) and volume_stem(path).lower() == "ct"]


def _read_masks(folder: Path, contents: list[Path], plan: Mapping[str, Any], grid: Grid) -> Masks:
    if "segmentation" in plan:
        path = folder / plan["segmentation"]
    elif (folder / "structures").is_dir():
        path = folder / "structures"
    else:
        found = [path for path in contents if is_volume(path) and (volume_stem(path) == "segmentation" or path.name.lower().endswith(".seg.nrrd"))]
        if len(found) != 1:
            number = "no segmentation" if not found else f"{len(found)} segmentations"
            raise CaseError(f'{folder} has {number}; save one as segmentation.seg.nrrd, or give its name as "segmentation" in {PLAN_FILE}.')
        path = found[0]
    if path.is_dir():
        return read_mask_folder(path, grid)
    labels: dict[int, str] = {}
    for value, name in plan.get("labels", {}).items():
        _require(value.isdecimal() and int(value) > 0 and isinstance(name, str), "labels", {value: name}, 'values with names, such as {"1": "PTV70"}')
        labels[int(value)] = name
    return read_segmentation(path, grid, labels)


def _roles(plan: Mapping[str, Any], told: Mapping[str, Role]) -> dict[str, Role]:
    """The role of every structure: what its name tells, `told`, corrected by the plan."""
    names, targets, corrections = list(told), plan.get("targets", {}), plan.get("roles", {})
    for name in (*targets, *corrections):
        if name not in names:
            raise CaseError(f"{PLAN_FILE} speaks of a structure {name!r}, which is not there; there are {', '.join(names)}.")
    roles = {}
    for name in names:
        role = _corrected(name, corrections[name]) if name in corrections else told[name]
        if name in targets:
            _require(_is_numbers([targets[name]]), "targets", {name: targets[name]}, "a prescription in Gy")
            role = Role.target(targets[name])
        elif "targets" in plan and role.kind is RoleKind.TARGET:
            role = Role.ignored()
        roles[name] = role
    return roles


def _corrected(name: str, text: Any) -> Role:
    recognised = recognise(name)
    if text == RoleKind.TARGET.value:
        return Role.target(recognised.prescription_gy)
    if text == RoleKind.ORGAN.value:
        return Role.organ(recognised.standard_name if recognised.kind is RoleKind.ORGAN else "")
    if text == RoleKind.EXTERNAL.value:
        return Role.external()
    if text == RoleKind.IGNORED.value:
        return Role.ignored()
    organ = recognise(text) if isinstance(text, str) else Role.ignored()
    _require(organ.kind is RoleKind.ORGAN, "roles", {name: text}, '"target", "organ", "external", "ignored" or the TG-263 name of an organ')
    return organ


def _role_text(role: Role) -> str:
    return (role.standard_name or role.kind.value) if role.kind is RoleKind.ORGAN else role.kind.value


def _beams(given: Any) -> Beams:
    try:
        if isinstance(given, str):
            return parse_beams(given)
        if isinstance(given, list):
            return beams_from_json(given)
        if isinstance(given, dict) and set(given) == {"template"}:
            return template_named(str(given["template"])).beams
    except CaseError as error:
        raise CaseError(f'{PLAN_FILE}: "beams": {error}') from None
    count, start = (given.get("count"), given.get("start_deg", 0)) if isinstance(given, dict) else (None, None)
    is_right = isinstance(count, int) and _is_numbers([start]) and set(given) <= {"count", "start_deg"}
    _require(is_right, "beams", given, '{"count": 9, "start_deg": 0}, a list of beams such as [{"gantry_deg": 30, "couch_deg": 90}] or a text')
    return equispaced_beams(int(count or 0), float(start or 0))


def _is_numbers(values: Any) -> bool:
    return (
        not isinstance(values, str) and isinstance(values, Iterable) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    )


def _require(is_right: bool, entry: str, value: Any, expected: str) -> None:
    if not is_right:
        raise CaseError(f'{PLAN_FILE}: "{entry}" is {json.dumps(value, ensure_ascii=False)[:120]}; give {expected}.')


def _npz_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [Path(name).stem for name in archive.namelist()]
    except Exception as error:  # zipfile trips over damaged bytes in many ways
        raise CaseError(f"{path} cannot be read ({error}); it may be damaged, copy it again.") from None


def _read_npz(path: Path) -> PlanCase:
    try:
        with np.load(path, allow_pickle=False) as file:
            ct, bits, metadata = file["ct"], file["masks"], json.loads(file["metadata"].tobytes())
        if metadata["format"] != _FORMAT:
            raise CaseError(f"{path} is a case of another version ({metadata['format']!r}); write it again with this version.")
        grid = Grid(**metadata["grid"])
        size = int(np.prod(grid.shape))
        structures = tuple(
            Structure(
                entry["name"],
                Role(RoleKind(entry["kind"]), entry["standard_name"], entry["prescription_gy"]),
                np.unpackbits(packed, count=size).view(bool).reshape(grid.shape),
            )
            for entry, packed in zip(metadata["structures"], bits, strict=True)
        )
        beams = beams_from_json(metadata["beams"])
        isocentre, name = metadata["isocentre_mm"], str(metadata["name"])
    except CaseError:
        raise
    except Exception as error:  # zipfile and numpy trip over damaged bytes in many ways
        raise CaseError(f"{path} is no case or a damaged one ({error}); write it again.") from None
    return PlanCase(name, grid, ct, structures, beams, tuple(isocentre) if isocentre is not None else None)
