"""What is saved comes back, and what is closed leaves nothing behind: no node, no observer, no process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slicer

import slicer_bench
from DosePredictionLib.Staleness import PAUSED_MS, SETTLED_MS
from scene_contents import classes, contents, nodes, observers


def predict(user, worker, masks, dose_gy=60.0):
    """Press Predict and let the worker answer."""
    asked = worker.names.count("predict")
    user.press()
    user.wait_for(lambda: worker.names.count("predict") == asked + 1)
    dose = np.where(masks["BODY"], 20.0, 0.0).astype(np.float32)
    dose[masks["PTV_6000"]] = dose_gy
    worker.answer(dose, model_version="1.0", seed=3, device="cpu")
    user.wait_until_idle()
    slicer.app.processEvents()


def texts(table):
    """The cells of a table of the panel, those with a widget in them as its text."""

    def text(row, column):
        widget, item = table.cellWidget(row, column), table.item(row, column)
        if item is not None:
            return item.text()
        return widget.currentText if widget is not None and hasattr(widget, "currentText") else ""

    return [[text(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]


def shown(user):
    """All that the panel shows: of every named widget its text, number, choice or cells."""
    slicer.app.processEvents()
    found = {}
    for name, widget in vars(user.panel.ui).items():
        if hasattr(widget, "cellWidget"):
            found[name] = texts(widget)
        elif hasattr(widget, "currentNode"):
            node = widget.currentNode()
            found[name] = node.GetName() if node is not None else None
        else:
            found[name] = next((getattr(widget, kind) for kind in ("value", "currentText", "checked", "text") if hasattr(widget, kind)), None)
    del found["statusLabel"]  # says what happened last, not how things are
    return found


def settled(user):
    """What the panel shows when all that it works out by and by has come: volumes of structures, and what changed since a result."""

    def has_come():
        before = shown(user)
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            slicer.app.processEvents()
        return before == shown(user) and "…" not in str(before["structuresTable"])

    user.wait_for(has_come, 60)
    return shown(user)


@pytest.fixture
def planned(user, patient, worker, masks):
    """A user who has changed what can be changed and predicted twice."""
    user.select(patient)
    user.choose_role("couch marker", "Organ: Larynx")
    user.ui.seedSpinBox.value = 7
    user.ui.samplesSpinBox.value = 2
    predict(user, worker, masks)
    user.type_prescription("PTV_6000", "58")
    predict(user, worker, masks, 58.0)
    return user


def test_a_saved_scene_comes_back_node_for_node_and_the_panel_with_it(planned, tmp_path):
    panel_before, before = settled(planned), contents()
    assert not panel_before["staleLabel"]
    assert len(before) > 20
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    slicer.app.processEvents()
    after = contents()
    assert sorted(after) == sorted(before)
    for key, told in before.items():
        assert after[key] == told, key
    assert settled(planned) == panel_before
    assert planned.button.enabled, planned.reasons


def test_a_loaded_scene_can_be_predicted_again(planned, worker, masks, tmp_path):
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    slicer.app.processEvents()
    predict(planned, worker, masks, 59.0)
    dose = slicer.util.arrayFromVolume(planned.panel.parameters.dose)
    assert dose.max() == 59.0


def test_a_closed_scene_holds_nothing_of_the_panel(user, worker, masks, request):
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView)  # a view that was shown once stays
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    empty = classes()
    user.select(request.getfixturevalue("patient"))
    predict(user, worker, masks)
    assert classes() != empty and user.status
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert classes() == empty and not user.status


def test_no_timer_goes_off_in_a_panel_that_was_closed(make_user, worker, patient, masks):
    user = make_user(worker)
    user.select(patient)
    user.ui.autoUpdateCheckBox.checked = True
    predict(user, worker, masks)
    user.type_prescription("PTV_6000", "58")
    user.wait_for(lambda: user.panel.staleness.is_stale)  # from here on, a pause in editing begins an update
    user.panel.clean_up()
    end = time.monotonic() + (SETTLED_MS + PAUSED_MS) / 1000 + 0.5
    user.wait_for(lambda: time.monotonic() > end)
    assert worker.names.count("predict") == 1 and user.panel.run.machine.is_idle


@pytest.fixture
def module_widget():
    """The module's own panel, opened as Slicer opens it."""
    widget = slicer_bench.show_module()
    yield widget
    slicer_bench.close_modules()
    slicer_bench.load_module()


def counts(patient):
    """Observers of the scene and of what the panel looks at."""
    watched = {"scene": slicer.mrmlScene, "ct": patient.ct, "segmentation": patient.segmentation, "segments": patient.segmentation.GetSegmentation()}
    return {name: observers(node) for name, node in watched.items()}


def select(widget, patient):
    widget.panel.ui.ctSelector.setCurrentNode(patient.ct)
    widget.panel.ui.segmentationSelector.setCurrentNode(patient.segmentation)
    slicer.app.processEvents()


def test_a_reload_leaves_as_many_observers_as_there_were(module_widget, patient):
    select(module_widget, patient)
    module_widget.exit()
    before = counts(patient)
    for _reload in range(3):
        module_widget.onReload()
        widget = slicer_bench.show_module()
        select(widget, patient)
        widget.exit()
        slicer.app.processEvents()
    assert counts(patient) == before


def test_a_panel_that_is_closed_observes_nothing(patient):
    slicer.app.processEvents()
    before = counts(patient)
    widget = slicer_bench.show_module()
    select(widget, patient)
    during = counts(patient)
    assert all(during[name] > before[name] for name in ("scene", "ct", "segmentation", "segments"))
    slicer_bench.close_modules()
    slicer.app.processEvents()
    slicer_bench.load_module()
    assert counts(patient) == before


def test_opening_and_closing_the_panel_adds_only_its_parameter_node(patient):
    before = nodes()
    widget = slicer_bench.show_module()
    select(widget, patient)
    slicer_bench.close_modules()
    slicer_bench.load_module()
    assert [node.GetClassName() for node in nodes() if node not in before] == ["vtkMRMLScriptedModuleNode"]


def children():
    """Processes of this one that still run (not on systems without /proc)."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == os.getpid() and state != "Z":
                found.add(int(entry.name))
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are counted in /proc")
def test_a_closed_panel_leaves_no_process(make_user, script_worker, patient):
    before = children()
    user = make_user(script_worker)
    user.select(patient)
    user.press()
    user.wait_until_idle()
    assert len(children() - before) == 1
    user.panel.clean_up()
    assert children() - before == set()
