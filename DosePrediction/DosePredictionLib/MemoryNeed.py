"""How much memory a prediction takes, and how much there is: said before the run, which is not begun where it cannot end."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .Parameters import Parameters
from .SegmentRoles import SegmentRow

GIB = 2**30
# Fitted to what Testing/benchmarks/bench_memory.py measures: the process that predicts, its libraries and model, and its work near the targets.
WORKER_BYTES = round(1.1 * GIB)
CT_BYTES, MASK_BYTES, DOSE_BYTES = 4, 1, 4  # a voxel
WORKING_DOSES = 3  # that the worker has besides while it brings a dose onto the CT's voxels
# The case is held by the panel and by the worker, and so is each dose: the dose, the prior, the spread, and each sampled plan.
HOLDERS = 2


def bytes_needed(voxels: int, structures: int, samples: int) -> int:
    """Memory of one prediction, in the panel and in the process that predicts together."""
    doses = 2 + (1 + samples if samples else 0)
    return WORKER_BYTES + voxels * (HOLDERS * (CT_BYTES + structures * MASK_BYTES + doses * DOSE_BYTES) + WORKING_DOSES * DOSE_BYTES)


def bytes_free() -> int | None:
    """Memory that programs can still have; None where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    if os.name == "nt":
        return _free_on_windows()
    if "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def memory_needed(parameters: Parameters, rows: tuple[SegmentRow, ...]) -> int:
    """Bytes of a prediction with what is set."""
    return bytes_needed(parameters.ct.GetImageData().GetNumberOfPoints(), len(rows), parameters.samples)


def memory_in_words(parameters: Parameters, rows: tuple[SegmentRow, ...]) -> tuple[str, bool]:
    """What a prediction needs and what there is, as a sentence, and whether it is enough."""
    needed, free = memory_needed(parameters, rows), bytes_free()
    if free is None:
        return _("Needs about {needed} GB of memory.").format(needed=in_gb(needed)), True
    if needed > free:
        sentence = _(
            "This case needs about {needed} GB of memory and {free} GB are free; crop the CT to the part that is planned, ask for fewer samples, "
            "or close other programs."
        )
        return sentence.format(needed=in_gb(needed), free=in_gb(free)), False
    return _("Needs about {needed} GB of memory; {free} GB are free.").format(needed=in_gb(needed), free=in_gb(free)), True


def in_gb(count: int) -> str:
    """Bytes as users read them, in binary gigabytes."""
    return f"{count / GIB:.1f}"


def _free_on_windows() -> int:
    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("dwLength", ctypes.c_ulong),
            ("dwMemoryLoad", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("ullTotalPhys", "ullAvailPhys", "ullTotalPageFile", "ullAvailPageFile")),
            *((name, ctypes.c_ulonglong) for name in ("ullTotalVirtual", "ullAvailVirtual", "ullAvailExtendedVirtual")),
        )

    status: Any = Status()
    status.dwLength = ctypes.sizeof(Status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.ullAvailPhys)
