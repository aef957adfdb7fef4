"""The real worker, killed from outside in every stage of a prediction and in the fit after it: a sentence, a whole scene, a next run that works."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from DosePredictionLib.Results import results
from DosePredictionLib.WorkerProcess import WorkerProcess
from scene_contents import contents

HELD_WORKER = Path(__file__).parent / "held_worker.py"
FIT = "Fitting the beams"
STAGES = ("Preparing the case", "Physics prior", "Encoding the case", "Predicting the dose", "Steering to the goals", "Sampling plans", "Finishing")


@pytest.fixture
def process():
    worker = WorkerProcess()
    yield worker
    worker.shut_down()


@pytest.fixture
def user_of_worker(make_user, patient, process):
    """A user who has selected the small patient and few beams, before a panel with the real worker."""
    user = make_user(process)
    user.select(patient)
    user.find("beamCountSpinBox").value = 2
    user.find("equispacedButton").click()
    return user


def said_of_the_beams(user):
    return user.ui.deliverabilityLabel.text


def predict_well(user, process, stage):
    """A first prediction by a worker that will stand still in `stage` of its second one."""
    process.command = (sys.executable, str(HELD_WORKER), stage)
    user.press()
    user.wait_until_idle()
    assert user.status.startswith("Done: "), user.status
    user.wait_for(lambda: not said_of_the_beams(user).endswith("still being computed…"))  # the late figure, too, is part of the scene


def ask_again(user, stage):
    """Ask for something that has this stage in it."""
    user.ui.samplesSpinBox.value = int(stage == "Sampling plans")
    if stage == "Steering to the goals":
        table = user.find("whatIfTable")
        table.cellWidget(0, 2).value = 1
        user.find("whatIfButton").click()
    else:
        user.press()


def test_no_stage_of_a_prediction_is_forgotten_here():
    source = Path(sys.modules["dose_prediction"].__file__).with_name("prediction.py").read_text(encoding="utf-8")
    assert set(re.findall(r'run\.stage\("([^"]+)"', source)) == {*STAGES, FIT}


def test_wherever_the_worker_is_killed_the_panel_says_so_the_scene_is_whole_and_the_next_run_works(user_of_worker, process):
    user = user_of_worker
    for stage in STAGES:
        predict_well(user, process, stage)
        user.ui.samplesSpinBox.value = int(stage == "Sampling plans")
        before = contents()
        ask_again(user, stage)
        user.wait_for(lambda stage=stage: user.status == f"{stage}…")
        os.kill(process.process_id, signal.SIGKILL)
        user.wait_until_idle()
        assert "stopped: it was ended from outside" in user.status
        assert contents() == before, stage
        assert process.process_id == 0
    predict_well(user, process, FIT)
    ask_again(user, FIT)
    user.wait_until_idle()
    assert said_of_the_beams(user).endswith("still being computed…")
    before = contents()
    os.kill(process.process_id, signal.SIGKILL)
    user.wait_for(lambda: process.process_id == 0)
    assert "not known: the prediction process ended" in said_of_the_beams(user)
    assert contents() == before
    predict_well(user, process, "")
    user.wait_for(lambda: said_of_the_beams(user).endswith("99th percentile."))
    assert len(results()) == len(STAGES) + 3
