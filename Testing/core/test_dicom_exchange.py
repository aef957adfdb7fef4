"""A DICOM study for Slicer's panel and back: what arrives is what was exported, and a dose goes back to its patient."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_files import edited, roi, water_folder
from dose_prediction.case import Beam, CaseError
from dose_prediction.case_files import write_case
from dose_prediction.dicom import read_dicom_case, read_dose, write_dose
from dose_prediction.dicom.reference_json import references_as_json, references_from_json
from dose_prediction.dicom_export import ExportTable
from dose_prediction.exchange import main
from dose_prediction.segmentation_files import read_segmentation
from dose_prediction.volumes import read_volume
from water_case import water_case


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return water_folder(tmp_path / "study")


def table_of(folder: Path) -> dict:
    return json.loads((folder / "study.json").read_text(encoding="utf-8"))


def test_ct_and_contours_arrive_voxel_for_voxel(study, tmp_path):
    assert main(["import", str(study), str(tmp_path / "out")]) == 0
    case = water_case()
    ct, grid = read_volume(tmp_path / "out" / "ct.nrrd")
    assert np.array_equal(ct, case.ct_hu) and grid.matches(case.grid)
    masks = read_segmentation(tmp_path / "out" / "segmentation.seg.nrrd", grid)
    for structure in case.structures:
        assert np.array_equal(masks[structure.name], structure.mask)


def test_the_table_tells_patient_roles_colours_beams_and_isocentre(study, tmp_path):
    with edited(study / "structure_set.dcm") as data:
        roi(data, "PTV_7000").ROIDisplayColor = [255, 0, 51]
    main(["describe", str(study), str(tmp_path / "out")])
    table = table_of(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["study.json"]
    assert table["patient"]["id"] == "Water cylinder"
    roles = {structure["name"]: (structure["kind"], structure["prescription_gy"]) for structure in table["structures"]}
    assert roles == {"BODY": ("external", None), "PTV_7000": ("target", 70), "PTV_5600": ("target", 56), "Parotid_L": ("organ", None)}
    assert next(structure["colour"] for structure in table["structures"] if structure["name"] == "PTV_7000") == [1.0, 0.0, 0.2]
    assert [beam["gantry_deg"] for beam in table["beams"]] == [0, 72, 144, 216, 288]
    assert table["isocentre_mm"] == pytest.approx(water_case().isocentre, abs=1e-3)


def test_a_dose_of_the_cts_frame_arrives_in_gy_and_another_does_not(study, tmp_path):
    case, references = water_case(), read_dicom_case(study).references
    dose = np.where(case.body, 42.0, 0.0).astype(np.float32)
    write_dose(study / "own.dcm", dose, case.grid, references, "1.2.3", "test")
    write_dose(study / "other.dcm", dose, case.grid, references, "1.2.3", "test")
    with edited(study / "other.dcm") as data:
        data.FrameOfReferenceUID = "1.2.3.4"
    main(["import", str(study), str(tmp_path / "out")])
    assert [entry["file"] for entry in table_of(tmp_path / "out")["doses"]] == ["dose_1.nrrd"]
    assert table_of(tmp_path / "out")["remarks"] == ["Doses in another frame of reference than the CT's were left out: other.dcm."]
    arrived, grid = read_volume(tmp_path / "out" / "dose_1.nrrd")
    assert np.allclose(arrived, dose, atol=0.01) and grid.matches(case.grid)


def test_what_cannot_be_read_is_a_sentence_and_leaves_nothing(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["import", str(tmp_path / "empty"), str(tmp_path / "out")]) == 1
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["event"] == "error" and "holds no DICOM file" in event["message"]
    assert not (tmp_path / "out").exists()


def test_remarks_of_the_reader_arrive_once(study, tmp_path):
    (study / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    main(["describe", str(study), str(tmp_path / "out")])
    (remark,) = table_of(tmp_path / "out")["remarks"]
    assert "damaged.dcm" in remark


def export(folder: Path, case, **told) -> Path:
    """Export a dose of half the prescriptions; the folder that it comes to."""
    job = folder / "job"
    job.mkdir()
    write_case(job / "case.npz", case)
    np.save(job / "dose.npy", np.where(case.body, 35.0, 0.0).astype(np.float32))
    (job / "export.json").write_text(json.dumps(asdict(ExportTable("CT: predicted dose", "1.0", **{"is_current": True, **told}))))
    assert main(["export", str(job), str(folder / "to")]) == 0
    return folder / "to"


def test_a_dose_goes_back_to_its_patient_study_and_plan(study, tmp_path):
    main(["describe", str(study), str(tmp_path / "read")])
    table = table_of(tmp_path / "read")
    to = export(tmp_path, read_back(study), references=table["references"], beams=table["beams"])
    assert [path.name for path in to.iterdir()] == ["CT_predicted_dose_dose.dcm"]
    dose, ct, plan = (pydicom.dcmread(path) for path in (to / "CT_predicted_dose_dose.dcm", study / "ct_001.dcm", study / "plan.dcm"))
    assert (dose.PatientID, dose.StudyInstanceUID, dose.FrameOfReferenceUID) == (ct.PatientID, ct.StudyInstanceUID, ct.FrameOfReferenceUID)
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert "PREDICTED" in dose.SeriesDescription and len(dose.DVHSequence) == 3
    assert read_dose(to / "CT_predicted_dose_dose.dcm").dose_gy.max() == pytest.approx(35, abs=0.01)


def read_back(study: Path):
    """The water cylinder with the beams as they were read."""
    return water_case().with_beams(read_dicom_case(study).beams)


def test_other_beams_than_the_plans_come_with_a_plan_of_their_own(study, tmp_path):
    main(["describe", str(study), str(tmp_path / "read")])
    table = table_of(tmp_path / "read")
    to = export(tmp_path, water_case().with_beams((Beam(10),)), references=table["references"], beams=table["beams"])
    dose, plan = pydicom.dcmread(to / "CT_predicted_dose_dose.dcm"), pydicom.dcmread(to / "CT_predicted_dose_plan.dcm")
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert plan.BeamSequence[0].ControlPointSequence[0].GantryAngle == 10


def test_a_dose_whose_case_was_changed_goes_out_without_histograms_and_plan(study, tmp_path):
    to = export(tmp_path, water_case(), is_current=False)
    assert "DVHSequence" not in pydicom.dcmread(to / "CT_predicted_dose_dose.dcm")
    assert len(list(to.iterdir())) == 1


def test_a_ct_that_slicer_loaded_lends_its_patient_and_study(study, tmp_path):
    to = export(tmp_path, water_case(), ct_file=str(study / "ct_001.dcm"))
    dose, ct = pydicom.dcmread(to / "CT_predicted_dose_dose.dcm"), pydicom.dcmread(study / "ct_001.dcm")
    assert (dose.PatientName, dose.StudyInstanceUID, dose.FrameOfReferenceUID) == (ct.PatientName, ct.StudyInstanceUID, ct.FrameOfReferenceUID)


def test_a_ct_without_dicom_files_gets_a_patient_named_after_it(tmp_path):
    dose = pydicom.dcmread(export(tmp_path, water_case()) / "CT_predicted_dose_dose.dcm")
    assert dose.PatientID == "Water cylinder" and dose.StudyInstanceUID


def test_references_survive_as_json(study):
    references = read_dicom_case(study).references
    back = references_from_json(json.loads(json.dumps(references_as_json(references))))
    assert back.patient_and_study == references.patient_and_study
    assert (back.plan_uid, back.roi_numbers, back.patient_position) == (references.plan_uid, references.roi_numbers, "HFS")
    with pytest.raises(CaseError, match="load the study again"):
        references_from_json({"patient_and_study": {}})
