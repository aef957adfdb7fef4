"""A trained model that is loaded at the first prediction and kept for the next; torch is imported no earlier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dose_prediction.case import DoseGoal, PlanCase
    from dose_prediction.model.bundle import Bundle
    from dose_prediction.prediction import Prediction, Progress
    from dose_prediction.prediction_cache import PredictionCache


class Predictor(Protocol):
    """What the command line and the worker ask of a model; a test hands in one of its own."""

    @property
    def model_sha256(self) -> str:
        """The digest of its weights."""

    def load(self) -> None:
        """Make ready to predict; does nothing if that was done before."""

    def predict(
        self,
        case: PlanCase,
        *,
        samples: int,
        seed: int,
        device: str,
        goals: Sequence[DoseGoal] = (),
        is_deliverable: bool = False,
        on_progress: Callable[[Progress], None] | None,
        on_dose: Callable[[Prediction], None] | None = None,
        is_cancelled: Callable[[], bool] | None,
    ) -> Prediction:
        """The dose of one case; `on_dose` is called with it before all is known that is said about it."""


class WarmModel:
    """The model in `folder`, or the released one.  What one prediction worked out is used again by the next."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._bundle: Bundle | None = None
        self._cache: PredictionCache | None = None

    @property
    def model_sha256(self) -> str:
        return self._loaded().sha256

    def load(self) -> None:
        self._loaded()

    def predict(
        self,
        case: PlanCase,
        *,
        samples: int,
        seed: int,
        device: str,
        goals: Sequence[DoseGoal] = (),
        is_deliverable: bool = False,
        on_progress: Callable[[Progress], None] | None,
        on_dose: Callable[[Prediction], None] | None = None,
        is_cancelled: Callable[[], bool] | None,
    ) -> Prediction:
        from dose_prediction.prediction import predict
        from dose_prediction.prediction_cache import PredictionCache

        self._cache = self._cache or PredictionCache()
        return predict(
            case,
            self._loaded(),
            samples=samples,
            seed=seed,
            device=device,
            goals=goals,
            is_deliverable=is_deliverable,
            cache=self._cache,
            on_progress=on_progress,
            on_dose=on_dose,
            is_cancelled=is_cancelled,
        )

    def _loaded(self) -> Bundle:
        if self._bundle is None:
            from dose_prediction.model.bundle import load_bundle

            self._bundle = load_bundle(self._folder)
        return self._bundle


@cache
def warm_model(folder: Path | None) -> WarmModel:
    """The one model of `folder` in this process."""
    return WarmModel(folder)
