"""The panel, the real worker and the released model together."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from DosePredictionLib.DoseNode import provenance_of
from DosePredictionLib.PhantomNodes import load_phantom

LONGEST_S = 240.0


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
