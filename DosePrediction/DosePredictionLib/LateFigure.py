"""What the beams cannot do of a predicted dose: a figure that the worker has only when the dose is on the screen already."""

from __future__ import annotations

import enum
from typing import Any

import slicer
from slicer.i18n import tr as _

from .DoseNode import add_to_provenance, provenance_of
from .Signal import Signal
from .WorkerProcess import WorkerProtocol


class FigureState(enum.Enum):
    """Of the figure that belongs to the latest dose of the worker."""

    NONE = "none"  # nothing is owed: it came with the dose, has been stored, or is not wanted any more
    AWAITED = "awaited"
    TOLD = "told"  # the dose is not in the scene yet
    MISSING = "missing"


FOLLOWS: dict[FigureState, frozenset[FigureState]] = {
    FigureState.NONE: frozenset({FigureState.AWAITED}),
    FigureState.AWAITED: frozenset({FigureState.TOLD, FigureState.MISSING, FigureState.NONE}),
    FigureState.TOLD: frozenset({FigureState.NONE}),
    FigureState.MISSING: frozenset({FigureState.NONE}),
}


class LateFigure:
    """Takes the figure into what is stored with its dose, whichever of the two is in the scene first; `changed` when something else is to be said.

    The worker's words need no name of the dose that they are about: it is the last one, since a new prediction ends the fit of the one before.
    """

    def __init__(self, worker: WorkerProtocol) -> None:
        self.changed = Signal()
        self.state = FigureState.NONE
        self._worker = worker
        self._provenance: dict[str, Any] = {}
        self._reason = ""
        self._dose_id = ""
        worker.fitted.connect(self._on_fitted)
        worker.ended.connect(self._on_worker_ended)

    def expect(self, result: dict[str, Any]) -> None:
        """A dose has come from the worker; its figure may follow."""
        self.forget()
        if "deliverability" in result and result["deliverability"] is None:
            self._move_to(FigureState.AWAITED)

    def belongs_to(self, dose_node: Any) -> None:
        """That dose is now in the scene."""
        self._dose_id = dose_node.GetID()
        if self.state is FigureState.TOLD:
            self._store()
        self.changed.emit()

    def forget(self) -> None:
        """The figure is not wanted any more; the worker need not go on with it."""
        if self.state is FigureState.AWAITED:
            self._worker.cancel()
        self._dose_id = ""
        if self.state is not FigureState.NONE:
            self._move_to(FigureState.NONE)
            self.changed.emit()

    def forget_removed(self) -> None:
        """Forget the figure of a dose that the user has deleted."""
        if self._dose_id and slicer.mrmlScene.GetNodeByID(self._dose_id) is None:
            self.forget()

    def is_awaited_for(self, dose_node: Any) -> bool:
        """True while the figure of this dose may still come."""
        return self.state is FigureState.AWAITED and dose_node is not None and dose_node.GetID() == self._dose_id

    def sentence(self, dose_node: Any) -> str:
        """What is to be said of the figure of any dose; nothing of one that was not predicted."""
        if self.is_awaited_for(dose_node):
            return _("What these beams cannot do of it is still being computed…")
        if self.state is FigureState.MISSING and dose_node is not None and dose_node.GetID() == self._dose_id:
            return _("What these beams cannot do of it is not known: {reason}").format(reason=self._reason)
        return deliverability_in_words(provenance_of(dose_node))

    def _on_fitted(self, event: dict[str, Any]) -> None:
        if self.state is not FigureState.AWAITED:
            return
        if event.get("deliverability") is None:
            self._miss(str(event.get("message", "")))
            return
        self._provenance = event["provenance"]
        self._move_to(FigureState.TOLD)
        if self._dose_id:
            self._store()
            self.changed.emit()

    def _on_worker_ended(self) -> None:
        if self.state is FigureState.AWAITED:
            self._miss(_("the prediction process ended before it was computed. Predict again to have it."))

    def _miss(self, reason: str) -> None:
        self._reason = reason
        self._move_to(FigureState.MISSING)
        self.changed.emit()

    def _store(self) -> None:
        dose_node = slicer.mrmlScene.GetNodeByID(self._dose_id)
        if dose_node is not None:
            add_to_provenance(dose_node, self._provenance)
        self._move_to(FigureState.NONE)

    def _move_to(self, state: FigureState) -> None:
        if state not in FOLLOWS[self.state]:
            raise RuntimeError(f"A figure that is {self.state.value} cannot become {state.value}.")
        self.state = state


def deliverability_in_words(provenance: dict[str, Any]) -> str:
    """What the beams cannot do of a dose as its provenance has it; nothing where the model did not promise to say so."""
    if "deliverability" not in provenance:
        return ""
    if provenance["deliverability"] is None:
        return _("What these beams cannot do of it was not computed. Predict again to have it.")
    told = _("What these beams cannot do of it: {mean} Gy on average, {most} Gy at the 99th percentile.")
    return told.format(mean=f"{provenance['deliverability']['mean_gy']:.1f}", most=f"{provenance['deliverability']['p99_gy']:.1f}")
