"""The Advanced section: which model predicts, what its card says, and another model in its place."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer

from dose_prediction.model_files import CARD_FILE, WEIGHTS_FILE
from dose_prediction.resources import resource_path
from DosePredictionLib.AdvancedSection import AdvancedSection, card_in_words
from DosePredictionLib.PythonPackages import wheels_folder
from DosePredictionLib.WorkerProcess import WorkerProcess
from slicer_bench import wait_until


@pytest.fixture
def section(user):
    slicer.app.processEvents()
    return next(section for section in user.panel.sections if isinstance(section, AdvancedSection))


@pytest.fixture
def other_model(tmp_path):
    """A copy of the released model that calls itself another version."""
    folder = Path(shutil.copytree(resource_path("Models"), tmp_path / "model"))
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "version": "9.9"}))
    return folder


def use(section, folder):
    section.ui.modelPathLineEdit.currentPath = str(folder)
    section.ui.useModelButton.click()
    slicer.app.processEvents()


def test_the_released_models_card_can_be_read(section):
    card = json.loads((resource_path("Models") / CARD_FILE).read_text())
    text = section.ui.cardLabel.text
    for told in (card["version"], card["intended_use"], card["technique"], card["sites"][0], "Limits"):
        assert told in text
    assert not section.ui.releasedModelButton.enabled
    for name in ("Slicer 5", "Python 3", "torch 2", "pydicom"):
        assert name in section.ui.versionsLabel.text


def test_another_model_is_shown_sent_to_the_worker_and_kept_in_the_scene(user, section, worker, other_model):
    use(section, other_model)
    assert "9.9" in section.ui.cardLabel.text
    assert worker.model_folder == str(other_model)
    assert user.panel.parameters.node.GetParameter("ModelFolder") == str(other_model)
    section.ui.releasedModelButton.click()
    slicer.app.processEvents()
    assert worker.model_folder == ""
    assert "9.9" not in section.ui.cardLabel.text


def test_a_result_of_another_model_is_out_of_date(user, section, patient, worker, masks, other_model):
    user.select(patient)
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    worker.answer(np.where(masks["BODY"], 60.0, 0.0).astype(np.float32))
    user.wait_until_idle()
    use(section, other_model)
    user.wait_for(lambda: user.panel.staleness.is_stale)
    assert user.ui.staleLabel.text == "⚠ Out of date. Changed since this result: the model."
    section.ui.releasedModelButton.click()
    user.wait_for(lambda: not user.panel.staleness.is_stale)


def test_a_model_that_is_not_what_its_card_says_is_not_taken(section, worker, other_model):
    with (other_model / WEIGHTS_FILE).open("ab") as file:
        file.write(b"more")
    use(section, other_model)
    assert "not the file that its card describes" in section.ui.modelProblemLabel.text
    assert worker.model_folder == ""


def test_a_scene_whose_model_is_not_on_this_computer_says_so(user, section):
    user.panel.parameters.model_folder = "/no/such/folder"
    slicer.app.processEvents()
    assert "/no/such/folder holds no" in section.ui.modelProblemLabel.text
    assert section.ui.releasedModelButton.enabled


def test_a_card_with_marks_in_it_is_shown_as_text():
    assert "&lt;b&gt;" in card_in_words({"version": "<b>", "sha256": "0"})


def test_the_folder_of_wheels_is_kept_with_the_users_settings(section, tmp_path):
    section.ui.wheelsPathLineEdit.currentPath = str(tmp_path)
    assert wheels_folder() == str(tmp_path)
    section.ui.wheelsPathLineEdit.currentPath = ""
    assert wheels_folder() == ""


def test_a_worker_with_another_model_is_started_anew_with_its_folder(tmp_path):
    heard = []
    process = WorkerProcess(
        (sys.executable, "-c", "import json, sys; print(json.dumps({'event': 'error', 'message': str(sys.argv[1:])}), flush=True); input()")
    )
    process.failed.connect(heard.append)
    try:
        for count, folder in enumerate(("", str(tmp_path)), start=1):
            process.use_model(folder)
            process.predict("case", "out", 0, 0, "cpu", ())
            wait_until(lambda: len(heard) == count, 60)  # noqa: B023 - it is waited for within the turn
        assert heard == ["[]", f"['{tmp_path}']"]
    finally:
        process.kill()
