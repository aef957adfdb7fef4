"""The plan's beams in the panel: set quickly, edited in their table, refused in place, and kept in the scene."""

from __future__ import annotations

import json

import pytest
import qt
import slicer

from dose_prediction.case import TEMPLATES, Arc, Beam, check_beams, equispaced_beams
from dose_prediction.case_files import read_case
from dose_prediction.physics.machine import photon_machine
from DosePredictionLib.BeamsSection import BeamsSection
from DosePredictionLib.Parameters import Parameters
from DosePredictionLib.PlanBeams import ENERGIES

NAME, KIND, GANTRY, STOP, COLLIMATOR, COUCH, ENERGY = range(7)


def beams_ui(user):
    return user.section(BeamsSection)


def rows(user):
    """Every row as it reads: ticked, name, kind, gantry, stop, collimator, couch, energy."""
    table = beams_ui(user).beamsTable
    return [
        (
            table.item(row, NAME).checkState() == qt.Qt.Checked,
            table.item(row, NAME).text(),
            table.cellWidget(row, KIND).currentText,
            *(table.item(row, column).text() for column in (GANTRY, STOP, COLLIMATOR, COUCH)),
            table.cellWidget(row, ENERGY).currentText,
        )
        for row in range(table.rowCount)
    ]


def type_into(user, row, column, text):
    beams_ui(user).beamsTable.item(row, column).setText(text)


def choose(combo, text):
    """What a user does with a combo box: it becomes current and is activated."""
    index = combo.findText(text)
    combo.setCurrentIndex(index)
    combo.activated(index)


def set_angles(user, text):
    ui = beams_ui(user)
    ui.anglesLineEdit.text = text
    ui.anglesButton.click()


def predicted_beams(user, worker):
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    return read_case(worker.calls[0][1]).beams


def test_a_new_scene_has_nine_equispaced_fields(user, patient, worker):
    user.select(patient)
    assert len(rows(user)) == 9
    assert rows(user)[1] == (True, "Field 2", "Field", "40", "", "0", "0", "6")
    assert predicted_beams(user, worker) == equispaced_beams(9)


def test_equispaced_fields_are_set_from_a_number_and_a_first_angle(user):
    ui = beams_ui(user)
    ui.beamCountSpinBox.value, ui.startAngleSpinBox.value = 4, 10
    ui.equispacedButton.click()
    assert [row[3] for row in rows(user)] == ["10", "100", "190", "280"]


def test_a_list_of_angles_is_set_on_enter_and_reaches_the_case(user, patient, worker):
    user.select(patient)
    ui = beams_ui(user)
    ui.anglesLineEdit.text = "0, 50, ..., 150, 30/90, arc 181-20 cw"
    ui.anglesLineEdit.returnPressed()
    assert [row[2:5] for row in rows(user)] == [
        *[("Field", angle, "") for angle in ("0", "50", "100", "150", "30")],
        ("Arc ↻", "181", "20"),
    ]
    assert predicted_beams(user, worker) == (*(Beam(angle) for angle in (0, 50, 100, 150)), Beam(30, 90), Arc(181, 20))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_every_template_fills_the_table(user, template):
    choose(beams_ui(user).templateComboBox, template.name)
    assert user.panel.parameters.beams == template.beams
    assert len(rows(user)) == len(template.beams)
    assert beams_ui(user).templateComboBox.currentText == "Template…"


def test_angles_typed_into_the_table_reach_the_case(user, patient, worker):
    user.select(patient)
    set_angles(user, "0, 90")
    for column, text in ((GANTRY, "12,5"), (COLLIMATOR, "30"), (COUCH, "350°")):
        type_into(user, 1, column, text)
    assert predicted_beams(user, worker) == (Beam(0), Beam(12.5, couch_deg=350, collimator_deg=30))


def test_a_field_becomes_an_arc_and_an_arc_a_field_in_its_row(user):
    set_angles(user, "0, arc 181-179 cw")
    beams_ui(user).beamsTable.cellWidget(1, KIND).setCurrentText("Arc ↺")
    assert rows(user)[1][2:5] == ("Arc ↺", "179", "181")
    beams_ui(user).beamsTable.cellWidget(1, KIND).setCurrentText("Field")
    assert rows(user)[1][2:5] == ("Field", "179", "")
    beams_ui(user).beamsTable.cellWidget(0, KIND).setCurrentText("Arc ↻")
    assert user.panel.parameters.beams == (Arc(181, 179), Beam(179))


def test_the_stop_angle_of_a_field_cannot_be_edited(user):
    set_angles(user, "0, arc 181-179 cw")
    table = beams_ui(user).beamsTable
    assert not table.item(0, STOP).flags() & qt.Qt.ItemIsEditable
    assert table.item(1, STOP).flags() & qt.Qt.ItemIsEditable


def test_a_beam_that_is_switched_off_is_left_out_and_stays_in_the_table(user, patient, worker):
    user.select(patient)
    set_angles(user, "0, 90, 180")
    beams_ui(user).beamsTable.item(1, NAME).setCheckState(qt.Qt.Unchecked)
    assert [row[0] for row in rows(user)] == [True, False, True]
    assert predicted_beams(user, worker) == (Beam(0), Beam(180))


def test_with_every_beam_off_or_none_predict_is_disabled_with_the_reason(user, patient):
    user.select(patient)
    set_angles(user, "0")
    beams_ui(user).beamsTable.item(0, NAME).setCheckState(qt.Qt.Unchecked)
    assert not user.button.enabled
    assert "Every beam is switched off" in user.reasons
    beams_ui(user).removeButton.click()
    assert "The plan has no beam" in user.reasons
    assert "The plan has no beam" in beams_ui(user).beamsLabel.text
    assert not beams_ui(user).removeButton.enabled


def test_beams_are_added_duplicated_and_removed(user):
    set_angles(user, "0/0/15, 90")
    ui = beams_ui(user)
    ui.beamsTable.setCurrentCell(0, NAME)
    ui.duplicateButton.click()
    assert [beam.gantry_deg for beam in user.panel.parameters.beams] == [0, 0, 90]
    type_into(user, 1, GANTRY, "45")
    assert user.panel.parameters.beams[1] == Beam(45, collimator_deg=15)
    beams_ui(user).beamsTable.setCurrentCell(2, NAME)
    ui.removeButton.click()
    ui.addArcButton.click()
    ui.addFieldButton.click()
    assert user.panel.parameters.beams == (Beam(0, 0, 15), Beam(45, 0, 15), Arc(181, 179), Beam(0))
    assert beams_ui(user).beamsTable.currentRow() == 3


def test_a_beam_keeps_the_name_that_it_is_given(user):
    set_angles(user, "0, 90")
    type_into(user, 1, NAME, "left lateral")
    assert [row[1] for row in rows(user)] == ["Field 1", "left lateral"]
    assert user.panel.parameters.beams[1] == Beam(90, name="left lateral")


@pytest.mark.parametrize("text, reason", [("400", "between -360 and 360"), ("forty", "not a number"), ("nan", "between -360 and 360")])
def test_an_angle_that_cannot_be_is_refused_in_place_with_the_reason(user, text, reason):
    set_angles(user, "0, 90")
    type_into(user, 1, GANTRY, text)
    assert rows(user)[1][3] == "90"
    assert "✗ Field 2" in beams_ui(user).beamsLabel.text and reason in beams_ui(user).beamsLabel.text
    type_into(user, 1, GANTRY, "100")
    assert beams_ui(user).beamsLabel.isHidden()


def test_an_arc_of_no_length_is_refused_with_the_remedy(user):
    set_angles(user, "arc 10-60 cw")
    type_into(user, 0, STOP, "11")
    assert rows(user)[0][3:5] == ("10", "60")
    assert "counter-clockwise" in beams_ui(user).beamsLabel.text


def test_a_list_that_cannot_be_read_is_refused_and_the_beams_stay(user):
    set_angles(user, "0, 90")
    set_angles(user, "0, forty")
    assert "forty" in beams_ui(user).beamsLabel.text
    assert user.panel.parameters.beams == (Beam(0), Beam(90))


def test_warnings_about_beams_are_shown_and_do_not_prevent(user, patient):
    user.select(patient)
    set_angles(user, "0, 90/120")
    expected = check_beams((Beam(0), Beam(90, 120)))
    assert expected and f"? {expected[0]}" in beams_ui(user).beamsLabel.text
    assert user.button.enabled


def test_each_beam_has_its_own_energy_which_reaches_the_case(user, patient, worker):
    user.select(patient)
    set_angles(user, "0, 90")
    choose(beams_ui(user).beamsTable.cellWidget(1, ENERGY), "10")
    assert [row[7] for row in rows(user)] == ["6", "10"]
    assert beams_ui(user).beamsLabel.isHidden()
    assert beams_ui(user).energyComboBox.currentText == "Energy of all…"
    assert predicted_beams(user, worker) == (Beam(0), Beam(90, energy_mv=10))


def test_one_energy_is_chosen_for_all_beams_and_kept_by_templates_and_new_beams(user):
    set_angles(user, "0, 90")
    choose(beams_ui(user).energyComboBox, "6 MV FFF")
    assert user.panel.parameters.beams == (Beam(0, is_flattened=False), Beam(90, is_flattened=False))
    choose(beams_ui(user).energyComboBox, "10 MV")
    assert [row[7] for row in rows(user)] == ["10", "10"]
    choose(beams_ui(user).templateComboBox, "4-field box")
    beams_ui(user).addArcButton.click()
    assert [row[7] for row in rows(user)] == ["10"] * 5
    assert beams_ui(user).energyComboBox.currentText == "10 MV"


def test_wide_leaves_are_chosen_for_all_beams_kept_by_templates_and_reach_the_case(user, patient, worker):
    user.select(patient)
    set_angles(user, "20, 90")
    assert beams_ui(user).leafWidthComboBox.currentText == "5 mm leaves"
    choose(beams_ui(user).leafWidthComboBox, "10 mm leaves")
    assert user.panel.parameters.beams == (Beam(20, leaf_width_mm=10), Beam(90, leaf_width_mm=10))
    choose(beams_ui(user).templateComboBox, "Breast tangents, left")
    beams_ui(user).beamsTable.cellWidget(1, KIND).setCurrentText("Arc ↻")
    assert beams_ui(user).leafWidthComboBox.currentText == "10 mm leaves"
    assert predicted_beams(user, worker) == (Beam(305, leaf_width_mm=10), Arc(181, 179, leaf_width_mm=10))


def test_an_energy_without_beam_data_is_shown_and_prevents_with_the_remedy(user, patient):
    user.select(patient)
    user.panel.parameters.node.SetParameter("Beams", json.dumps([{"gantry_deg": 0, "energy_mv": 18, "is_flattened": False}, {"gantry_deg": 90}]))
    assert [row[7] for row in rows(user)] == ["18 FFF", "6"]
    assert "There are no beam data for 18 MV FFF; choose one of: 6 MV, 10 MV, 6 MV FFF, 10 MV FFF" in user.reasons
    assert "18 MV FFF" in beams_ui(user).beamsLabel.text
    choose(beams_ui(user).energyComboBox, "6 MV")
    assert user.panel.parameters.beams == (Beam(0), Beam(90))
    assert user.button.enabled


def test_every_energy_that_can_be_chosen_has_beam_data():
    assert [photon_machine(*energy).energy_mv for energy in ENERGIES] == [energy_mv for energy_mv, _is_flattened in ENERGIES]


def test_beams_and_what_is_off_come_back_with_a_saved_scene(user, patient, tmp_path):
    user.select(patient)
    set_angles(user, "0/15/30, arc 181-20 cw, 90")
    beams_ui(user).beamsTable.item(2, NAME).setCheckState(qt.Qt.Unchecked)
    type_into(user, 0, NAME, "anterior")
    before = rows(user)
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert len(rows(user)) == 9
    slicer.util.loadScene(path)
    assert rows(user) == before


@pytest.mark.parametrize(
    "attributes, expected",
    [
        ({"BeamsFrom": "count", "BeamCount": "4", "StartAngle": "10"}, equispaced_beams(4, 10)),
        ({"BeamsFrom": "angles", "Angles": "0, 90/30"}, (Beam(0), Beam(90, 30))),
        ({}, equispaced_beams(9)),
    ],
)
def test_beams_of_scenes_saved_by_older_versions_are_read(attributes, expected):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    for name, value in attributes.items():
        node.SetParameter(name, value)
    assert Parameters(node).beams == expected


@pytest.mark.parametrize("text", ["not JSON", "5", '[{"gantry": 3}]', '[{"gantry_deg": "x"}]', '[{"gantry_deg": 1000}]'])
def test_beams_in_a_scene_that_make_no_sense_are_a_reason_and_no_crash(user, patient, text):
    user.select(patient)
    user.panel.parameters.node.SetParameter("Beams", text)
    assert rows(user) == []
    assert not user.button.enabled
    assert beams_ui(user).beamsLabel.text.startswith("✗ ")
    choose(beams_ui(user).templateComboBox, "9 fields")
    assert user.button.enabled
