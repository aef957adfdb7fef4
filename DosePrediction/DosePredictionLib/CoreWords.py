"""Words of the core that the panel shows, in the language of the application; translators' tools find literals only."""

from __future__ import annotations

from slicer.i18n import tr as _


def translated(word: str) -> str:
    """A stage, a template, a goal set, an outcome or a metric as the user reads it; what is not listed, such as a user's own goal set, as it is."""
    return {
        "Preparing the case": _("Preparing the case"),
        "Physics prior": _("Physics prior"),
        "Encoding the case": _("Encoding the case"),
        "Predicting the dose": _("Predicting the dose"),
        "Steering to the goals": _("Steering to the goals"),
        "Fitting the beams": _("Fitting the beams"),
        "Sampling plans": _("Sampling plans"),
        "Finishing": _("Finishing"),
        "Looking through the files": _("Looking through the files"),
        "Reading CT, contours and plan": _("Reading CT, contours and plan"),
        "Writing CT and contours": _("Writing CT and contours"),
        "Writing doses": _("Writing doses"),
        "Writing the dose": _("Writing the dose"),
        "5 fields": _("5 fields"),
        "7 fields": _("7 fields"),
        "9 fields": _("9 fields"),
        "1 full arc": _("1 full arc"),
        "2 full arcs": _("2 full arcs"),
        "2 partial arcs, left": _("2 partial arcs, left"),
        "2 partial arcs, right": _("2 partial arcs, right"),
        "4-field box": _("4-field box"),
        "Breast tangents, left": _("Breast tangents, left"),
        "Breast tangents, right": _("Breast tangents, right"),
        "Head and neck": _("Head and neck"),
        "Lung": _("Lung"),
        "met": _("met"),
        "close": _("close"),
        "missed": _("missed"),
        "mean": _("mean"),
        "max": _("max"),
    }.get(word, word)
