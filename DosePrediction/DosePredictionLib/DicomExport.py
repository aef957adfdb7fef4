"""A predicted dose as RTDOSE: the case is read from the scene as for a prediction, and a process writes the files."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from dose_prediction.case import CaseError, PlanCase
from dose_prediction.case_files import write_case_in_steps

from .DoseNode import provenance_of
from .ExchangeProcess import ExchangeProcess
from .Parameters import Parameters
from .SceneReader import grid_of_volume, read_case
from .SegmentRoles import SegmentRow
from .Signal import Signal
from .Steps import Steps, sentence_of
from .StudyNodes import REFERENCES_ATTRIBUTE


class DicomExport:
    """One export at a time.

    `progressed(stage, fraction)`, then exactly one of `finished(names, remark)`, with the names of the files, and `stopped(sentence)`.
    """

    def __init__(self, process: ExchangeProcess | None = None) -> None:
        self.progressed = Signal()
        self.finished = Signal()
        self.stopped = Signal()
        self._process = process or ExchangeProcess()
        self._process.progressed.connect(self.progressed.emit)
        self._process.finished.connect(self._on_written)
        self._process.failed.connect(self._stop_with)
        self._job: Path | None = None
        self._target = ""
        self._remark = ""
        self._steps: Steps | None = None

    @property
    def is_running(self) -> bool:
        return self._job is not None

    def start(self, parameters: Parameters, rows: tuple[SegmentRow, ...], folder: str) -> None:
        """Begin to write the dose that is shown into `folder`."""
        self._job = Path(tempfile.mkdtemp(prefix="DosePrediction-", dir=slicer.app.temporaryPath))
        self._target = folder
        stage = _("Reading the scene")
        self._steps = Steps(
            self._prepare(parameters, rows, self._job),
            self._on_prepared,
            lambda error: self._stop_with(sentence_of(error)),
            lambda fraction: self.progressed.emit(stage, 0.9 * fraction),
        )

    def stop(self) -> None:
        if self.is_running:
            self._stop_with(_("Cancelled."))

    def _prepare(self, parameters: Parameters, rows: tuple[SegmentRow, ...], job: Path) -> Generator[float, None, None]:
        dose, ct = parameters.dose, parameters.ct
        case: PlanCase = yield from read_case(ct, parameters.segmentation, rows, parameters.beams, parameters.isocentre_mm)
        if not grid_of_volume(dose).matches(case.grid):
            raise CaseError(_("{dose} was not predicted on {ct}; select the CT that it belongs to.").format(dose=dose.GetName(), ct=ct.GetName()))
        for _fraction in write_case_in_steps(job / "case.npz", case):
            yield 0.95
        np.save(job / "dose.npy", slicer.util.arrayFromVolume(dose), allow_pickle=False)
        provenance = provenance_of(dose)
        is_current = provenance.get("case_sha256") == case.digest
        self._remark = "" if is_current else _("The inputs have changed since: the dose went out without DVHs and plan.")
        table = {
            "name": dose.GetName(),
            "model": provenance.get("model_version", "?"),
            "is_current": is_current,
            **json.loads(ct.GetAttribute(REFERENCES_ATTRIBUTE) or "{}"),
            "ct_file": _dicom_file_of(ct),
        }
        (job / "export.json").write_text(json.dumps(table), encoding="utf-8")

    def _on_prepared(self, _nothing: Any) -> None:
        self._process.start("export", str(self._job), self._target)

    def _on_written(self, event: dict[str, Any]) -> None:
        remark = self._remark
        self._end()
        self.finished.emit(list(event["files"]), remark)

    def _stop_with(self, sentence: str) -> None:
        self._end()
        self.stopped.emit(sentence)

    def _end(self) -> None:
        self._process.stop()
        if self._steps is not None:
            self._steps.stop()
        if self._job is not None:
            shutil.rmtree(self._job, ignore_errors=True)
        self._job = self._steps = None


def _dicom_file_of(ct: Any) -> str | None:
    """An image of a CT that came from Slicer's DICOM database, for its patient and study; None if it did not."""
    uids = (ct.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    path = database.fileForInstance(uids[0]) if uids and database is not None and database.isOpen else ""
    return path or None
