"""Wishes for organs: what is asked of the worker, and what the answer is shown as."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer


def dose_of(masks, target_gy, parotid_gy):
    return np.where(masks["PTV_6000"], target_gy, np.where(masks["LT PAROTID"], parotid_gy, np.where(masks["BODY"], 20.0, 0.0))).astype(np.float32)


@pytest.fixture
def seen(user, patient, worker, masks):
    """A user with a dose of 60 Gy to the target and 35 Gy to the left parotid."""
    user.select(patient)
    user.press()
    user.wait_for(lambda: "predict" in worker.names)
    worker.answer(dose_of(masks, 60.0, 35.0))
    user.wait_until_idle()
    return user


def rows_of(table):
    return {table.item(row, 0).text(): row for row in range(table.rowCount)}


def test_a_slider_starts_at_what_the_organ_has_and_ticks_its_wish_when_it_is_moved(seen):
    table = seen.find("whatIfTable")
    assert list(rows_of(table)) == ["SpinalCord mean", "SpinalCord max", "LT PAROTID mean", "LT PAROTID max"]
    row = rows_of(table)["LT PAROTID max"]
    assert float(table.item(row, 1).text()) == pytest.approx(35.0, abs=0.5)
    assert table.cellWidget(row, 2).value == pytest.approx(35, abs=1)
    assert not seen.find("whatIfButton").enabled
    assert table.columnWidth(2) >= max(table.columnWidth(column) for column in (1, 3))  # room to aim with the slider
    table.cellWidget(row, 2).value = 20
    assert table.item(row, 0).checkState() == qt.Qt.Checked
    assert table.item(row, 3).text() == "20"
    assert seen.find("whatIfButton").enabled


def test_a_relaxed_limit_lets_an_organ_have_more_while_another_is_asked_for_less(seen, worker):
    table = seen.find("whatIfTable")
    for wish, limit in (("LT PAROTID mean", 45), ("SpinalCord max", 10)):
        table.cellWidget(rows_of(table)[wish], 2).value = limit
    worker.calls.clear()
    seen.find("whatIfButton").click()
    seen.wait_for(lambda: "predict" in worker.names)
    goals = [(goal.organ, goal.metric, goal.limit_gy) for goal in worker.calls[0][-1]]
    assert goals == [("SpinalCord", "max", 10.0), ("Parotid_L", "mean", 45.0)]


def test_the_guided_dose_is_a_result_of_its_own_compared_with_the_one_before_and_its_cost_is_told(seen, worker, masks):
    before = seen.panel.parameters.dose
    table = seen.find("whatIfTable")
    table.cellWidget(rows_of(table)["LT PAROTID mean"], 2).value = 20
    worker.calls.clear()
    seen.find("whatIfButton").click()
    seen.wait_for(lambda: "predict" in worker.names)
    (goal,) = worker.calls[0][-1]
    assert (goal.organ, goal.metric, goal.limit_gy) == ("Parotid_L", "mean", 20.0)
    worker.answer(dose_of(masks, 57.0, 20.0), goals=["Parotid_L mean <= 20 Gy"])
    seen.wait_until_idle()
    slicer.app.processEvents()
    seen.wait_for(lambda: seen.panel.comparison._steps is None)
    after = seen.panel.parameters.dose
    assert after is not before
    assert after.GetName() == "What if Parotid_L mean <= 20 Gy"
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    difference = slicer.util.arrayFromVolume(slicer.mrmlScene.GetNodeByID(red.GetForegroundVolumeID()))
    assert difference[masks["PTV_6000"]].mean() == pytest.approx(-3.0)
    words = seen.find("costLabel").text
    assert words.startswith("What if Parotid_L mean <= 20 Gy? It costs: PTV_6000 D98%")
    assert "PAROTID" not in words.partition("costs")[2]
    seen.wait_for(lambda: not seen.panel.staleness._settled.isActive() and seen.panel.staleness._steps is None)
    assert seen.panel.staleness.changes == ()
