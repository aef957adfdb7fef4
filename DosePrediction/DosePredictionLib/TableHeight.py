"""Tables of the panel as high as their rows, so that the panel scrolls rather than every table in it."""

from __future__ import annotations

from typing import Any

ROW_HEIGHT = 24
FRAME_HEIGHT = 4


def fit_height(table: Any, fewest_rows: int, most_rows: int) -> None:
    """Give a QTableWidget the height of its rows, of at least and at most so many."""
    rows = min(max(table.rowCount, fewest_rows), most_rows)
    height = table.horizontalHeader().height + rows * ROW_HEIGHT + FRAME_HEIGHT
    table.minimumHeight = height
    table.maximumHeight = height
