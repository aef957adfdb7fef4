"""The DosePrediction module as Slicer finds it: what it is called, its panel, its logic and its self-test.  The work is in DosePredictionLib."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class DosePrediction(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Dose Prediction")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Radiotherapy")]
        parent.dependencies = []
        parent.contributors = ["The DosePrediction contributors"]
        parent.helpText = _(
            "Predicts the dose that a good radiotherapy plan would give, from a CT, contours, prescriptions and beams. "
            "Select a CT and a segmentation, check what each structure is, choose the beams and press Predict. "
            'A step-by-step tutorial is in the <a href="https://github.com/DosePrediction/SlicerDosePrediction#readme">documentation</a>. '
            "Research software, not for clinical use."
        )
        parent.acknowledgementText = _(
            "The model follows ADDiff-Dose (arXiv:2508.02043) and was trained on the OpenKBP data set (Babier et al., Med Phys 48, 5549, 2021). "
            "Please cite both if you publish results."
        )
        slicer.app.connect("startupCompleted()", self.register_sample)

    def register_sample(self):
        """Other modules are there only when Slicer has started."""
        from DosePredictionLib.SampleCase import register_sample

        register_sample()


class DosePredictionWidget(ScriptedLoadableModuleWidget):
    """Puts the panel into Slicer's module area."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.panel = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from DosePredictionLib.Widget import Panel

        ui_widget = slicer.util.loadUI(self.resourcePath("UI/DosePrediction.ui"))
        self.layout.addWidget(ui_widget)
        ui_widget.setMRMLScene(slicer.mrmlScene)
        self.logic = DosePredictionLogic()
        self.panel = Panel(slicer.util.childWidgetVariables(ui_widget), self.logic)
        if self.parent.isEntered:  # after a reload, when `enter` is not called
            self.panel.enter()

    def enter(self):
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """For good: whatever Slicer calls afterwards finds no panel."""
        if self.panel is not None:
            self.panel.clean_up()
        self.panel = None


class DosePredictionLogic(ScriptedLoadableModuleLogic):
    """Gives the settings of the panel; predictions without the panel are `dose_prediction.prediction.predict`."""

    def parameters(self):
        """The parameter node, as `DosePredictionLib.Parameters.Parameters`."""
        from DosePredictionLib.Parameters import Parameters

        return Parameters(self.getParameterNode())


class DosePredictionTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer: the released model is whole, the panel recognises the phantom's structures, and Predict gives its target its dose.

    Python packages that are missing are asked for as at every first prediction; a test run that nobody watches installs nothing and skips it.
    """

    LONGEST_RUN_S = 900

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_the_released_model_is_the_one_on_its_card()
        self.test_segments_are_recognised_and_the_button_is_ready()
        self.setUp()
        self.test_the_panel_predicts_the_phantom()

    def test_the_released_model_is_the_one_on_its_card(self):
        import hashlib
        import json

        from dose_prediction.resources import resource_path

        card = json.loads((resource_path("Models") / "addiff_dose.json").read_text(encoding="utf-8"))
        weights = (resource_path("Models") / "addiff_dose.safetensors").read_bytes()
        self.assertEqual(hashlib.sha256(weights).hexdigest(), card["sha256"])

    def test_segments_are_recognised_and_the_button_is_ready(self):
        from DosePredictionLib.MissingInputs import missing_inputs
        from DosePredictionLib.PhantomNodes import load_phantom
        from DosePredictionLib.SegmentRoles import segment_rows

        ct_node, segmentation_node = load_phantom()
        parameters = DosePredictionLogic().parameters()
        parameters.ct, parameters.segmentation = ct_node, segmentation_node
        rows = segment_rows(segmentation_node)
        self.assertIn("SpinalCord", [row.standard_name for row in rows])
        self.assertEqual(missing_inputs(parameters, rows), ())
        self.delayDisplay("The phantom is ready to be predicted.")

    def test_the_panel_predicts_the_phantom(self):
        import time

        import numpy as np

        from DosePredictionLib.PhantomNodes import load_phantom
        from DosePredictionLib.PythonPackages import PythonPackages

        missing = PythonPackages().missing()
        if missing and slicer.app.testingEnabled():
            self.skipTest(f"{', '.join(missing)} are not installed.")
        ct_node, segmentation_node = load_phantom()
        slicer.modules.doseprediction.widgetRepresentation()
        panel = slicer.modules.DosePredictionWidget.panel
        panel.enter()
        panel.parameters.ct, panel.parameters.segmentation = ct_node, segmentation_node
        slicer.app.processEvents()
        panel.ui.predictButton.click()
        end = time.monotonic() + self.LONGEST_RUN_S
        while not panel.run.machine.is_idle and time.monotonic() < end:
            slicer.app.processEvents()
        dose_node = panel.parameters.dose
        self.assertIsNotNone(dose_node, panel.ui.statusLabel.text)
        target_id = segmentation_node.GetSegmentation().GetSegmentIdBySegmentName("PTV70")
        inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, target_id, ct_node) > 0
        median_gy = float(np.median(slicer.util.arrayFromVolume(dose_node)[inside]))
        self.assertAlmostEqual(median_gy, 70.0, delta=4.2)  # 6 %
        self.delayDisplay("The phantom has its dose.")
