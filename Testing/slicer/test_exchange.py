"""Import and export as a user does them: a folder chosen, a button pressed, nodes and files looked at."""

from __future__ import annotations

import csv
import re
import sys
import types

import numpy as np
import pydicom
import pytest
import qt
import slicer

from dicom_files import edited, roi, water_folder
from dose_prediction.case import Beam
from dose_prediction.case.beam_json import beams_as_json
from dose_prediction.dicom import read_dicom_case, write_dose
from DosePredictionLib.DicomImport import DicomImport
from DosePredictionLib.ExchangeProcess import ExchangeProcess
from DosePredictionLib.ExchangeSection import ExchangeSection
from DosePredictionLib.PlanBeams import all_on
from DosePredictionLib.Report import PAGE_WIDTH
from DosePredictionLib.SceneReader import grid_of_volume
from DosePredictionLib.SegmentRoles import segment_rows
from slicer_bench import wait_until
from water_case import water_case

LONGEST_S = 120.0


@pytest.fixture
def study(tmp_path):
    """A study with CT, structures, plan and dose."""
    folder = water_folder(tmp_path / "study")
    case = water_case()
    write_dose(folder / "dose.dcm", np.where(case.body, 42.0, 0.0).astype(np.float32), case.grid, read_dicom_case(folder).references, "1.2.3", "test")
    return folder


@pytest.fixture
def section(user):
    """The panel's section."""
    return next(section for section in user.panel.sections if isinstance(section, ExchangeSection))


def load(user, section, folder):
    """Choose the folder, press the button and wait."""
    slicer.app.processEvents()
    section.ui.importPathLineEdit.currentPath = str(folder)
    assert section.ui.importButton.enabled, section.ui.importButton.toolTip
    section.ui.importButton.click()
    assert section.ui.importButton.text == "Cancel"
    wait_until(lambda: section.ui.importButton.text == "&Load study", LONGEST_S)
    slicer.app.processEvents()
    return section.ui.exchangeStatusLabel.text


def hierarchy():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def study_of(node):
    return hierarchy().GetItemAncestorAtLevel(hierarchy().GetItemByDataNode(node), "Study")


def test_a_study_arrives_with_its_voxels_roles_and_beams_and_is_selected(user, section, study):
    with edited(study / "structure_set.dcm") as data:
        roi(data, "Parotid_L").ROIDisplayColor = [255, 0, 51]
    told = load(user, section, study)
    assert "structures: 4, doses: 1, beams: 5." in told
    case, parameters = water_case(), user.panel.parameters
    assert grid_of_volume(parameters.ct).matches(case.grid)
    assert np.array_equal(slicer.util.arrayFromVolume(parameters.ct), case.ct_hu)
    segmentation = parameters.segmentation
    for structure in case.structures:
        segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName(structure.name)
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, parameters.ct)
        assert np.array_equal(voxels > 0, structure.mask), structure.name
    rows = {row.name: row for row in segment_rows(segmentation)}
    assert {name: (row.kind.value, row.prescription) for name, row in rows.items()} == {
        "BODY": ("external", ""), "PTV_7000": ("target", "70"), "PTV_5600": ("target", "56"), "Parotid_L": ("organ", ""),
    }  # fmt: skip
    assert rows["Parotid_L"].colour == pytest.approx((1.0, 0.0, 0.2))
    assert beams_as_json(tuple(parameters.beams)) == beams_as_json(read_dicom_case(study).beams)
    assert parameters.isocentre_mm == pytest.approx(case.isocentre, abs=1e-3)
    assert user.ui.ctSelector.currentNode() is parameters.ct
    assert user.button.enabled, user.reasons


def test_all_of_a_study_is_under_one_patient_and_study_and_the_dose_is_one_to_slicerrt(user, section, study):
    load(user, section, study)
    (dose,) = (node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute("DicomRtImport.DoseVolume") == "1")
    assert slicer.util.arrayFromVolume(dose).max() == pytest.approx(42, abs=0.01)
    parameters = user.panel.parameters
    found = {study_of(node) for node in (dose, parameters.ct, parameters.segmentation)}
    assert len(found) == 1 and 0 not in found
    uid = pydicom.dcmread(study / "ct_001.dcm").StudyInstanceUID
    assert hierarchy().GetItemUID(found.pop(), "DICOM") == uid
    patient = hierarchy().GetItemAncestorAtLevel(hierarchy().GetItemByDataNode(dose), "Patient")
    assert hierarchy().GetItemAttribute(patient, "DICOM.PatientID") == "Water cylinder"


def test_a_loaded_dose_lies_over_the_ct_in_the_colours_of_a_dose_with_a_legend_in_gy(user, section, study):
    load(user, section, study)
    (dose,) = (node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute("DicomRtImport.DoseVolume") == "1")
    display = dose.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx((0.0, 1.1 * 70.0))  # of the highest prescription
    assert display.GetApplyThreshold() and display.GetLowerThreshold() == pytest.approx(3.5)
    red = slicer.app.layoutManager().sliceWidget("Red")
    assert red.mrmlSliceCompositeNode().GetForegroundVolumeID() == dose.GetID()
    (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert (legend.GetTitleText(), legend.GetLabelFormat(), legend.GetVisibility()) == ("Dose", "%.0f Gy", 1)
    user.panel.parameters.segmentation.GetDisplayNode().SetVisibility(False)
    red.fitSliceToBackground()
    colour = red.rendering().image((300, 300)).reshape(-1, 3).astype(int)
    assert (colour.max(axis=1) - colour.min(axis=1) > 60).sum() > 5000  # 42 Gy of 77 Gy is green


def test_no_node_refers_to_the_temporary_files_that_it_came_from(user, section, study):
    load(user, section, study)
    for node in slicer.util.getNodesByClass("vtkMRMLStorageNode"):
        assert "study" not in (node.GetFileName() or "")


def test_a_second_study_of_the_patient_joins_the_first(user, section, study):
    load(user, section, study)
    first = study_of(user.panel.parameters.ct)
    load(user, section, study)
    assert study_of(user.panel.parameters.ct) == first


def test_prescriptions_of_the_plan_and_types_of_the_structure_set_become_roles(user, section, study):
    with edited(study / "structure_set.dcm") as data:
        for entry in data.StructureSetROISequence:
            entry.ROIName = {"PTV_7000": "Boost volume", "BODY": "Outline"}.get(entry.ROIName, entry.ROIName)
    load(user, section, study)
    rows = {row.name: row for row in segment_rows(user.panel.parameters.segmentation)}
    assert (rows["Boost volume"].kind.value, rows["Boost volume"].prescription) == ("target", "70")
    assert rows["Outline"].kind.value == "external"


def test_a_folder_that_is_no_study_gives_a_sentence_and_no_node(user, section, tmp_path):
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert "holds no DICOM file" in load(user, section, tmp_path)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_cancel_ends_the_process_and_leaves_no_node_or_file(user, section, study):
    before = slicer.mrmlScene.GetNumberOfNodes()
    slicer.app.processEvents()
    section.ui.importPathLineEdit.currentPath = str(study)
    section.ui.importButton.click()
    section.ui.importButton.click()
    assert section.ui.exchangeStatusLabel.text == "Cancelled."
    assert section.ui.importButton.text == "&Load study"
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_the_window_answers_while_a_study_is_read(user, section, study):
    ticks = []
    timer = qt.QTimer()
    timer.setInterval(20)
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start()
    load(user, section, study)
    timer.stop()
    assert len(ticks) > 10


def test_a_process_that_dies_is_told_and_the_next_import_works(user, study):
    told = []
    importer = DicomImport(ExchangeProcess((sys.executable, "-c", "import sys; sys.exit('no memory left')")))
    importer.stopped.connect(told.append)
    importer.start(str(study), user.panel.parameters)
    wait_until(lambda: bool(told), LONGEST_S)
    assert "no memory left" in told[0] and "try again" in told[0]
    assert not importer.is_running


@pytest.fixture
def slicerrt(monkeypatch, patient):
    """SlicerRT's reader and Slicer's DICOM module, which load the small patient; notes what was asked of them."""
    calls = []

    class Database:
        def __enter__(self):
            calls.append("opened")
            return self

        def __exit__(self, *_error):
            calls.append("closed")

        def patients(self):
            return ["1"]

    fake = types.ModuleType("DICOMLib.DICOMUtils")
    fake.TemporaryDICOMDatabase = Database
    fake.importDicom = lambda folder, database: calls.append(folder)
    fake.loadPatientByUID = lambda uid: [patient.ct.GetID(), patient.segmentation.GetID()]
    package = types.ModuleType("DICOMLib")
    package.DICOMUtils = fake
    monkeypatch.setitem(sys.modules, "DICOMLib", package)
    monkeypatch.setitem(sys.modules, "DICOMLib.DICOMUtils", fake)
    monkeypatch.setattr(slicer.modules, "dicomrtimportexport", object(), raising=False)
    return calls


def test_where_slicerrt_is_it_loads_the_nodes_and_our_reader_adds_the_beams(user, section, study, slicerrt, patient):
    told = load(user, section, study)
    assert slicerrt == ["opened", str(study), "closed"]
    parameters = user.panel.parameters
    assert parameters.ct is patient.ct and parameters.segmentation is patient.segmentation
    assert len(parameters.beams) == 5 and "beams: 5" in told
    assert not [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node is not patient.ct]


def test_what_only_slicerrt_can_read_is_loaded_and_the_reason_told(user, section, study, slicerrt, patient):
    (study / "plan.dcm").unlink()
    (study / "structure_set.dcm").unlink()
    told = load(user, section, study)
    assert user.panel.parameters.ct is patient.ct
    assert "could not be read" in told and "holds no structure set" in told


def predict(user, worker, masks, **provenance):
    """Press Predict and let the worker answer with a dose."""
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    dose = np.where(masks["BODY"], 20.0, 0.0).astype(np.float32)
    dose[masks["PTV_6000"]] = 60.0
    worker.answer(dose, model_version="1.0", seed=3, device="cpu", case_sha256="0" * 64, warnings=["A <warning> & more."], **provenance)
    user.wait_until_idle()
    slicer.app.processEvents()


def export(section, folder, *boxes):
    """Choose the folder and what to write, press the button and wait."""
    ui = section.ui
    for box in (ui.doseCheckBox, ui.tablesCheckBox, ui.reportCheckBox, ui.pdfCheckBox):
        box.checked = box.name in boxes
    ui.exportPathLineEdit.currentPath = str(folder)
    assert ui.exportButton.enabled, ui.exportButton.toolTip
    ui.exportButton.click()
    wait_until(lambda: ui.exportButton.text == "Expor&t", LONGEST_S)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def predicted(user, patient, worker, masks):
    """The small patient with its dose."""
    user.select(patient)
    predict(user, worker, masks)
    return user.panel.parameters


def test_the_dose_goes_out_as_rtdose_with_every_voxel(section, predicted, tmp_path):
    names = export(section, tmp_path / "out", "doseCheckBox")
    assert names == ["Planning_CT_predicted_dose_dose.dcm"], section.ui.exchangeStatusLabel.text
    written = pydicom.dcmread(tmp_path / "out" / names[0])
    assert (written.Modality, written.DoseUnits, written.PatientID) == ("RTDOSE", "GY", "Planning CT")
    # The patient lies on a grid of -x and -y in LPS; planes go out in the array's own order.
    expected = slicer.util.arrayFromVolume(predicted.dose)
    assert np.allclose(written.pixel_array * float(written.DoseGridScaling), expected, atol=0.01)


def test_tables_hold_the_goals_and_the_curves(section, predicted, tmp_path):
    names = export(section, tmp_path / "out", "tablesCheckBox")
    assert names == ["Planning_CT_predicted_dose_dvh.csv", "Planning_CT_predicted_dose_goals.csv"]
    with (tmp_path / "out" / names[0]).open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0][0] == "Dose (Gy)" and "PTV_6000 (%)" in rows[0]
    target = rows[0].index("PTV_6000 (%)")
    volumes = {float(row[0]): float(row[target]) for row in rows[1:]}
    assert volumes[0.0] == 100 and volumes[59.1] > 50 and volumes[30.1] > 95  # between its rim and its neighbours the dose falls
    with (tmp_path / "out" / names[1]).open(encoding="utf-8") as file:
        goals = list(csv.reader(file))
    assert goals[0][:4] == ["Structure", "Goal", "Reached", "Outcome"]
    assert {row[3] for row in goals[1:]} <= {"met", "close", "missed"} and len(goals) > 2


def test_the_report_stands_alone_and_says_what_it_is_not_for(section, predicted, tmp_path):
    (name,) = export(section, tmp_path / "out", "reportCheckBox")
    text = (tmp_path / "out" / name).read_text(encoding="utf-8")
    assert "not for clinical use" in text
    assert len(re.findall(r'<img[^>]+src="data:image/png;base64,', text)) == 5  # three slices, 3-D and the histograms
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    for told in ("PTV_6000", "gantry 0°", "60 Gy", "D0.03cc", "0" * 64, "A &lt;warning&gt; &amp; more."):
        assert told in text, told
    page = qt.QTextDocument()
    page.setHtml(text)
    page.textWidth = PAGE_WIDTH
    assert page.size.width() <= PAGE_WIDTH  # or the right of it is cut off when it is printed


def test_the_report_has_the_beams_and_the_ct_of_the_dose_not_those_that_are_set_now(section, predicted, tmp_path):
    predicted.plan_beams = all_on((Beam(77),))
    (name,) = export(section, tmp_path / "out", "reportCheckBox")
    text = (tmp_path / "out" / name).read_text(encoding="utf-8")
    assert "gantry 40°" in text and "gantry 77°" not in text


def test_the_report_tells_the_dose_of_every_target_its_fractions_and_what_was_asked_for(user, section, patient, worker, masks, tmp_path):
    user.select(patient)
    user.choose_role("couch marker", "Target")
    user.type_prescription("couch marker", "54,5")
    user.find("fractionsSpinBox").value = 30
    predict(user, worker, masks, goals=["Parotid_L mean <= 20 Gy"])
    user.panel.parameters.fractions = 25  # of the next prediction
    (name,) = export(section, tmp_path / "out", "reportCheckBox")
    text = (tmp_path / "out" / name).read_text(encoding="utf-8")
    assert "PTV_6000 60 Gy, couch marker 54,5 Gy in 30 fractions" in text
    assert "Parotid_L mean &lt;= 20 Gy" in text


def test_the_report_as_pdf_is_one_page_with_every_picture(section, predicted, tmp_path):
    (name,) = export(section, tmp_path / "out", "pdfCheckBox")
    content = (tmp_path / "out" / name).read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 1
    assert len(re.findall(rb"/Subtype\s*/Image\b", content)) >= 5


def start_report(section, folder):
    """Begin to export the report, as PDF too."""
    ui = section.ui
    for box in (ui.doseCheckBox, ui.tablesCheckBox, ui.reportCheckBox, ui.pdfCheckBox):
        box.checked = box.name in ("tablesCheckBox", "reportCheckBox", "pdfCheckBox")
    ui.exportPathLineEdit.currentPath = str(folder)
    ui.exportButton.click()
    assert ui.exportButton.text == "Cancel"
    assert not folder.exists()
    return ui


def test_the_window_goes_on_while_the_report_is_made_and_a_cancel_leaves_no_file(section, predicted, tmp_path):
    ui = start_report(section, tmp_path / "out")
    wait_until(lambda: ui.exchangeProgressBar.value > 20, LONGEST_S)
    assert ui.exchangeStatusLabel.text == "Writing tables and report…"
    ui.exportButton.click()
    assert ui.exchangeStatusLabel.text == "Cancelled."
    assert ui.exportButton.text == "Expor&t"
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_deleted_while_its_report_is_made_leaves_no_file(section, predicted, tmp_path):
    ui = start_report(section, tmp_path / "out")
    slicer.mrmlScene.RemoveNode(predicted.dose)
    wait_until(lambda: ui.exportButton.text == "Expor&t", LONGEST_S)
    assert "was deleted while it was written" in ui.exchangeStatusLabel.text
    assert list(tmp_path.iterdir()) == []


def test_closing_the_scene_ends_a_report_without_a_file(section, predicted, tmp_path):
    ui = start_report(section, tmp_path / "out")
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert not section._is_exporting
    assert ui.exchangeStatusLabel.text == ""
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_a_sentence(section, predicted, tmp_path):
    (tmp_path / "taken").write_text("a file")
    export(section, tmp_path / "taken", "tablesCheckBox", "doseCheckBox")
    assert "choose a folder" in section.ui.exchangeStatusLabel.text


def test_buttons_that_cannot_be_pressed_say_why(user, section):
    slicer.app.processEvents()
    assert section.ui.importButton.toolTip == "Choose the folder of a DICOM study."
    assert "Predict a dose first." in section.ui.exportButton.toolTip
    assert "Choose a folder to write into." in section.ui.exportButton.toolTip
    assert not section.ui.importButton.enabled and not section.ui.exportButton.enabled


def test_a_dose_of_an_imported_study_goes_back_to_its_patient(user, section, study, worker, tmp_path):
    load(user, section, study)
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    case = water_case()
    worker.answer(np.where(case.body, 30.0, 0.0).astype(np.float32), case_sha256="of another time")
    user.wait_until_idle()
    slicer.app.processEvents()
    (name,) = export(section, tmp_path / "out", "doseCheckBox")
    dose, ct, plan = (pydicom.dcmread(path) for path in (tmp_path / "out" / name, study / "ct_001.dcm", study / "plan.dcm"))
    assert (dose.PatientID, dose.StudyInstanceUID, dose.FrameOfReferenceUID) == (ct.PatientID, ct.StudyInstanceUID, ct.FrameOfReferenceUID)
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert "inputs have changed" in section.ui.exchangeStatusLabel.text
