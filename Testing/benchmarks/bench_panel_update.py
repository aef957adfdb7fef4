"""How long an edited contour takes until dose, DVHs and goals are on the screen again: the panel with its real worker on an OpenKBP case.

    python Testing/benchmarks/bench_panel_update.py [--data DIR] [--case pt_201] [--edits 3]

The case is loaded as a user loads one and predicted.  Then, again and again, a parotid is grown or shrunk by a voxel on some slices, as with a
brush, and Update is clicked; the time ends when the views, the chart and the tables show the new dose.  Of every stage it prints the seconds and the
processor time of the window's process and of the worker's; what the worker does beside the window then is fitting the beams.  When their figure is
filled in is printed, too, and the next edit waits for it.  Exits with 1 if an update took more than 3 s, which is meant for two cores with nothing
else running.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import slicer_bench

DATA = Path(__file__).resolve().parents[3] / "shared" / "openkbp" / "validation"
LONGEST_UPDATE_S = 3.0
EDITED = "RightParotid"
EDITED_SLICES = 5
DRAWING = "Drawing the views"
NOTHING = (0.0, 0.0, 0.0)


class Stages:
    """Seconds, and processor seconds of the window's process and of the worker's, between one stage and the next."""

    def __init__(self, panel: Any) -> None:
        self.spent: dict[str, tuple[float, float, float]] = {}
        self._worker = panel.run._worker
        self._name, self._before = "", NOTHING
        panel.run.progressed.connect(lambda stage, _fraction: self.begin(stage))

    def begin(self, name: str) -> None:
        """From now on the time is this stage's; "" ends the last one."""
        now = (time.perf_counter(), time.process_time(), processor_seconds(self._worker.process_id))
        if self._name:
            before = self.spent.get(self._name, NOTHING)
            self.spent[self._name] = tuple(sum(parts) for parts in zip(before, (a - b for a, b in zip(now, self._before, strict=True)), strict=True))
        self._name, self._before = name, now


def processor_seconds(process_id: int) -> float:
    """What a process has used of the processors; 0 where the system does not tell."""
    path = Path(f"/proc/{process_id}/stat")
    if not process_id or not path.exists():
        return 0.0
    user, system = path.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Predict, edit and update, print the tables, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of pt_*.npz (default: %(default)s)")
    parser.add_argument("--case", default="pt_201", help="which of them (default %(default)s)")
    parser.add_argument("--edits", type=int, default=3, help="how often the contour is edited (default 3)")
    arguments = parser.parse_args()
    path = arguments.data / f"{arguments.case}.npz"
    if not path.exists():
        print(f"{path} is not there; give the folder of OpenKBP's cases with --data.", file=sys.stderr)
        return 2
    slicer_bench.load_module()
    from dose_prediction.report import text_table

    ct_node, segmentation_node = load_case(path)
    panel = slicer_bench.show_module().panel
    panel.ui.ctSelector.setCurrentNode(ct_node)
    panel.ui.segmentationSelector.setCurrentNode(segmentation_node)
    stages = Stages(panel)
    first_s = predict(panel, stages)
    figure_s(panel)
    update_s, filled_s, spent = [], [], []
    for number in range(arguments.edits):
        edit(segmentation_node, ct_node, is_grown=number % 2 == 0)
        slicer_bench.wait_until(lambda: panel.staleness.is_stale, 60.0)
        stages.spent.clear()
        update_s.append(predict(panel, stages))
        spent.append(dict(stages.spent))
        filled_s.append(update_s[-1] + figure_s(panel))
    panel.clean_up()

    told = ", ".join(f"{seconds:.1f}" for seconds in update_s)
    print(f"\n{arguments.case}: first prediction {first_s:.1f} s; after an edit of {EDITED} {told} s (at most {LONGEST_UPDATE_S:g} s)")
    print(f"What the beams cannot do of the dose is filled in after {', '.join(f'{seconds:.1f}' for seconds in filled_s)} s\n")
    rows = []
    for name in spent[-1]:
        of_stage = [median_of([one.get(name, NOTHING)[part] for one in spent]) for part in range(3)]
        rows.append([name, *(f"{seconds:.2f}" for seconds in of_stage)])
    rows.append(["all", *(f"{sum(float(row[column]) for row in rows):.2f}" for column in (1, 2, 3))])
    print(text_table(["Stage of an update (median)", "Time (s)", "Processor, window (s)", "Processor, worker (s)"], rows))
    return int(median_of(update_s) > LONGEST_UPDATE_S)


def median_of(values: list[float]) -> float:
    return float(statistics.median(values))


def load_case(path: Path) -> tuple[Any, Any]:
    """The case from files as Slicer has them."""
    import slicer

    from dose_prediction.case_files import write_case_folder
    from dose_prediction.openkbp import read_case

    with tempfile.TemporaryDirectory() as folder:
        write_case_folder(folder, read_case(path))
        ct_node = slicer.util.loadVolume(str(Path(folder) / "ct.nrrd"))
        segmentation_node = slicer.util.loadSegmentation(str(Path(folder) / "segmentation.seg.nrrd"))
    return ct_node, segmentation_node


def predict(panel: Any, stages: Stages) -> float:
    """Seconds from a click on the button to everything on the screen."""
    import slicer
    from PySide6 import QtCore

    before, begun = panel.parameters.dose, time.perf_counter()
    panel.ui.predictButton.click()
    slicer_bench.wait_until(lambda: panel.run.machine.is_idle, 600.0)
    stages.begin(DRAWING)
    manager = slicer.app.layoutManager()
    for name in ("Red", "Green", "Yellow"):
        manager.sliceWidget(name).rendering().image()
    manager.threeDWidget(0).rendering().image()
    manager.plotWidget(0).rendering().image()
    QtCore.QCoreApplication.processEvents()
    stages.begin("")
    seconds = time.perf_counter() - begun
    if panel.parameters.dose is None or panel.parameters.dose is before or panel.ui.goalsTable.rowCount == 0:
        raise RuntimeError(panel.ui.statusLabel.text)
    return seconds


def figure_s(panel: Any) -> float:
    """Seconds until what the beams cannot do of the dose is filled in."""
    from DosePredictionLib.DoseNode import provenance_of

    begun = time.perf_counter()
    slicer_bench.wait_until(lambda: provenance_of(panel.parameters.dose)["deliverability"] is not None, 60.0)
    return time.perf_counter() - begun


def edit(segmentation_node: Any, ct_node: Any, is_grown: bool) -> None:
    """A voxel more or less around the parotid on some slices."""
    import numpy as np
    import slicer
    from scipy import ndimage

    segment_id = segmentation_node.GetSegmentation().GetSegmentIdBySegmentName(EDITED)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, segment_id, ct_node) > 0
    middle = int(np.median(np.flatnonzero(voxels.any(axis=(1, 2)))))
    change = ndimage.binary_dilation if is_grown else ndimage.binary_erosion
    edited = voxels.copy()
    for z in range(middle - EDITED_SLICES // 2, middle + EDITED_SLICES // 2 + 1):
        edited[z] = change(voxels[z])
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited.astype(np.uint8), segmentation_node, segment_id, ct_node)


if __name__ == "__main__":
    sys.exit(main())
