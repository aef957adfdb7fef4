"""The states of a prediction as the panel knows them: which may follow which, and what the button and the status line say in each."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from slicer.i18n import tr as _

from .Signal import Signal

# The time left is told from here on.
SOONEST_S, SMALLEST_FRACTION = 1.0, 0.1


class RunState(enum.Enum):
    IDLE = "idle"
    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    JUDGING = "judging"
    SHOWING = "showing"


@dataclass(frozen=True)
class StateLabel:
    """What a state shows: the text of the button, whether it can be pressed, and the status line until a stage is reported."""

    button: str
    button_enabled: bool
    status: str


def state_label(state: RunState) -> StateLabel:
    """The label of `state`, in the language of the application."""
    return {
        RunState.IDLE: StateLabel(_("Predict"), True, ""),
        RunState.PREPARING: StateLabel(_("Cancel"), True, _("Reading the scene")),
        RunState.STARTING: StateLabel(_("Cancel"), True, _("Starting the prediction process")),
        RunState.RUNNING: StateLabel(_("Cancel"), True, _("Predicting")),
        RunState.CANCELLING: StateLabel(_("Cancelling"), False, _("Cancelling")),
        RunState.JUDGING: StateLabel(_("Cancel"), True, _("Judging the dose")),
        RunState.SHOWING: StateLabel(_("Cancel"), False, _("Showing the dose")),
    }[state]


def time_left_in_words(elapsed_s: float, fraction: float) -> str:
    """How long the rest takes at the pace so far; nothing until that can be told."""
    if elapsed_s < SOONEST_S or fraction < SMALLEST_FRACTION:
        return ""
    left_s = elapsed_s * (1 - fraction) / fraction
    if left_s > 90:
        return _("– about {minutes} min left").format(minutes=round(left_s / 60))
    return _("– about {seconds} s left").format(seconds=max(round(left_s), 1))


FOLLOWS: dict[RunState, frozenset[RunState]] = {
    RunState.IDLE: frozenset({RunState.PREPARING}),
    RunState.PREPARING: frozenset({RunState.STARTING, RunState.IDLE}),
    RunState.STARTING: frozenset({RunState.RUNNING, RunState.JUDGING, RunState.CANCELLING, RunState.IDLE}),
    RunState.RUNNING: frozenset({RunState.JUDGING, RunState.CANCELLING, RunState.IDLE}),
    RunState.CANCELLING: frozenset({RunState.IDLE}),
    RunState.JUDGING: frozenset({RunState.SHOWING, RunState.IDLE}),
    RunState.SHOWING: frozenset({RunState.IDLE}),
}


class RunStateMachine:
    """The one place where the state of a run is kept.  `changed` is emitted with the new state."""

    def __init__(self) -> None:
        self.state = RunState.IDLE
        self.changed = Signal()

    @property
    def is_idle(self) -> bool:
        return self.state is RunState.IDLE

    def move_to(self, state: RunState) -> None:
        """Enter `state`; RuntimeError where it cannot follow the present one."""
        if state not in FOLLOWS[self.state]:
            raise RuntimeError(f"A run that is {self.state.value} cannot become {state.value}.")
        self.state = state
        self.changed.emit(state)
