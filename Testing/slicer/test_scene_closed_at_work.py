"""The scene is closed, or the module left, while the panel is in the midst of some work in steps: nothing of it comes into the next scene."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from DosePredictionLib.Results import results
from scene_contents import nodes


@pytest.fixture
def two(user, patient, worker, masks):
    """A user with two results, and a contour that was edited between them."""
    user.select(patient)
    for target_gy in (60.0, 66.0):
        worker.calls.clear()
        user.press()
        user.wait_for(lambda: "predict" in worker.names)
        worker.answer(np.where(masks["PTV_6000"], target_gy, np.where(masks["BODY"], 20.0, 0.0)).astype(np.float32))
        user.wait_until_idle()
        cord = np.roll(masks["SpinalCord"], 1, axis=2).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(cord, patient.segmentation, patient.segment_id("SpinalCord"), patient.ct)
        slicer.app.processEvents()
    return user


def compare(user):
    user.find("referenceSelector").setCurrentNode(results()[0])
    user.find("compareButton").click()


def go_back(user):
    user.find("historyTable").cellClicked(0, 0)
    user.wait_for(lambda: user.find("goBackButton").enabled)
    user.find("goBackButton").click()


def choose(user):
    user.find("historyTable").cellClicked(0, 0)


def draw_surfaces(user):
    user.find("surfacesCheckBox").checked = True


def search_worst_point(user):
    user.find("metricsTable").cellClicked(0, 0)


def linger(user):
    """Time for work that goes on to show itself, and until it has ended."""
    for _turn in range(200):
        slicer.app.processEvents()
    user.wait_for(lambda: all(getattr(section, "_steps", None) is None for section in user.panel.sections))
    slicer.app.processEvents()


@pytest.mark.parametrize("begin", [compare, go_back, choose, draw_surfaces, search_worst_point], ids=lambda begin: begin.__name__)
def test_a_closed_scene_ends_work_and_stays_empty(two, begin):
    begin(two)
    slicer.mrmlScene.Clear(0)
    linger(two)
    assert [node.GetName() for node in nodes() if not node.IsA("vtkMRMLScriptedModuleNode")] == []
    assert two.find("pointLabel").text == ""
    assert two.find("comparedLabel").text == ""
    assert two.find("historyLabel").text == ""
    assert two.find("compareButton").text == "Compare"


@pytest.mark.parametrize("begin", [compare, go_back, choose, draw_surfaces, search_worst_point], ids=lambda begin: begin.__name__)
def test_work_that_is_under_way_when_the_user_leaves_does_no_harm(two, begin):
    begin(two)
    two.panel.exit()
    linger(two)
    two.panel.enter()
    linger(two)
    assert len(results()) == 2
    assert begin is not compare or two.find("changesTable").rowCount > 0
    assert two.find("compareButton").text == "Compare"


def test_a_result_that_is_deleted_while_it_is_compared_is_told_and_nothing_is_added(two):
    compare(two)
    slicer.mrmlScene.RemoveNode(results()[0])
    before = [node.GetID() for node in nodes()]
    linger(two)
    assert "was deleted while it was compared" in two.find("comparedLabel").text
    assert [node.GetID() for node in nodes()] == before
