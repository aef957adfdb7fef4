"""The bench, a small patient in its scene, and the panel with a worker that does as it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_bench

slicer_bench.load_module()

import slicer  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from vtk.util.numpy_support import numpy_to_vtk  # noqa: E402

from DosePredictionLib.Signal import Signal  # noqa: E402
from DosePredictionLib.Widget import Panel  # noqa: E402
from DosePredictionLib.WorkerProcess import WorkerProcess  # noqa: E402
from slicer_bench import pythonqt_signals, wait_until  # noqa: E402

SHAPE = (24, 40, 40)
SPACING_MM = 3.0
SCRIPT_WORKER = Path(__file__).parent / "script_worker.py"


@pytest.fixture(autouse=True)
def empty_scene() -> Iterator[None]:
    """Each test has a scene of its own, and none may raise in a slot."""
    slicer_bench.new_scene()
    yield
    errors = list(pythonqt_signals.slot_errors)
    slicer_bench.new_scene()
    assert not errors, errors


def ball(centre_zyx: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    """Voxels within `radius` voxels of a point of the small patient."""
    distance = np.linalg.norm(np.moveaxis(np.indices(SHAPE), 0, -1) - np.array(centre_zyx), axis=-1)
    return distance <= radius


MASKS = {
    "PTV_6000": ball((12, 18, 22), 5),
    "SpinalCord": ball((12, 28, 20), 2),
    "LT PAROTID": ball((14, 18, 30), 3),
    "BODY": ball((12, 20, 20), 16),
    "couch marker": ball((4, 30, 20), 2),
}


@dataclass
class Patient:
    """The nodes of the small patient."""

    ct: Any
    segmentation: Any

    def segment_id(self, name: str) -> str:
        return str(self.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name))


@pytest.fixture
def patient() -> Patient:
    """A water ball in air with a target, two organs, the body contour and a structure of no role, on an upright grid in RAS."""
    ct_hu = np.where(MASKS["BODY"], 0, -1000).astype(np.int16)
    ijk_to_ras = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    ijk_to_ras[:3, 3] = (60.0, 55.0, -40.0)
    ct = slicer.util.addVolumeFromArray(ct_hu, ijk_to_ras, "Planning CT")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Contours")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    for number, (name, mask) in enumerate(MASKS.items()):
        labelmap = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(ct)
        labelmap.UnRegister(None)
        voxels = numpy_to_vtk(mask.astype(np.uint8).ravel(), deep=True)
        labelmap.GetPointData().SetScalars(voxels)
        segmentation.AddSegmentFromBinaryLabelmapRepresentation(labelmap, name, [0.1 * number, 1 - 0.1 * number, 0.5])
    return Patient(ct, segmentation)


@dataclass
class FakeWorker:
    """Does nothing by itself; a test lets it speak."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    progressed: Signal = field(default_factory=Signal)
    finished: Signal = field(default_factory=Signal)
    fitted: Signal = field(default_factory=Signal)
    cancelled: Signal = field(default_factory=Signal)
    failed: Signal = field(default_factory=Signal)
    died: Signal = field(default_factory=Signal)
    ended: Signal = field(default_factory=Signal)

    def predict(self, *arguments: Any) -> None:
        self.calls.append(("predict", *arguments))

    def cancel(self) -> None:
        self.calls.append(("cancel",))

    def kill(self) -> None:
        self.calls.append(("kill",))

    def shut_down(self) -> None:
        self.calls.append(("shut down",))

    def use_model(self, folder: str) -> None:
        self.model_folder = folder

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def answer(self, dose_gy: NDArray[np.float32], samples: Sequence[NDArray[np.float32]] = (), **provenance: Any) -> None:
        """Finish the prediction that was asked for with this dose and these sampled plans."""
        folder = Path(self.calls[-1][2])
        folder.mkdir(parents=True)
        np.save(folder / "dose.npy", dose_gy)
        event = {"event": "result", "dose": str(folder / "dose.npy"), "prior": None, "spread": None, "samples": [], "provenance": provenance}
        if "deliverability" in provenance:
            event["deliverability"] = provenance["deliverability"]
        for number, sample in enumerate(samples):
            np.save(folder / f"sample_{number}.npy", sample)
            event["samples"].append(str(folder / f"sample_{number}.npy"))
        if samples:
            np.save(folder / "spread.npy", np.std(samples, axis=0, dtype=np.float32))
            event["spread"] = str(folder / "spread.npy")
        self.finished.emit(event)

    def tell_figure(self, mean_gy: float = 0.6, p99_gy: float = 4.7, **provenance: Any) -> None:
        """Say what the beams cannot do of the latest dose."""
        found = {"mean_gy": mean_gy, "p99_gy": p99_gy}
        self.fitted.emit({"event": "deliverability", "deliverability": found, "provenance": {**provenance, "deliverability": found}})


@dataclass
class FakePackages:
    """Says what is missing; a test says whether the user agrees and how the installation goes."""

    absent: tuple[str, ...] = ()
    agrees: bool = True
    problem: str = ""
    installed: list[tuple[str, ...]] = field(default_factory=list)

    def missing(self) -> tuple[str, ...]:
        return self.absent

    def ask(self, names: tuple[str, ...]) -> bool:
        return self.agrees

    def install(self, names: tuple[str, ...]) -> str:
        self.installed.append(names)
        return self.problem


class User:
    """The panel as a user has it before them: what can be read, clicked and typed."""

    def __init__(self, widget: Any, panel: Panel) -> None:
        self._widget = widget
        self.panel = panel

    @property
    def ui(self) -> Any:
        """The widgets, once the panel has heard of what happened."""
        slicer.app.processEvents()
        return self.panel.ui

    def find(self, name: str) -> Any:
        """A widget of any section, by its name, once the panel has heard of what happened."""
        slicer.app.processEvents()
        return slicer.util.findChild(self._widget, name)

    def leave(self) -> None:
        """What Slicer does to a panel when it closes."""
        self.panel.clean_up()
        self._widget.setMRMLScene(None)
        self._widget.deleteLater()

    @property
    def button(self) -> Any:
        return self.ui.predictButton

    @property
    def status(self) -> str:
        return str(self.ui.statusLabel.text)

    @property
    def reasons(self) -> str:
        return str(self.button.toolTip)

    def section(self, kind: type) -> Any:
        """The widgets of a section, once the panel has heard of what happened."""
        slicer.app.processEvents()
        return next(section for section in self.panel.sections if isinstance(section, kind)).ui

    def select(self, patient: Patient) -> None:
        self.ui.ctSelector.setCurrentNode(patient.ct)
        self.ui.segmentationSelector.setCurrentNode(patient.segmentation)

    def table(self) -> list[tuple[str, str, str]]:
        """Name, role and prescription of every row of the structures table."""
        table = self.ui.structuresTable
        return [(table.item(row, 1).text(), table.cellWidget(row, 2).currentText, table.item(row, 3).text()) for row in range(table.rowCount)]

    def row_of(self, name: str) -> int:
        return [row[0] for row in self.table()].index(name)

    def choose_role(self, name: str, role: str) -> None:
        self.ui.structuresTable.cellWidget(self.row_of(name), 2).setCurrentText(role)

    def type_prescription(self, name: str, text: str) -> None:
        self.ui.structuresTable.item(self.row_of(name), 3).setText(text)

    def press(self) -> None:
        if self.panel.run.machine.is_idle:
            slicer.app.processEvents()
        self.panel.ui.predictButton.click()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 90.0) -> None:
        wait_until(condition, seconds)

    def wait_until_idle(self) -> None:
        self.wait_for(lambda: self.panel.run.machine.is_idle)


def make_panel(worker: Any, packages: FakePackages | None = None) -> User:
    """The panel on its own, entered, with the given worker."""
    module_file = sys.modules["DosePrediction"]
    widget = slicer.util.loadUI(str(slicer_bench.MODULE_FOLDER / "Resources" / "UI" / "DosePrediction.ui"))
    widget.setMRMLScene(slicer.mrmlScene)
    panel = Panel(slicer.util.childWidgetVariables(widget), module_file.DosePredictionLogic(), worker, packages)
    panel.enter()
    return User(widget, panel)


@pytest.fixture
def make_user() -> Iterator[Callable[..., User]]:
    """Puts a user before a panel with the given worker and packages, or with those that the module has."""
    users: list[User] = []

    def make(worker: Any = None, packages: FakePackages | None = None) -> User:
        users.append(make_panel(worker, packages))
        return users[-1]

    yield make
    for user in users:
        user.leave()


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def packages() -> FakePackages:
    return FakePackages()


@pytest.fixture
def user(make_user: Callable[..., User], worker: FakeWorker, packages: FakePackages) -> User:
    """A user before the panel, with a worker that a test speaks for."""
    return make_user(worker, packages)


@pytest.fixture
def script_worker() -> Iterator[WorkerProcess]:
    """A real process that speaks the worker's protocol."""
    process = WorkerProcess((sys.executable, str(SCRIPT_WORKER)))
    yield process
    process.shut_down()


@pytest.fixture
def user_of_process(make_user: Callable[..., User], script_worker: WorkerProcess) -> User:
    """A user before the panel, with a worker that is a real process."""
    return make_user(script_worker)


@pytest.fixture
def masks() -> dict[str, NDArray[np.bool_]]:
    """The small patient's voxels by the names of its segments."""
    return MASKS
