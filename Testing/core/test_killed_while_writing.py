"""A process that is killed while it writes leaves the old files or complete new ones, never some of each."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from dicom_files import water_folder
from dose_prediction.case_files import read_case
from dose_prediction.dicom import read_dose
from dose_prediction.dose_files import read_dose_file
from dose_prediction.dosimetry import load_goal_set
from dose_prediction.model.bundle import load_bundle
from dose_prediction.training.checkpoint import load_checkpoint
from fuzzing.formats import small_case
from tiny_model import tiny_bundle

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")

SHAPE = (30, 48, 48)
KILLS = 20

# A process that loads everything once.  For each line on its input it makes a child that writes the same output over and over, with a number in it
# that rises from the one in the line; at the renaming that the line tells, the child kills itself.
WRITER = """
import itertools, json, os, signal, sys
from dataclasses import replace
from pathlib import Path
import contourpy
import matplotlib.pyplot
import numpy as np
import torch
from dose_prediction.case import Grid
from dose_prediction.case_files import write_case, write_case_folder
from dose_prediction.command_line import main
from dose_prediction.dicom import DicomReferences, write_case_as_dicom, write_dose
from dose_prediction.dicom.instances import item
from dose_prediction.dosimetry import ClinicalGoal, GoalSet, write_goal_set
from dose_prediction.model.bundle import save_bundle
from dose_prediction.training.checkpoint import TrainingState, save_checkpoint
from dose_prediction.volumes import write_volume
from fuzzing.formats import small_case
from instant_model import InstantModel
from tiny_model import tiny_bundle

grid = Grid((30, 48, 48), spacing_mm=(2.0, 2.0, 2.0))
noise = np.random.default_rng(0).random(grid.shape, np.float32)
references = DicomReferences(item(PatientID="A", StudyInstanceUID="1.2.3"), "1.2.4", "1.2.5", "1.2.6", "HFS", {})
network, average = tiny_bundle().network, tiny_bundle().network
optimiser = torch.optim.AdamW(network.parameters())

class Numbered(InstantModel):
    def __init__(self, number):
        super().__init__()
        self.number = number
    def predict(self, case, **options):
        found = super().predict(case, samples=0, seed=self.number, device="cpu", on_progress=None, is_cancelled=None)
        return replace(found, dose_gy=np.where(case.body, np.float32(self.number), 0).astype(np.float32))

def volume(number, output):
    write_volume(output, noise + np.float32(number), grid)

def rtdose(number, output):
    write_dose(output, noise + np.float32(number), grid, references, "1.2.6", str(number))

def numbered_case(number):
    return replace(small_case(), name=str(number % 500), ct_hu=small_case().ct_hu + np.float32(number % 500))

def phantom(number, output):
    write_case_as_dicom(output, numbered_case(number))

def case(number, output):
    write_case(output, numbered_case(number))

def case_folder(number, output):
    write_case_folder(output, numbered_case(number))

def goals(number, output):
    write_goal_set(output, GoalSet(str(number), "", (ClinicalGoal("PTV", "Dmean", "<=", float(number), "Gy", ""),) * 3000))

def predict(number, output, case):
    assert main(["predict", case, "--output", output], Numbered(number)) == 0

def fill(network, number):
    for parameter in network.parameters():
        parameter.fill_(number)

def checkpoint(number, output):
    fill(network, number)
    fill(average, number)
    save_checkpoint(Path(output), network, average, optimiser, TrainingState(step=number))

def model(number, output):
    fill(network, number % 2000)
    save_bundle(Path(output), network, {"version": str(number % 2000)})

rename = os.replace

def write_until_killed(what, number, step, *arguments):
    renamings = itertools.count(1)
    def counted(*names):
        if next(renamings) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*names)
    os.replace = counted
    sys.stdout = open(os.devnull, "w")
    for now in itertools.count(number):
        globals()[what](now, *arguments)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write_until_killed(*json.loads(line))
    print(child, flush=True)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
"""


class Writer:
    """Children of a process that write one kind of output, and that are killed in the midst of it."""

    def __init__(self, process: subprocess.Popen[str], what: str, *arguments: object) -> None:
        self.process = process
        self.what = what
        self.arguments = [str(argument) for argument in arguments]
        self.rng = random.Random(3)
        self.number = 1

    def write_once(self, renamings: int) -> None:
        """Write the output, which takes that many renamings, and a part of the next; how long that takes is how late a kill can come."""
        started = time.perf_counter()
        self.killed_at_renaming(renamings + 1)
        self.latest_s = min(1.5 * (time.perf_counter() - started), 1.5)

    def killed_at_a_random_time(self) -> None:
        child = self._begin(step=0)
        time.sleep(self.rng.uniform(0, self.latest_s))
        os.kill(child, signal.SIGKILL)
        self._end()

    def killed_at_renaming(self, step: int) -> None:
        self._begin(step)
        self._end()

    def _begin(self, step: int) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([self.what, self.number, step, *self.arguments]) + "\n")
        self.process.stdin.flush()
        self.number += 10
        return int(self.process.stdout.readline())

    def _end(self) -> None:
        assert self.process.stdout is not None and int(self.process.stdout.readline()) == signal.SIGKILL


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    testing = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(testing), str(testing.parent / "DosePrediction")]), "OMP_NUM_THREADS": "1"}
    given = [sys.executable, "-c", WRITER]
    with subprocess.Popen(given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()


@pytest.mark.parametrize(("what", "name"), [("volume", "dose.nrrd"), ("rtdose", "dose.dcm")])
def test_a_dose_is_whole_after_any_of_twenty_kills(process: subprocess.Popen[str], tmp_path: Path, what: str, name: str) -> None:
    path, seen = tmp_path / name, set()
    noise = np.random.default_rng(0).random(SHAPE, np.float32)
    writer = Writer(process, what, path)
    writer.write_once(renamings=1)
    for _ in range(KILLS):
        writer.killed_at_a_random_time()
        dose, _ = read_dose_file(path)
        number = float(np.rint((dose - noise).mean()))
        assert np.allclose(dose, noise + np.float32(number), atol=1e-2)  # all of it from one writing
        seen.add(number)
    assert len(seen) > 1  # some writings came to their end, so that the kills fell in the midst of others


def case_number(path: Path) -> float:
    """Which writing a case comes from; its name and its CT come from the same one."""
    case = read_case(path)
    number = float(case.ct_hu.min()) + 1000
    assert case.name == str(int(number)) and len(np.unique(case.ct_hu)) == 2 and len(case.structures) == 3
    return number


def goals_number(path: Path) -> float:
    goals = load_goal_set(path)
    assert {goal.limit for goal in goals.goals} == {float(goals.name)} and len(goals.goals) == 3000
    return float(goals.name)


@pytest.mark.parametrize(
    ("what", "name", "renamings", "number_of"),
    [("case", "case.npz", 1, case_number), ("case_folder", "", 6, case_number), ("goals", "goals.json", 1, goals_number)],
)
def test_cases_and_goals_are_whole_after_any_of_twenty_kills(
    process: subprocess.Popen[str], tmp_path: Path, what: str, name: str, renamings: int, number_of: Callable[[Path], float]
) -> None:
    writer, seen = Writer(process, what, tmp_path / name), set()
    writer.write_once(renamings)
    for _ in range(KILLS):
        writer.killed_at_a_random_time()
        seen.add(number_of(tmp_path / name))
    assert len(seen) > 1


def phantom_number(folder: Path) -> float:
    """Which writing a phantom's folder comes from, read as any command reads it; all of it comes from one."""
    ct = read_case(folder).ct_hu
    assert len(np.unique(ct)) == 2
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.glob("ct_*.dcm")]
    assert len({image.SeriesInstanceUID for image in images}) == 1 and len(images) == 5
    return float(ct.min()) + 1000


def test_a_phantom_is_whole_after_any_of_twenty_kills(process: subprocess.Popen[str], tmp_path: Path) -> None:
    seen = set()
    writer = Writer(process, "phantom", tmp_path / "phantom")
    writer.write_once(renamings=9)
    for _ in range(KILLS):
        writer.killed_at_a_random_time()
        seen.add(phantom_number(tmp_path / "phantom"))
    assert len(seen) > 1


def test_a_new_folder_is_there_with_all_its_files_or_not_at_all(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """A phantom in a new folder takes 2 renamings: of its plan while it is written, and of the folder."""
    writer = Writer(process, "phantom", tmp_path / "new")
    for step in (1, 2):
        writer.killed_at_renaming(step)
        assert not (tmp_path / "new").exists()
    writer.killed_at_renaming(3)
    assert phantom_number(tmp_path / "new") == 21


def test_a_phantom_is_whole_when_the_kill_falls_between_two_of_its_files(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """A phantom takes 9 renamings: of its plan while it is written, of the set, and of its 7 files."""
    writer = Writer(process, "phantom", tmp_path)
    writer.write_once(renamings=9)
    assert phantom_number(tmp_path) == 1
    for step, last in ((1, 1), (2, 1), (3, 31), (4, 41), (7, 51), (9, 61), (10, 71)):
        writer.killed_at_renaming(step)
        assert phantom_number(tmp_path) == last
    assert not list(tmp_path.glob(".complete*"))


def prediction_number(folder: Path) -> float:
    """Which writing the files of a prediction come from; all of them come from one."""
    nrrd, _ = read_dose_file(folder / "water_dose.nrrd")
    with (folder / "water_dvh.csv").open(newline="") as file:
        doses = [float(row["Dose (Gy)"]) for row in csv.DictReader(file) if float(row["PTV_7000 (%)"]) == 100]
    numbers = {
        float(nrrd.max()),
        round(float(read_dose(folder / "water_dose.dcm").dose_gy.max()), 2),
        round(max(doses)),  # the dose at the border is interpolated, so that it may be a step lower
        float(json.loads((folder / "water_provenance.json").read_text())["seed"]),
    }
    assert len(numbers) == 1, numbers
    return numbers.pop()


def test_a_prediction_is_whole_after_any_of_twenty_kills(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """A prediction takes 8 renamings: of two doses while they are written, of the set, and of its 5 files."""
    writer = Writer(process, "predict", tmp_path / "output", water_folder(tmp_path / "water", small_case()))
    writer.write_once(renamings=8)
    seen = set()
    for kill in range(KILLS):
        if kill % 2:
            writer.killed_at_a_random_time()
        else:
            writer.killed_at_renaming(writer.rng.randrange(1, 9))
        seen.add(prediction_number(tmp_path / "output"))
    assert len(seen) > 1


def numbers_of(network: torch.nn.Module) -> set[float]:
    """The values of all weights; one, as the writer fills them with the number of the writing."""
    return {float(value) for parameter in network.parameters() for value in parameter.unique()}


def test_a_checkpoint_is_whole_after_any_of_twenty_kills(process: subprocess.Popen[str], tmp_path: Path) -> None:
    writer = Writer(process, "checkpoint", tmp_path)
    writer.write_once(renamings=1)
    network, average = tiny_bundle().network, tiny_bundle().network
    seen = set()
    for _ in range(KILLS):
        writer.killed_at_a_random_time()
        state = load_checkpoint(tmp_path, network, average, torch.optim.AdamW(network.parameters()))
        assert numbers_of(network) == numbers_of(average) == {state.step}
        seen.add(state.step)
    assert len(seen) > 1


def test_a_model_has_the_card_of_its_weights_after_any_of_twenty_kills(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """A model takes 3 renamings: of the set and of its 2 files."""
    writer = Writer(process, "model", tmp_path)
    writer.write_once(renamings=3)
    seen = set()
    for kill in range(KILLS):
        if kill % 2:
            writer.killed_at_a_random_time()
        else:
            writer.killed_at_renaming(writer.rng.randrange(1, 4))
        model = load_bundle(tmp_path)
        assert numbers_of(model.network) == {float(model.version)}
        seen.add(model.version)
    assert len(seen) > 1
