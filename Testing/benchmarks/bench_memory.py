"""The memory that a prediction takes, measured on cases of several sizes, beside what the panel says before the run.

    python Testing/benchmarks/bench_memory.py [--columns 128 256 512] [--samples 0]

Each size is the phantom's CT on so many columns and rows, with slices 2 mm apart, predicted through the module's own panel in a process of its own.
Exits with 1 where the panel says too little or too much by more than 30 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import slicer_bench

FURTHEST_OFF = 0.3


def main() -> int:
    """Measure every size, print the table, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, nargs="+", default=[128, 256, 512], help="columns and rows of the CT (default 128 256 512)")
    parser.add_argument("--samples", type=int, default=0, help="sampled plans (default 0)")
    parser.add_argument("--one", action="store_true", help="measure the only size in this process and print it as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.columns[0], arguments.samples)))
        return 0
    rows, is_right = [], True
    for columns in arguments.columns:
        command = [sys.executable, __file__, "--one", "--columns", str(columns), "--samples", str(arguments.samples)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        taken = found["panel"] + found["worker"]
        is_right &= abs(found["said"] / taken - 1) <= FURTHEST_OFF
        rows.append([found["shape"], *(f"{count / 2**30:.2f}" for count in (found["panel"], found["worker"], taken, found["said"]))])
    from dose_prediction.report import text_table

    print(text_table(["CT", "Panel (GiB)", "Worker (GiB)", "Both", "Said before"], rows))
    return int(not is_right)


def measured(columns: int, samples: int) -> dict[str, object]:
    """Bytes that the panel and the worker came to take at most for one prediction, and what the panel said."""
    slicer_bench.load_module()
    from bench_panel import press, resampled

    from DosePredictionLib.MemoryNeed import bytes_needed
    from DosePredictionLib.PhantomNodes import load_phantom

    ct_node, segmentation_node = load_phantom()
    ct_node = resampled(ct_node, columns)
    panel = slicer_bench.show_module().panel
    panel.ui.samplesSpinBox.value = samples
    panel.ui.ctSelector.setCurrentNode(ct_node)
    panel.ui.segmentationSelector.setCurrentNode(segmentation_node)
    slicer_bench.wait_until(lambda: panel._measures._steps is None, 300.0)
    before = memory_bytes("self", "VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    press(panel)
    slicer_bench.wait_until(lambda: panel.run.machine.is_idle, 1200.0)
    if panel.parameters.dose is None:
        raise SystemExit(panel.ui.statusLabel.text)
    grown, worker = memory_bytes("self", "VmHWM") - before, memory_bytes(str(panel._worker._process.processId()), "VmHWM")
    said = bytes_needed(ct_node.GetImageData().GetNumberOfPoints(), segmentation_node.GetSegmentation().GetNumberOfSegments(), samples)
    panel.clean_up()
    shape = " x ".join(str(count) for count in ct_node.GetImageData().GetDimensions())
    return {"shape": shape, "panel": grown, "worker": worker, "said": said}


def memory_bytes(process: str, name: str) -> int:
    """What Linux tells of a process: VmRSS is the memory that it has, VmHWM the most that it has had."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


if __name__ == "__main__":
    sys.exit(main())
