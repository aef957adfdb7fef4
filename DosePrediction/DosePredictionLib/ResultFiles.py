"""A result as files: its tables and its report, in steps, so that the window waits for none of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from dose_prediction.case import CaseError
from dose_prediction.output_files import whole_folder
from dose_prediction.report import file_stem

from .Report import print_pdf, report_html
from .ResultTables import write_tables
from .Steps import scaled


@dataclass(frozen=True)
class WantedFiles:
    """What is to be written of a result."""

    tables: bool
    html: bool
    pdf: bool


def write_result(folder: Path, dose_node: Any, goals_node: Any, wanted: WantedFiles) -> Generator[float, None, list[str]]:
    """Write all that is wanted or nothing; yields the fraction done and returns the names of the files.

    Raises OutputError, and CaseError where the result is deleted meanwhile.
    """
    with whole_folder(folder) as scratch:
        if wanted.tables:
            write_tables(scratch, dose_node, goals_node)
            yield 0.1
        if wanted.html or wanted.pdf:
            stem = f"{file_stem(dose_node.GetName())}_report"
            text = yield from scaled(report_html(dose_node, goals_node), 0.1, 0.5)
            if wanted.html:
                (scratch / f"{stem}.html").write_text(text, encoding="utf-8")
            if wanted.pdf:
                yield from scaled(print_pdf(scratch / f"{stem}.pdf", text), 0.6, 0.4)
        if not slicer.mrmlScene.IsNodePresent(dose_node):
            raise CaseError(_("{name} was deleted while it was written; nothing was written.").format(name=dose_node.GetName()))
        return sorted(path.name for path in scratch.iterdir())
