"""How tables of the panel look: columns with headings, rows of one height, and as high as their rows, so that the panel scrolls and not the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROW_HEIGHT = 24
FRAME_HEIGHT = 4


def set_headings(table: Any, headings: Sequence[str]) -> None:
    """Give a QTableWidget a column a heading, and rows of `ROW_HEIGHT` without numbers."""
    table.setColumnCount(len(headings))
    table.setHorizontalHeaderLabels(list(headings))
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)


def fit_height(table: Any, fewest_rows: int, most_rows: int) -> None:
    """Give a QTableWidget the height of its rows, of at least and at most so many."""
    rows = min(max(table.rowCount, fewest_rows), most_rows)
    height = table.horizontalHeader().height + rows * ROW_HEIGHT + FRAME_HEIGHT
    table.minimumHeight = height
    table.maximumHeight = height
