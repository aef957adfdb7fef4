"""The demonstration: the phantom in a scene, Predict pressed in the module's own panel, and what a user would then see.

Leaves in `demo/` the dose (NRRD), the dose-volume histograms (CSV) and a picture of the whole window; prints the goals and the seconds of each stage.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import slicer_bench

FOLDER = Path(__file__).resolve().parents[1] / "demo"
WINDOW_SIZE = (1920, 1180)
AXIAL_ZOOM = 0.55  # the shoulders are wide, the neck is not
LONGEST_RUN_S = 600.0


def main() -> int:
    """Run the demonstration; 1 if the prediction did not come to its end."""
    seconds: dict[str, float] = {}
    begun = time.monotonic()

    def done(stage: str) -> None:
        nonlocal begun
        seconds[stage] = time.monotonic() - begun
        begun = time.monotonic()

    slicer_bench.load_module()
    import slicer

    from dose_prediction.volumes import write_volume
    from DosePredictionLib.PhantomNodes import load_phantom
    from DosePredictionLib.SceneReader import grid_of_volume

    done("Starting the bench")
    ct_node, segmentation_node = load_phantom()
    show_structures(ct_node, segmentation_node)
    done("Drawing and loading the phantom")
    widget = slicer_bench.show_module()
    panel = widget.panel
    panel.run.progressed.connect(report_progress)
    panel.ui.predictButton.click()
    slicer_bench.wait_until(lambda: panel.run.machine.is_idle, LONGEST_RUN_S)
    print()
    dose_node = panel.parameters.dose
    if dose_node is None:
        print(panel.ui.statusLabel.text, file=sys.stderr)
        return 1
    done("Predicting through the panel")
    slicer_bench.wait_until(lambda: not panel.run.late_figure.is_awaited_for(dose_node), LONGEST_RUN_S)
    done("Fitting the beams to the dose")
    FOLDER.mkdir(exist_ok=True)
    write_volume(FOLDER / "dose.nrrd", slicer.util.arrayFromVolume(dose_node), grid_of_volume(dose_node), {"DoseUnits": "GY"})
    write_histograms(FOLDER / "dvh.csv", dose_node)
    take_picture(FOLDER / "window.png")
    done("Writing dose, histograms and picture")
    print_summary(panel, dose_node, seconds)
    widget.cleanup()
    return 0


def show_structures(ct_node: Any, segmentation_node: Any) -> None:
    """What a user does to see the contours: outlines in the slices, the body transparent and surfaces in 3-D, a window for soft tissue."""
    import slicer

    display = segmentation_node.GetDisplayNode()
    segmentation_node.CreateClosedSurfaceRepresentation()
    display.SetPreferredDisplayRepresentationName2D("Closed surface")
    display.SetAllSegmentsOpacity2DFill(0.0)
    display.SetSliceIntersectionThickness(2)
    body_id = segmentation_node.GetSegmentation().GetSegmentIdBySegmentName("External")
    display.SetSegmentOpacity3D(body_id, 0.25)
    view = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    view.SetBoxVisible(False)
    view.SetAxisLabelsVisible(False)
    ct_node.GetDisplayNode().AutoWindowLevelOff()
    ct_node.GetDisplayNode().SetWindowLevel(400, 40)
    slicer.util.setSliceViewerLayers(background=ct_node, fit=True)


def report_progress(stage: str, fraction: float) -> None:
    """One line on the terminal that follows the panel's progress bar."""
    print(f"\r{fraction:5.0%}  {stage:<40}", end="", flush=True)


def write_histograms(path: Path, dose_node: Any) -> None:
    """The chart's curves as the table that the command line writes, too."""
    import slicer

    from dose_prediction.report import write_dvh_csv
    from DosePredictionLib.DvhTables import chart_of

    chart = chart_of(dose_node)
    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    curves = {one.GetName(): slicer.util.arrayFromTableColumn(one.GetTableNode(), "Volume") for one in series}
    write_dvh_csv(path, slicer.util.arrayFromTableColumn(series[0].GetTableNode(), "Dose"), curves)


def take_picture(path: Path) -> None:
    """The whole window: panel, slices with the dose, 3-D view and chart, the axial slice drawn closer."""
    import slicer

    from slicer_bench import window

    axial = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    width, height, depth = axial.GetFieldOfView()
    axial.SetFieldOfView(AXIAL_ZOOM * width, AXIAL_ZOOM * height, depth)
    window.picture(path, size=WINDOW_SIZE)


def print_summary(panel: Any, dose_node: Any, seconds: dict[str, float]) -> None:
    """Goals, seconds and where the files are."""
    from dose_prediction.report import stages_table, text_table
    from DosePredictionLib.DoseNode import provenance_of

    goals = panel.parameters.goals
    cells = [[goals.GetCellText(row, column) for column in range(4)] for row in range(goals.GetNumberOfRows())]
    print(f"\nClinical goals\n\n{text_table(['Structure', 'Goal', 'Reached', 'Outcome'], cells)}")
    print(f"\nStages of the prediction\n\n{stages_table(provenance_of(dose_node))}")
    print(f"\nStages of this demonstration\n\n{stages_table({'stage_seconds': seconds})}\n")
    for name, what in (("dose.nrrd", "the dose in Gy"), ("dvh.csv", "the dose-volume histograms"), ("window.png", "the window")):
        print(f"{FOLDER / name}: {what}")


if __name__ == "__main__":
    sys.exit(main())
