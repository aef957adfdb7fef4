"""How long the panel ever keeps Slicer's window waiting, and how soon a cancel takes effect: the phantom predicted through the module's own panel.

    python Testing/benchmarks/bench_panel.py [--runs 3] [--large] [--contours]

A timer that is due every 20 ms tells how long the event loop was held up in each state of a run, while structures are recognised and measured, and
while a result is exported with its report.
`--large` takes the phantom on a CT of 512 x 512 x 165 voxels, `--contours` its structures as planar contours, as an RTSTRUCT brings them.  A gap
longer than the work done in it means that other programs had the processors.  Exits with 1 if the loop was ever held up for more than 0.5 s or a
cancel took more than 1.5 s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import slicer_bench

TICK_MS = 20
LONGEST_GAP_S = 0.5
LONGEST_CANCEL_S = 1.5
FIELD_MM = (480.0, 336.0)  # of the phantom's CT
SLICE_MM = 2.0
LARGE_COLUMNS = 512


class LoopWatch:
    """Gaps between the ticks of a timer, and the processor time that the window's thread used in them, by what the panel was doing."""

    def __init__(self, panel: Any) -> None:
        import qt

        self.gaps_s: dict[str, list[float]] = defaultdict(list)
        self.work_s: dict[str, list[float]] = defaultdict(list)
        self.state = ""  # where the run's own does not say what goes on
        self._panel = panel
        self._state = "idle"
        self._timer = qt.QTimer()
        self._timer.timeout.connect(self._tick)
        self.start()

    def start(self) -> None:
        self._last, self._last_work = time.perf_counter(), time.thread_time()
        self._timer.start(TICK_MS)

    def stop(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        now, work = time.perf_counter(), time.thread_time()
        state = self.state or self._panel.run.machine.state.value
        between = state if state == self._state else f"{self._state} to {state}"
        self.gaps_s[between].append(now - self._last)
        self.work_s[between].append(work - self._last_work)
        self._last, self._last_work, self._state = now, work, state


def main() -> int:
    """Run, print the table, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="predictions in a row (default 3)")
    parser.add_argument("--large", action="store_true", help="a CT of 512 x 512 x 165 voxels")
    parser.add_argument("--contours", action="store_true", help="structures as planar contours")
    arguments = parser.parse_args()
    slicer_bench.load_module()
    from dose_prediction.report import text_table
    from DosePredictionLib.PhantomNodes import load_phantom
    from DosePredictionLib.ViewPictures import view_pictures

    ct_node, segmentation_node = load_phantom()
    if arguments.large:
        ct_node = resampled(ct_node, LARGE_COLUMNS)
    if arguments.contours:
        segmentation_node = as_contours(segmentation_node, ct_node)
    panel = slicer_bench.show_module().panel
    watch, run_s = LoopWatch(panel), []
    panel.ui.ctSelector.setCurrentNode(ct_node)
    panel.ui.segmentationSelector.setCurrentNode(segmentation_node)
    measured_s = until_measured(panel, segmentation_node)
    for _run in range(arguments.runs):
        begun = time.perf_counter()
        press(panel)
        slicer_bench.wait_until(lambda: panel.run.machine.is_idle, 600.0)
        if panel.parameters.dose is None:
            print(panel.ui.statusLabel.text, file=sys.stderr)
            return 1
        run_s.append(time.perf_counter() - begun)
    cancel_s = [cancelled_after(panel, stage) for stage in ("Physics prior", "Predicting the dose")]
    watch.stop()
    list(view_pictures())  # Slicer has drawn its views before; the first time takes longer
    watch.start()
    with tempfile.TemporaryDirectory() as folder:
        export(panel, Path(folder), watch)
    watch.stop()
    panel.clean_up()

    shape = " x ".join(str(n) for n in ct_node.GetImageData().GetDimensions())
    print(f"\nCT of {shape} voxels; structures are measured after {measured_s:.1f} s")
    print(f"{arguments.runs} predictions: {', '.join(f'{seconds:.1f}' for seconds in run_s)} s\n")
    rows = [
        [state, str(len(gaps)), *(f"{1000 * seconds:.0f}" for seconds in (sorted(gaps)[len(gaps) // 2], max(gaps), max(watch.work_s[state])))]
        for state, gaps in watch.gaps_s.items()
    ]
    print(text_table(["State of the run", "Ticks", "Median gap (ms)", "Longest gap (ms)", "Longest work (ms)"], rows))
    longest = max(max(gaps) for gaps in watch.gaps_s.values())
    print(f"\nLongest gap {longest:.2f} s (at most {LONGEST_GAP_S}); cancel after {max(cancel_s):.2f} s (at most {LONGEST_CANCEL_S})")
    return int(longest > LONGEST_GAP_S or max(cancel_s) > LONGEST_CANCEL_S)


def export(panel: Any, folder: Path, watch: LoopWatch) -> None:
    """Everything of a result as files: RTDOSE, tables, and the report as HTML and as PDF."""
    import qt

    from DosePredictionLib.ExchangeSection import ExchangeSection

    ui = next(section for section in panel.sections if isinstance(section, ExchangeSection)).ui
    label = ui.exportButton.text
    ui.exportPathLineEdit.currentPath = str(folder)
    for box in (ui.doseCheckBox, ui.tablesCheckBox, ui.reportCheckBox, ui.pdfCheckBox):
        box.checked = True
    slicer_bench.wait_until(lambda: ui.exportButton.enabled, 10.0)  # the panel hears of the cancelled prediction's end by and by
    watch.state = "exporting"
    qt.QTimer.singleShot(0, ui.exportButton.click)
    slicer_bench.wait_until(lambda: ui.exportButton.text != label, 60.0)
    slicer_bench.wait_until(lambda: ui.exportButton.text == label, 60.0)
    watch.state = ""
    if {path.suffix for path in folder.iterdir()} != {".dcm", ".csv", ".html", ".pdf"}:
        raise RuntimeError(ui.exchangeStatusLabel.text)


def until_measured(panel: Any, segmentation_node: Any) -> float:
    """Seconds until the table has the volume of every structure."""
    begun, count = time.perf_counter(), segmentation_node.GetSegmentation().GetNumberOfSegments()
    table = panel.ui.structuresTable
    volume = table.columnCount - 1
    slicer_bench.wait_until(lambda: table.rowCount == count and all(table.item(row, volume).text() != "…" for row in range(count)), 600.0)
    return time.perf_counter() - begun


def press(panel: Any) -> None:
    """Click Predict, or Cancel, from within the event loop, as a user does."""
    import qt

    qt.QTimer.singleShot(0, panel.ui.predictButton.click)
    slicer_bench.wait_until(lambda: not panel.run.machine.is_idle)


def cancelled_after(panel: Any, stage: str) -> float:
    """Seconds from a click on Cancel during `stage` to the panel being ready again."""
    press(panel)
    slicer_bench.wait_until(lambda: panel.ui.statusLabel.text.startswith(stage) or panel.run.machine.is_idle, 120.0)
    begun = time.perf_counter()
    if not panel.run.machine.is_idle:
        panel.ui.predictButton.click()
    slicer_bench.wait_until(lambda: panel.run.machine.is_idle, 10.0)
    return time.perf_counter() - begun


def as_contours(segmentation_node: Any, ct_node: Any) -> Any:
    """The segments as planar contours on the slices of the CT, in a node of their own."""
    from DosePredictionLib.SceneReader import grid_of_volume, segment_mask
    from DosePredictionLib.SegmentRoles import segment_rows
    from planar_contours import contour_segmentation, contours_of_mask
    from run_steps import result_of

    grid, contours = grid_of_volume(ct_node), {}
    for row in segment_rows(segmentation_node):
        contours[row.name] = contours_of_mask(result_of(segment_mask(segmentation_node, row, grid)), grid)
    return contour_segmentation(contours)


def resampled(ct_node: Any, columns: int) -> Any:
    """The CT on so many columns and rows, and slices 2 mm apart; 512 are as many as a diagnostic scanner's."""
    import numpy as np
    import slicer

    from dose_prediction.case import Grid
    from DosePredictionLib.SceneReader import grid_of_volume, ijk_to_ras

    grid = grid_of_volume(ct_node)
    spacing_mm = (FIELD_MM[0] / columns, FIELD_MM[1] / columns, SLICE_MM)
    ct_hu = slicer.util.arrayFromVolume(ct_node)
    shape = tuple(round(n * old / new) for n, old, new in zip(ct_hu.shape, grid.spacing_zyx_mm, reversed(spacing_mm), strict=True))
    index = np.ix_(*(np.minimum((np.arange(n) * ct_hu.shape[axis]) // n, ct_hu.shape[axis] - 1) for axis, n in enumerate(shape)))
    large = Grid(shape, grid.origin_mm, spacing_mm, grid.direction)
    return slicer.util.addVolumeFromArray(ct_hu[index], ijk_to_ras(large), "Large CT")


if __name__ == "__main__":
    sys.exit(main())
