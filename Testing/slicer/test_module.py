"""The module as Slicer has it: its file loaded, its panel opened, its self-test run, its dose seen in the views."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import slicer

import slicer_bench
from DosePredictionLib.BeamsSection import BeamsSection

MODULE = slicer_bench.MODULE_FOLDER


@pytest.fixture
def widget():
    widget = slicer_bench.show_module()
    yield widget
    slicer_bench.close_modules()
    slicer_bench.load_module()


def imported_at_load(path: Path) -> set[str]:
    """Top-level packages that a file imports when it is loaded, not later."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


def test_loading_the_modules_file_imports_nothing_but_slicer():
    assert imported_at_load(MODULE / "DosePrediction.py") <= {"__future__", "slicer"}


def test_the_module_is_listed_under_radiotherapy_and_says_what_it_is_not_for():
    module = slicer.modules.doseprediction
    assert module.title == "Dose Prediction"
    assert list(module.categories) == ["Radiotherapy"]
    assert "not for clinical use" in module.helpText


def test_the_panel_opens_and_is_followed_by_the_scene(widget, patient):
    panel = widget.panel
    panel.ui.ctSelector.setCurrentNode(patient.ct)
    panel.ui.segmentationSelector.setCurrentNode(patient.segmentation)
    slicer.app.processEvents()
    assert panel.ui.predictButton.enabled


def test_a_reload_leaves_no_observer_of_the_panel_before(widget, patient):
    before = widget.panel
    before.ui.segmentationSelector.setCurrentNode(patient.segmentation)
    widget.onReload()
    assert before.Observations == []
    assert slicer.modules.DosePredictionWidget.panel is not before


def test_a_reloaded_panel_is_in_use_and_the_one_before_is_not(widget, patient):
    before = widget.panel
    widget.onReload()
    slicer.app.processEvents()
    after = slicer.modules.DosePredictionWidget.panel
    assert after.ui.ctSelector.currentNode() is patient.ct
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert after.parameters is not None
    widget.enter()
    widget.exit()
    assert before.parameters is None


def test_the_self_test_predicts_and_passes(widget):
    slicer.modules.DosePredictionInstance.runTest()


@pytest.fixture
def sample_data(monkeypatch):
    """Slicer's Sample Data module as far as other modules speak to it."""
    fake = types.ModuleType("SampleData")
    fake.__spec__ = importlib.machinery.ModuleSpec("SampleData", None)
    sources = []

    class SampleDataLogic:
        @staticmethod
        def sampleDataSourcesByCategory(category):
            return [source for source in sources if source.category == category]

        @staticmethod
        def registerCustomSampleDataSource(**source):
            sources.append(types.SimpleNamespace(**source))

    fake.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", fake)
    return sources


def test_the_phantom_is_among_the_sample_data_and_is_drawn_without_download(sample_data):
    for _start in range(2):
        slicer.app.startupCompleted()
    (source,) = sample_data
    assert (source.category, source.sampleName) == ("Radiotherapy", "Head-and-neck phantom with contours")
    assert Path(source.thumbnailFileName).is_file()
    ct, segmentation = source.customDownloader(source)
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 11
    for node in (ct, segmentation):
        assert node.GetStorageNode() is None  # it refers to no file that is gone


def test_every_input_has_a_tooltip_and_angles_say_degrees(widget):
    ui = widget.panel.ui
    beams = next(section.ui for section in widget.panel.sections if isinstance(section, BeamsSection))
    inputs = (ui.ctSelector, ui.segmentationSelector, beams.beamCountSpinBox, beams.startAngleSpinBox, beams.anglesLineEdit)
    for field in (*inputs, ui.deviceComboBox, ui.samplesSpinBox, ui.seedSpinBox):
        assert field.toolTip
    assert "degrees" in beams.startAngleSpinBox.toolTip


def coloured(pixels):
    """Pixels that are not grey."""
    return (pixels.max(axis=2).astype(int) - pixels.min(axis=2)) > 40


def test_the_dose_is_seen_in_colour_over_the_ct(user, patient, worker, masks):
    user.select(patient)
    patient.segmentation.GetDisplayNode().SetVisibility(False)
    slicer.util.setSliceViewerLayers(background=patient.ct, fit=True)
    view = slicer.app.layoutManager().sliceWidget("Red").rendering()
    before = coloured(view.image((400, 400))).mean()
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    worker.answer(np.where(masks["BODY"], 60.0, 0.0).astype(np.float32))
    user.wait_until_idle()
    after = coloured(view.image((400, 400))).mean()
    # The body ball of 96 mm in a field of view of 120 mm covers half of the view.
    assert before < 0.02
    assert 0.3 < after < 0.7
