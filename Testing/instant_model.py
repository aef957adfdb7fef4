"""A model that answers at once, for tests of what stands around the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dose_prediction import __version__
from dose_prediction.case import DoseGoal, PlanCase
from dose_prediction.physics.mimic import Deliverability
from dose_prediction.prediction import Cancelled, Prediction, Progress, Provenance
from dose_prediction.trade_offs import MetricChange


class InstantModel:
    """Gives every target its prescription and the rest of the body 10 Gy; samples are half a gray above and below it; goals bring the mean of
    their organs from 10 Gy to the limit.

    `fail_on` names cases that end in an error, `load_error` is raised when the model is loaded.  With `hold`, a prediction stays in its first step
    until `hold` is set; `holding` tells that it got there.  `hold_fit` and `fitting` are the same for the fit of the beams, which comes after the
    dose; `fit_error` ends it.
    """

    def __init__(
        self,
        fail_on: dict[str, Exception] | None = None,
        load_error: Exception | None = None,
        hold: threading.Event | None = None,
        hold_fit: threading.Event | None = None,
        fit_error: Exception | None = None,
    ) -> None:
        self.fail_on = fail_on or {}
        self.load_error = load_error
        self.hold = hold
        self.holding = threading.Event()
        self.hold_fit = hold_fit
        self.fitting = threading.Event()
        self.fit_error = fit_error
        self.loads = 0
        self.cancels_seen = 0

    model_sha256 = "0" * 64

    def load(self) -> None:
        self.loads += 1
        if self.load_error is not None:
            raise self.load_error

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
        if case.name in self.fail_on:
            raise self.fail_on[case.name]
        if on_progress is not None:
            on_progress(Progress("Physics prior", 0.25))
        if self.hold is not None:
            self.holding.set()
            assert self.hold.wait(30)
        if is_cancelled is not None and is_cancelled():
            self.cancels_seen += 1
            raise Cancelled("Cancelled during: Physics prior.")
        dose = np.where(case.body, 10.0, 0.0).astype(np.float32)
        for target in reversed(case.targets):
            dose[target.mask] = target.role.prescription_gy
        plans = tuple(dose + np.float32(0.5 * (-1) ** number) for number in range(samples))
        spread = np.full_like(dose, 0.5) if samples else None
        changes = tuple(MetricChange(goal.organ, goal.organ, "Dmean", 10.0, goal.limit_gy) for goal in goals)
        asked = [str(goal) for goal in goals]
        product, seconds = f"DosePrediction {__version__}", {"Physics prior": 0.1}
        provenance = Provenance(
            product, "test", self.model_sha256, seed, samples, 1, device, "float32", case.digest, asked, seconds, (), is_deliverable
        )
        fitted = replace(provenance, deliverability=Deliverability(0.5, 2.0))
        prediction = Prediction(dose, dose * 0.9, plans, spread, fitted if is_deliverable else provenance, changes)
        if on_dose is not None:
            on_dose(prediction)
        self._fit(is_cancelled)
        return replace(prediction, provenance=fitted)

    def _fit(self, is_cancelled: Callable[[], bool] | None) -> None:
        if self.fit_error is not None:
            raise self.fit_error
        if self.hold_fit is None:
            return
        self.fitting.set()
        while not self.hold_fit.wait(0.01):
            if is_cancelled is not None and is_cancelled():
                self.cancels_seen += 1
                raise Cancelled("Cancelled during: Fitting the beams.")
