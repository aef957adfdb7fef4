"""The pictures of the README, each made by doing in the panel what the step beside it says: `make pictures`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

import slicer_bench
from demo import AXIAL_ZOOM, show_structures

FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "Screenshots"
SIZE = (1360, 860)
COLOURS = 255  # of a picture, so that a set of them stays small
SETTLING_S = 1.5  # for what is drawn or worked out by and by
LONGEST_WAIT_S = 900.0
MOST_BYTES = 1_500_000


class Photographer:
    """The module as it is opened for the first time, and what a user does before each picture."""

    def __init__(self) -> None:
        import slicer

        self.slicer = slicer
        self.widget = slicer_bench.show_module()
        self.panel = self.widget.panel

    def load_phantom(self) -> None:
        """The sample, and back in the module, which selects it."""
        from DosePredictionLib.PhantomNodes import load_phantom

        show_structures(*load_phantom())
        self.widget.enter()
        self.zoom()

    def zoom(self) -> None:
        """The axial view closer to the neck."""
        axial = self.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
        width, height, depth = axial.GetFieldOfView()
        axial.SetFieldOfView(AXIAL_ZOOM * width, AXIAL_ZOOM * height, depth)

    def __getattr__(self, name: str) -> Any:
        """A widget of the panel, whichever section it is in."""
        return getattr(self.slicer.util.childWidgetVariables(self.slicer.modules.doseprediction.widgetRepresentation()), name)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        slicer_bench.wait_until(condition, LONGEST_WAIT_S)
        end = time.monotonic() + SETTLING_S
        slicer_bench.wait_until(lambda: time.monotonic() > end)

    def take(self, name: str, *open_sections: str) -> None:
        """A picture of the window with these sections open and the others folded; there is a chart in it as soon as there is a dose."""
        for section in ("inputs", "plan", "results", "compare", "whatIf", "exchange", "advanced"):
            getattr(self, f"{section}CollapsibleButton").collapsed = section not in open_sections
        self.wait_for(lambda: True)
        layout = self.slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView if self.panel.parameters.dose is None else None
        slicer_bench.picture(FOLDER / f"{name}.png", layout, SIZE)
        picture = Image.open(FOLDER / f"{name}.png").convert("RGB").quantize(COLOURS, kmeans=3, dither=Image.Dither.NONE)
        picture.save(FOLDER / f"{name}.png", optimize=True)
        print(f"{name}.png: {(FOLDER / f'{name}.png').stat().st_size / 1000:.0f} kB", flush=True)

    def predict(self) -> Any:
        """Press the button and wait for the dose."""
        before = self.panel.parameters.dose
        self.panel.ui.predictButton.click()
        self.wait_for(lambda: self.panel.run.machine.is_idle)
        if self.panel.parameters.dose is None or self.panel.parameters.dose is before:
            raise RuntimeError(self.panel.ui.statusLabel.text)
        self.wait_for(lambda: not self.panel.run.late_figure.is_awaited_for(self.panel.parameters.dose))
        return self.panel.parameters.dose


def main() -> int:
    """Take all pictures; 1 if they are too large together."""
    slicer_bench.load_module()
    user = Photographer()
    user.take("Install", "advanced")
    user.load_phantom()
    table = user.structuresTable
    user.wait_for(lambda: table.rowCount > 0 and "…" not in table.item(0, table.columnCount - 1).text())
    user.take("Inputs", "inputs")
    user.showBeamsCheckBox.click()
    user.take("Plan", "plan")
    user.showBeamsCheckBox.click()
    first = user.predict()
    user.linesCheckBox.checked = True
    user.take("Window", "results")
    user.take("Model", "advanced")
    edit_prescription(user.panel.parameters.segmentation, "PTV56", "50")
    user.wait_for(lambda: user.panel.ui.predictButton.text != "Predict")
    user.take("Update", "inputs")
    user.predict()
    user.referenceSelector.setCurrentNode(first)
    user.compareButton.click()
    user.wait_for(lambda: user.changesTable.rowCount > 0)
    user.take("Compare", "compare")
    take_dicom(user)
    user.widget.cleanup()
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    print(f"{total / 1000:.0f} kB together")
    return int(total > MOST_BYTES)


def edit_prescription(segmentation: Any, name: str, dose_gy: str) -> None:
    """What typing a prescription into the structures table does."""
    from DosePredictionLib.SegmentRoles import correct_role, segment_rows

    row = next(row for row in segment_rows(segmentation) if row.name == name)
    correct_role(segmentation, replace(row, prescription=dose_gy))


def take_dicom(user: Photographer) -> None:
    """The picture of the phantom as a DICOM study that was loaded through the panel; its folder is named as a user's would be."""
    from dose_prediction.dicom import write_case_as_dicom
    from dose_prediction.phantom import head_and_neck_phantom

    user.slicer.mrmlScene.Clear()
    with tempfile.TemporaryDirectory() as folder:
        write_case_as_dicom(Path(folder) / "phantom_dicom", head_and_neck_phantom())
        before = Path.cwd()
        os.chdir(folder)
        try:
            user.importPathLineEdit.currentPath = "phantom_dicom"
            user.importButton.click()
            user.wait_for(lambda: user.importButton.text != "Cancel")
            show_structures(user.panel.parameters.ct, user.panel.parameters.segmentation)
            user.zoom()
            user.take("Dicom", "exchange")
        finally:
            os.chdir(before)


if __name__ == "__main__":
    sys.exit(main())
