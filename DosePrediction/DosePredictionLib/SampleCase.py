"""The phantom among Slicer's sample data: drawn on the spot, so nothing is downloaded."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

CATEGORY = "Radiotherapy"
ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "DosePrediction.png"


def register_sample() -> None:
    """Make the phantom known to the Sample Data module, where that is there; a second call does nothing."""
    if importlib.util.find_spec("SampleData") is None:
        return
    logic = importlib.import_module("SampleData").SampleDataLogic
    name = _("Head-and-neck phantom with contours")
    if any(source.sampleName == name for source in logic.sampleDataSourcesByCategory(CATEGORY)):
        return
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=name,
        uris="",  # a source must have one, though nothing is asked of it
        fileNames="",
        nodeNames="",
        customDownloader=draw_sample,
        thumbnailFileName=str(ICON),
    )


def draw_sample(_source: Any = None) -> list[Any]:
    """Draw the phantom into the scene; its CT and segmentation nodes."""
    from .PhantomNodes import load_phantom

    return list(load_phantom())
