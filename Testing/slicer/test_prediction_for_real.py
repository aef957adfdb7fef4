"""The panel, the real worker and the released model together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer

from dose_prediction.openkbp import read_case
from DosePredictionLib import PhantomNodes
from DosePredictionLib.DoseNode import provenance_of
from DosePredictionLib.PhantomNodes import load_phantom

LONGEST_S = 240.0
OPENKBP_CASE = Path(__file__).resolve().parents[3] / "shared" / "openkbp" / "validation" / "pt_201.npz"


@pytest.fixture
def user_of_worker(make_user):
    """A user before the panel as it is shipped."""
    return make_user()


def test_the_phantom_gets_its_dose_and_a_cancel_is_heard(user_of_worker):
    user = user_of_worker
    ct, segmentation = load_phantom()
    user.ui.ctSelector.setCurrentNode(ct)
    user.ui.segmentationSelector.setCurrentNode(segmentation)
    user.ui.deviceComboBox.currentIndex = 1
    user.press()
    user.wait_for(lambda: user.panel.run.machine.is_idle, LONGEST_S)
    node = user.panel.parameters.dose
    assert node is not None, user.status
    dose = slicer.util.arrayFromVolume(node)
    assert np.isfinite(dose).all()
    assert dose.min() >= 0
    target_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName("PTV70")
    inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, target_id, ct) > 0
    assert np.median(dose[inside]) == pytest.approx(70, rel=0.06)
    assert provenance_of(node)["device"] == "cpu"

    user.press()
    user.wait_for(lambda: user.status.startswith("Physics prior"), LONGEST_S)
    user.press()
    user.wait_for(lambda: user.panel.run.machine.is_idle, 5.0)
    assert user.status == "Cancelled."


@pytest.mark.skipif(not OPENKBP_CASE.exists(), reason=f"{OPENKBP_CASE} is not there")
def test_a_wish_for_a_parotid_of_a_real_case_lowers_its_dose_and_its_cost_is_told(user_of_worker, monkeypatch):
    case, user = read_case(OPENKBP_CASE), user_of_worker
    monkeypatch.setattr(PhantomNodes, "head_and_neck_phantom", lambda _seed: case)
    ct, segmentation = load_phantom()
    user.ui.ctSelector.setCurrentNode(ct)
    user.ui.segmentationSelector.setCurrentNode(segmentation)
    user.press()
    user.wait_for(lambda: user.panel.run.machine.is_idle, LONGEST_S)
    first = user.panel.parameters.dose
    assert first is not None, user.status
    table = user.find("whatIfTable")
    (row,) = [row for row in range(table.rowCount) if table.item(row, 0).text() == "RightParotid mean"]
    before_gy = float(table.item(row, 1).text())
    table.cellWidget(row, 2).value = round(0.7 * before_gy)
    user.find("whatIfButton").click()
    user.wait_for(lambda: user.panel.run.machine.is_idle, LONGEST_S)
    user.wait_for(lambda: user.panel.comparison._steps is None, LONGEST_S)
    assert user.panel.parameters.dose is not first, user.status
    assert user.panel.parameters.dose.GetName().startswith("What if Parotid_R mean")
    after_gy = float(user.find("whatIfTable").item(row, 1).text())
    assert after_gy < before_gy - 0.1 * before_gy  # of the 30 % that were asked for, a third at least
    assert user.find("costLabel").text.startswith("What if Parotid_R mean")


def test_a_device_that_is_not_there_is_told_and_not_replaced(user_of_worker, patient):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    user = user_of_worker
    user.select(patient)
    user.ui.deviceComboBox.currentIndex = 2
    user.press()
    user.wait_for(lambda: user.panel.run.machine.is_idle, LONGEST_S)
    assert "CUDA" in user.status.upper()
    assert user.panel.parameters.dose is None
