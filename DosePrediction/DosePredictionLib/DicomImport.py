"""Loading a DICOM RT study: through SlicerRT where it is installed, through our own reader where it is not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from dose_prediction.case import CaseError
from dose_prediction.case.beam_json import beams_from_json

from . import SlicerRtReader
from .ExchangeProcess import ExchangeProcess
from .IsocentrePoint import add_isocentre_point
from .NodeRemoval import remove_nodes
from .Parameters import Parameters
from .PlanBeams import all_on
from .Signal import Signal
from .Steps import StepGenerator, Steps, sentence_of
from .StudyNodes import StudyNodes, describe, load_study, read_table

READ_PART = 0.7  # of the progress bar: what the process takes, before nodes are made


class DicomImport:
    """One import at a time: a process reads the files, then the nodes are made in steps and selected in the parameter node.

    `progressed(stage, fraction)`, then exactly one of `finished(sentence)` and `stopped(sentence)`.
    """

    def __init__(self, process: ExchangeProcess | None = None) -> None:
        self.progressed = Signal()
        self.finished = Signal()
        self.stopped = Signal()
        self._process = process or ExchangeProcess()
        self._process.progressed.connect(lambda stage, fraction: self.progressed.emit(stage, READ_PART * fraction))
        self._process.finished.connect(self._on_read)
        self._process.failed.connect(self._on_not_read)
        self._parameters: Parameters | None = None
        self._source: Path | None = None
        self._scratch: Path | None = None
        self._steps: Steps | None = None

    @property
    def is_running(self) -> bool:
        return self._scratch is not None

    def start(self, folder: str, parameters: Parameters) -> None:
        """Begin to load the study in `folder`; what it is made of is selected in `parameters` at the end."""
        self._source, self._parameters = Path(folder), parameters
        self._scratch = Path(tempfile.mkdtemp(prefix="DosePrediction-", dir=slicer.app.temporaryPath))
        command = "describe" if SlicerRtReader.is_installed() else "import"
        self._process.start(command, folder, str(self._scratch / "study"))

    def stop(self) -> None:
        """Drop the import; nodes that were made stay."""
        if self.is_running:
            self._end()
            self.stopped.emit(_("Cancelled."))

    def _on_read(self, _event: dict[str, Any]) -> None:
        self._take_steps(self._make_nodes())

    def _on_not_read(self, sentence: str) -> None:
        if SlicerRtReader.is_installed():
            self._take_steps(self._load_through_slicerrt(None, sentence))
        else:
            self._on_error(CaseError(sentence))

    def _make_nodes(self) -> Generator[float, None, str]:
        assert self._scratch is not None and self._parameters is not None
        table = read_table(self._scratch / "study")
        if SlicerRtReader.is_installed():
            return (yield from self._load_through_slicerrt(table, ""))
        nodes = yield from load_study(self._scratch / "study", table)
        _select(self._parameters, nodes, table)
        return _in_words(nodes, table)

    def _load_through_slicerrt(self, table: dict[str, Any] | None, problem: str) -> Generator[float, None, str]:
        """Load the folder, then add what our own reader has read of it; `problem` is why it could read nothing."""
        assert self._source is not None and self._parameters is not None
        yield 0.1  # lets the window show what it is about to wait for
        nodes = SlicerRtReader.load_folder(self._source)
        if nodes is None:
            raise CaseError(problem or _("SlicerRT found no CT with contours in {folder}; export both together.").format(folder=self._source))
        if table is not None:
            describe(table, nodes.ct, nodes.segmentation)
        _select(self._parameters, nodes, table)
        told = _in_words(nodes, table)
        return told if not problem else _("{told} Roles and beams could not be read: {problem}").format(told=told, problem=problem)

    def _take_steps(self, work: StepGenerator) -> None:
        stage = _("Loading through SlicerRT; the window waits") if SlicerRtReader.is_installed() else _("Loading into the scene")
        self._steps = Steps(work, self._on_done, self._on_error, lambda fraction: self.progressed.emit(stage, READ_PART + (1 - READ_PART) * fraction))

    def _on_done(self, sentence: str) -> None:
        self._end()
        self.finished.emit(sentence)

    def _on_error(self, error: Exception) -> None:
        self._end()
        self.stopped.emit(sentence_of(error, _("The study could not be loaded: {error}. See the error log.")))

    def _end(self) -> None:
        self._process.stop()
        if self._steps is not None:
            self._steps.stop()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._parameters = self._source = self._scratch = self._steps = None


def _select(parameters: Parameters, nodes: StudyNodes, table: dict[str, Any] | None) -> None:
    with slicer.util.NodeModify(parameters.node):
        parameters.ct, parameters.segmentation = nodes.ct, nodes.segmentation
        if table is not None and table["beams"]:
            parameters.plan_beams = all_on(beams_from_json(table["beams"]))
        if table is not None and table["isocentre_mm"] is not None:
            point = parameters.isocentre_point
            remove_nodes((point.GetDisplayNode(), point) if point is not None else ())
            parameters.isocentre_point = add_isocentre_point(tuple(table["isocentre_mm"]))


def _in_words(nodes: StudyNodes, table: dict[str, Any] | None) -> str:
    counts = [_("structures: {count}").format(count=nodes.segmentation.GetSegmentation().GetNumberOfSegments())]
    counts.append(_("doses: {count}").format(count=len(nodes.doses)))
    if table is not None:
        counts.append(_("beams: {count}").format(count=len(table["beams"])))
    told = _("Loaded {name}; {counts}.").format(name=nodes.ct.GetName(), counts=", ".join(counts))
    return " ".join([told, *(table["remarks"] if table is not None else [])])
