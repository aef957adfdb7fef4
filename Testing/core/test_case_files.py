"""Cases written to disk and read back, by us and as others lay them out; and everything that is wrong with a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dose_prediction.case import TEMPLATES, Arc, Beam, BeamTemplate, CaseError, Grid, PlanCase, Role, RoleKind, Structure, equispaced_beams
from dose_prediction.case_files import find_cases, read_case, write_case, write_case_folder
from dose_prediction.volumes import write_volume
from water_case import water_case

OBLIQUE = Grid((20, 40, 40), (50.0, 20.0, -30.0), (4.0, 4.5, 3.0), ((0.6, 0.8, 0.0), (-0.8, 0.6, 0.0), (0.0, 0.0, -1.0)))


def overlapping_case(grid: Grid | None = None) -> PlanCase:
    """The water case with an organ that overlaps a target, an ignored structure with an odd name, and beams of every kind."""
    case = water_case("Müller, 2 Gy", grid)
    cord = Structure("Cord", Role.organ("SpinalCord"), np.roll(case.structures[1].mask, 4, axis=1))
    odd = Structure("Stent/Ω 50%", Role.ignored(), np.roll(case.structures[1].mask, 2, axis=2))
    beams = (
        Beam(0, name="AP", weight=0.75),
        Beam(72.5, couch_deg=30),
        Beam(200, collimator_deg=15, energy_mv=10, is_flattened=False),
        Arc(200, 20, True, 350, 30, 10, 4.0, False, 2.5, "half turn"),
        Arc(20, 200, is_clockwise=False),
    )
    return replace(case, structures=(*case.structures, cord, odd), beams=beams)


def assert_same(found: PlanCase, case: PlanCase) -> None:
    assert found.digest == case.digest
    assert found.name == case.name
    assert found.beams == case.beams
    assert [(s.name, s.role) for s in found.structures] == [(s.name, s.role) for s in case.structures]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found.structures, case.structures, strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_case_folder(tmp_path / "case", overlapping_case())
    return tmp_path / "case"


def edit_plan(folder: Path, **entries: object) -> None:
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    plan = {key: value for key, value in (plan | entries).items() if value is not None}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")


# Round trips


@pytest.mark.parametrize("grid", [None, OBLIQUE], ids=["straight", "oblique and left-handed"])
@pytest.mark.parametrize("write", [write_case, write_case_folder])
def test_case_comes_back_as_it_was(tmp_path: Path, write: Callable[[Path, PlanCase], None], grid: Grid | None) -> None:
    case = overlapping_case(grid)
    path = tmp_path / ("case.npz" if write is write_case else "case")
    write(path, case)
    assert_same(read_case(path), case)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["case.npz", "case"])
def test_ct_with_fractions_of_hu_and_an_isocentre_come_back(tmp_path: Path, name: str) -> None:
    case = replace(overlapping_case(), isocentre_mm=(1.25, -3.0, 2.0))
    case = replace(case, ct_hu=case.ct_hu + np.float32(0.123))
    (write_case if name.endswith("npz") else write_case_folder)(tmp_path / name, case)
    found = read_case(tmp_path / name)
    assert np.array_equal(found.ct_hu, case.ct_hu)
    assert found.isocentre_mm == (1.25, -3.0, 2.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip), min_size=1, max_size=4, unique=True))
def test_any_name_of_a_structure_survives_the_way_to_the_worker(tmp_path: Path, names: list[str]) -> None:
    case = water_case()
    masks = case.structures[1].mask
    case = replace(case, structures=(case.structures[1], *(Structure(f"{name}.", Role.ignored(), masks) for name in names)))
    write_case(tmp_path / "case.npz", case)
    assert_same(read_case(tmp_path / "case.npz"), case)


def test_beams_that_are_given_replace_those_of_the_case(folder: Path, tmp_path: Path) -> None:
    beams = equispaced_beams(4, 45)
    write_case(tmp_path / "case.npz", overlapping_case())
    assert read_case(folder, beams).beams == beams
    assert read_case(tmp_path / "case.npz", beams).beams == beams


def test_nothing_in_a_case_file_is_pickled(tmp_path: Path) -> None:
    write_case(tmp_path / "case.npz", overlapping_case())
    with np.load(tmp_path / "case.npz", allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file} <= {"i", "u", "f"}
        assert file["ct"].dtype == np.int16


def test_slicer_reads_the_segmentation_and_what_slicer_writes_is_read(folder: Path, tmp_path: Path) -> None:
    slicer = pytest.importorskip("slicer", reason="needs Slicer's MRML library (slicer-core)")
    pytest.importorskip("slicer_core", reason="needs Slicer's MRML library (slicer-core)")
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")

    def storage(path: Path) -> object:
        made = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        made.SetFileName(str(path))
        return made

    assert storage(folder / "segmentation.seg.nrrd").ReadData(node) == 1  # type: ignore[attr-defined]
    names = [node.GetSegmentation().GetNthSegment(i).GetName() for i in range(node.GetSegmentation().GetNumberOfSegments())]
    assert names == [s.name for s in overlapping_case().structures]
    (folder / "segmentation.seg.nrrd").unlink()
    assert storage(folder / "segmentation.seg.nrrd").WriteData(node) == 1  # type: ignore[attr-defined]
    assert_same(read_case(folder), overlapping_case())


# What others lay out


def one_layer(case: PlanCase) -> np.ndarray:
    """PTV_7000 is 1 and Parotid_L is 2."""
    return case.structures[1].mask.astype(np.uint8) + 2 * case.structures[3].mask.astype(np.uint8)


def test_labelmap_gets_its_names_from_the_plan(tmp_path: Path) -> None:
    case = water_case()
    write_volume(tmp_path / "ct.nii.gz", case.ct_hu, case.grid)
    write_volume(tmp_path / "segmentation.nii.gz", one_layer(case), case.grid)
    (tmp_path / "plan.json").write_text('{"labels": {"1": "PTV_7000", "2": "Lt parotid"}, "beams": {"count": 7, "start_deg": 10}}')
    found = read_case(tmp_path)
    assert found.beams == equispaced_beams(7, 10)
    assert {s.name: s.role for s in found.structures} == {"PTV_7000": Role.target(70.0), "Lt parotid": Role.organ("Parotid_L")}
    assert np.array_equal(found.structures[1].mask, case.structures[3].mask)


def test_folder_of_masks_needs_no_plan_if_beams_are_given(tmp_path: Path) -> None:
    case = water_case()
    (tmp_path / "structures").mkdir()
    write_volume(tmp_path / "CT.nrrd", case.ct_hu, case.grid)
    for structure, suffix in zip(case.structures, (".nrrd", ".nii.gz", ".nii", ".mha"), strict=True):
        write_volume(tmp_path / "structures" / f"{structure.name}{suffix}", structure.mask, case.grid)
    found = read_case(tmp_path, case.beams)
    assert found.name == tmp_path.name
    assert {s.name: s.role for s in found.structures} == {s.name: s.role for s in case.structures}


def test_segmentation_cropped_to_its_structures_lies_where_it_belongs(tmp_path: Path) -> None:
    case = water_case(grid=OBLIQUE)
    cropped = case.grid.cropped((5, 9, 15), (10, 16, 20))
    write_volume(tmp_path / "ct.nrrd", case.ct_hu, case.grid)
    write_volume(tmp_path / "segmentation.nrrd", one_layer(case)[5:15, 9:25, 15:35], cropped)
    (tmp_path / "plan.json").write_text('{"labels": {"1": "PTV_7000", "2": "Parotid_L"}, "beams": "0,72,...,288"}')
    found = read_case(tmp_path)
    assert np.array_equal(found.structures[0].mask, case.structures[1].mask)
    assert np.array_equal(found.structures[1].mask, case.structures[3].mask)


def test_plan_says_which_files_to_read(folder: Path) -> None:
    (folder / "ct.nrrd").rename(folder / "series_3.nrrd")
    shutil.copy(folder / "segmentation.seg.nrrd", folder / "old.seg.nrrd")
    edit_plan(folder, ct="series_3.nrrd")
    assert_same(read_case(folder), overlapping_case())


def test_plan_corrects_roles_and_its_list_of_targets_is_whole(folder: Path) -> None:
    edit_plan(folder, targets={"PTV_7000": 66, "Stent/Ω 50%": 50}, roles={"Cord": "ignored", "Parotid_L": "Glnd_Submand_L", "BODY": "organ"})
    roles = {s.name: s.role for s in read_case(folder).structures}
    assert roles == {
        "BODY": Role(RoleKind.ORGAN),
        "PTV_7000": Role.target(66),
        "PTV_5600": Role.ignored(),
        "Parotid_L": Role.organ("Glnd_Submand_L"),
        "Cord": Role.ignored(),
        "Stent/Ω 50%": Role.target(50),
    }


def test_without_a_list_targets_and_doses_come_from_the_names(folder: Path) -> None:
    edit_plan(folder, targets=None, roles=None)
    assert [(t.name, t.role.prescription_gy) for t in read_case(folder).targets] == [("PTV_7000", 70.0), ("PTV_5600", 56.0)]


def test_roles_can_make_a_target_of_a_structure(folder: Path) -> None:
    edit_plan(folder, targets=None, roles={"PTV_5600": "target"})
    assert len(read_case(folder).targets) == 2


@pytest.mark.parametrize(
    ("given", "beams"),
    [
        ({"count": 3}, equispaced_beams(3)),
        ([0, 90.5], (Beam(0), Beam(90.5))),
        ("30, 30/90", (Beam(30), Beam(30, 90))),
        ([{"gantry_deg": 5.0, "couch_deg": 0.0, "collimator_deg": 0.0, "energy_mv": 6.0}], (Beam(5),)),  # as before there were arcs
        ("arc 200-20 cw/350", (Arc(200, 20, couch_deg=350),)),
        ({"template": "4-field box"}, equispaced_beams(4)),
        ([{"start_deg": 20, "stop_deg": 200, "is_clockwise": False}, 7], (Arc(20, 200, is_clockwise=False), Beam(7))),
        ([{"gantry_deg": 5, "couch_deg": 350, "energy_mv": 10}, 7], (Beam(5, 350, 0, 10), Beam(7))),
    ],
)
def test_beams_are_written_in_several_ways(folder: Path, given: object, beams: tuple[Beam | Arc, ...]) -> None:
    edit_plan(folder, beams=given)
    assert read_case(folder).beams == beams


def test_the_leaf_width_of_the_plan_is_that_of_all_its_beams(folder: Path) -> None:
    edit_plan(folder, beams=[30, {"start_deg": 20, "stop_deg": 200}], leaf_width_mm=10)
    assert read_case(folder).beams == (Beam(30, leaf_width_mm=10), Arc(20, 200, leaf_width_mm=10))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_every_template_is_named_in_the_plan(folder: Path, template: BeamTemplate) -> None:
    edit_plan(folder, beams={"template": template.name})
    assert read_case(folder).beams == template.beams


# What is wrong


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shift_segmentation(folder: Path, **change: object) -> None:
    path = folder / "segmentation.seg.nrrd"
    image = SimpleITK.ReadImage(str(path))
    if "origin" in change:
        image.SetOrigin(change["origin"])
    if "spacing" in change:
        image.SetSpacing(change["spacing"])
    SimpleITK.WriteImage(image, str(path))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated CT": (lambda f: truncate(f / "ct.nrrd"), "ct.nrrd cannot be read"),
    "truncated segmentation": (lambda f: truncate(f / "segmentation.seg.nrrd"), "segmentation.seg.nrrd cannot be read"),
    "CT that is no image": (lambda f: (f / "ct.nrrd").write_text("hello"), "ct.nrrd cannot be read"),
    "no CT": (lambda f: ((f / "ct.nrrd").unlink(), edit_plan(f, ct=None)), "has no CT .plan.json, segmentation.seg.nrrd."),
    "two CTs": (lambda f: (shutil.copy(f / "ct.nrrd", f / "CT.nhdr"), edit_plan(f, ct=None)), "has 2 CTs"),
    "CT that the plan names and that is not there": (lambda f: edit_plan(f, ct="other.nrrd"), "other.nrrd is not a file"),
    "no segmentation": (lambda f: ((f / "segmentation.seg.nrrd").unlink(), edit_plan(f, segmentation=None)), "has no segmentation"),
    "two segmentations": (
        lambda f: (shutil.copy(f / "segmentation.seg.nrrd", f / "b.seg.nrrd"), edit_plan(f, segmentation=None)),
        "has 2 segmentations",
    ),
    "folder of masks that is empty": (lambda f: ((f / "structures").mkdir(), edit_plan(f, segmentation="structures")), "holds no mask"),
    "CT as segmentation": (lambda f: edit_plan(f, segmentation="ct.nrrd"), "names no structure"),
    "segmentation half a voxel off": (lambda f: shift_segmentation(f, origin=(-76.0, -78.0, -30.0)), "lies on another grid .* than the CT"),
    "segmentation of another spacing": (lambda f: shift_segmentation(f, spacing=(2.0, 2.0, 3.0)), "lies on another grid .* than the CT"),
    "segmentation that reaches beyond the CT": (lambda f: shift_segmentation(f, origin=(-38.0, -78.0, -30.0)), "reaches beyond the CT with"),
    "damaged plan": (lambda f: (f / "plan.json").write_text('{"beams": [0,\n 40'), "plan.json is damaged at line 2"),
    "plan that is no text": (lambda f: (f / "plan.json").write_bytes(b"\xff\xfe\x00"), "plan.json cannot be read"),
    "plan that is no table": (lambda f: (f / "plan.json").write_text("[1, 2]"), "holds no table"),
    "misspelt entry": (lambda f: edit_plan(f, beam=[0]), "entry 'beam', which means nothing; entries are name, ct"),
    "no beams": (lambda f: edit_plan(f, beams=None), "says nothing of beams"),
    "empty list of beams": (lambda f: edit_plan(f, beams=[]), "no beam"),
    "beams that are no angles": (lambda f: edit_plan(f, beams=[0, "x"]), 'plan.json: "beams": Beam 2 has "x" as \'gantry_deg\'; give a number'),
    "beams that are a number": (lambda f: edit_plan(f, beams=9), '"beams" is 9; give'),
    "beams without a count": (lambda f: edit_plan(f, beams={"start_deg": 0}), '"beams" is'),
    "beam without a gantry": (lambda f: edit_plan(f, beams=[{"couch_deg": 0}]), "has no 'gantry_deg'"),
    "arc without an end": (lambda f: edit_plan(f, beams=[{"start_deg": 0}]), "has no 'stop_deg'"),
    "arc that turns the wrong way": (lambda f: edit_plan(f, beams=[{"start_deg": 0, "stop_deg": 359, "is_clockwise": False}]), "turn it clockwise"),
    "template that is not there": (lambda f: edit_plan(f, beams={"template": "3 arcs"}), "No template is named '3 arcs'; there are '5 fields'"),
    "beam beyond the circle": (lambda f: edit_plan(f, beams=[0, 400]), "angle is 400"),
    "target that is not there": (lambda f: edit_plan(f, targets={"PTV70": 70}), "structure 'PTV70', which is not there; there are BODY, PTV_7000"),
    "role of what is not there": (lambda f: edit_plan(f, roles={"Heart": "organ"}), "structure 'Heart', which is not there"),
    "role that is none": (lambda f: edit_plan(f, roles={"Cord": "wobble"}), '"roles" is {"Cord": "wobble"}; give "target"'),
    "prescription that is a text": (lambda f: edit_plan(f, targets={"PTV_7000": "70 Gy"}), '"targets" is {"PTV_7000": "70 Gy"}; give'),
    "prescription in cGy": (lambda f: edit_plan(f, targets={"PTV_7000": 7000}), "Prescription is 7000 Gy"),
    "no target": (lambda f: edit_plan(f, targets={}), "no target"),
    "target without prescription": (lambda f: edit_plan(f, targets=None, roles={"Cord": "target"}), "'Cord' has no prescription"),
    "leaves of a width that there is not": (lambda f: edit_plan(f, leaf_width_mm=7), "leaf width is 7 mm; give 5 or 10 mm"),
    "leaves of a width that is a text": (lambda f: edit_plan(f, leaf_width_mm="wide"), '"leaf_width_mm" is "wide"; give 5 or 10 .mm.'),
    "leaves of two widths": (lambda f: edit_plan(f, beams=[0, {"gantry_deg": 90, "leaf_width_mm": 10}]), "leaves of 5 and 10 mm"),
    "isocentre that is a text": (lambda f: edit_plan(f, isocentre_mm="middle"), '"isocentre_mm" is "middle"; give three numbers'),
    "isocentre outside the CT": (lambda f: edit_plan(f, isocentre_mm=[0, 0, 900]), "lies outside the CT"),
    "roles that are a list": (lambda f: edit_plan(f, roles=["Cord"]), '"roles" is'),
    "label that is no number": (
        lambda f: (shutil.copy(f / "ct.nrrd", f / "map.nrrd"), edit_plan(f, segmentation="map.nrrd", labels={"one": "PTV70"})),
        '"labels" is {"one": "PTV70"}; give',
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_folder_that_cannot_be_read_says_why(folder: Path, fault: str) -> None:
    spoil, words = WRONG[fault]
    spoil(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(CaseError, match=words):
        read_case(folder)
    assert sorted(folder.iterdir()) == before


def test_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="is an empty folder"):
        read_case(tmp_path)


def test_path_that_is_no_case_says_so(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="does not exist"):
        read_case(tmp_path / "nowhere")
    (tmp_path / "case.txt").write_text("hello")
    with pytest.raises(CaseError, match="is no case"):
        read_case(tmp_path / "case.txt")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_case_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "case.npz"
    write_case(path, water_case())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CaseError, match=r"case\.npz"):
        read_case(path)


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_altered_case_file_is_refused(tmp_path: Path, position: float) -> None:
    path = tmp_path / "case.npz"
    write_case(path, water_case())
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CaseError, match=r"case\.npz"):
        read_case(path)


def test_npz_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(CaseError, match="no case or a damaged one"):
        read_case(tmp_path / "other.npz")


# Cohorts


def test_cases_of_a_folder_come_by_name_and_number(tmp_path: Path) -> None:
    for name in ("pt_10", "pt_9", ".cache"):
        (tmp_path / name).mkdir()
    for name in ("pt_11.npz", "a.npz", "readme.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_cases(tmp_path)] == ["a.npz", "pt_9", "pt_10", "pt_11.npz"]


def test_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="holds no case"):
        find_cases(tmp_path)
    with pytest.raises(CaseError, match="is not a folder"):
        find_cases(tmp_path / "nowhere")
