"""The report of a predicted dose on one page: pictures, goals, figures and provenance in one HTML file that needs no other, or as PDF."""

from __future__ import annotations

import base64
import html
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import RoleKind
from dose_prediction.case.beam_notation import describe

from .CoreWords import translated
from .DoseNode import PRESCRIPTION_ATTRIBUTE, provenance_of
from .DvhBands import bands_in
from .DvhTables import chart_of, metrics_of
from .GoalsTable import COLUMNS, OUTCOME_LOOKS
from .LateFigure import deliverability_in_words
from .MetricsTable import FIGURES
from .ResultTables import Table, cells_of
from .RunInputs import CT_ROLE, beams_of, inputs_of
from .SegmentRoles import dose_gy_of
from .ViewPictures import dvh_picture, view_pictures

PICTURE_WIDTH, CHART_WIDTH = 170, 690  # pixels on the page
PAGE_WIDTH, A4_HEIGHT_TO_WIDTH = 760.0, 297 / 210
STYLE = """
body { font-family: sans-serif; font-size: 7.5pt; color: #222; max-width: 190mm; margin: 0; }
h1 { font-size: 14pt; margin: 2px 0; } h2 { font-size: 10pt; margin: 6px 0 2px 0; } p { margin: 3px 0; }
.only { color: #a33; font-weight: bold; } .small { font-size: 6pt; color: #555; }
table { border-collapse: collapse; } td, th { padding: 1px 5px; text-align: left; vertical-align: top; }
.figures td, .figures th { border-bottom: 1px solid #ddd; }
@page { size: A4; margin: 10mm; }
"""


def report_html(dose_node: Any, goals_node: Any) -> Generator[float, None, str]:
    """The report as HTML with its pictures inside, a picture a step; yields the fraction done."""
    pictures = []
    for png in view_pictures():
        pictures.append(_image(png, PICTURE_WIDTH))
        yield 0.15 * len(pictures)
    chart = dvh_picture(dose_node)
    yield 0.9
    provenance = provenance_of(dose_node)
    figures = metrics_of(dose_node)
    columns = [
        f"{_heading(_('Clinical goals'))}{_goals(goals_node)}" if goals_node is not None else "",
        f"{_heading(_('Dose metrics (Gy)'))}{_table(_metrics(figures))}" if figures is not None else "",
    ]
    parts = [
        f"<h1>{_escaped(dose_node.GetName())}</h1>",
        f'<p class="only">{_escaped(_("Predicted by research software. Not a medical device; not for clinical use."))}</p>',
        _in_a_row(pictures),
        f"{_heading(_('Dose-volume histograms'))}{_image(chart, CHART_WIDTH)}{_band_note(dose_node)}" if chart else "",
        _in_a_row(columns),
        f"{_heading(_('Plan and provenance'))}{_table(_particulars(dose_node, provenance))}",
        *(f"<p>{_escaped(warning)}</p>" for warning in provenance.get("warnings", [])),
        f'<p class="small">{_escaped(_sources(goals_node))}</p>' if goals_node is not None else "",
    ]
    head = f'<meta charset="utf-8"><title>{_escaped(dose_node.GetName())}</title><style>{STYLE}</style>'
    return f"<!DOCTYPE html><html><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def print_pdf(path: Path, text: str) -> Generator[float, None, None]:
    """Print the report into a PDF file, on one page however long it is; laid out, then printed, each a step."""
    writer = qt.QPdfWriter(str(path))
    writer.setPageSize(qt.QPageSize(qt.QPageSize.A4))
    document = qt.QTextDocument()
    document.setHtml(text)
    document.textWidth = PAGE_WIDTH
    height = max(document.size.height(), PAGE_WIDTH * A4_HEIGHT_TO_WIDTH)
    document.pageSize = qt.QSizeF(height / A4_HEIGHT_TO_WIDTH, height)  # the printer scales this page to its own
    yield 0.5
    print_document = document.print_ if hasattr(document, "print_") else document.print  # the name depends on the binding
    print_document(writer)


def _particulars(dose_node: Any, provenance: dict[str, Any]) -> Table:
    """What the dose was made of, which may be other than what the panel is set to now."""
    ct_node, beams = dose_node.GetNodeReference(CT_ROLE), beams_of(dose_node)
    told = [
        (_("CT"), ct_node.GetName() if ct_node is not None else ""),
        (_("Prescription"), _prescription(dose_node, provenance)),
        (_("Beams"), "; ".join(describe(beam) for beam in beams)),
        (_("Asked for"), "; ".join(provenance.get("goals", []))),
        (_("Deliverability"), deliverability_in_words(provenance)),
        (_("Model"), f"{provenance.get('model_version', '?')} (SHA-256 {str(provenance.get('model_sha256', '?'))[:16]}…)"),
        (_("Software"), provenance.get("product", "?")),
        (_("Device, seed, samples"), ", ".join(str(provenance.get(key, "?")) for key in ("device", "seed", "samples"))),
        (_("Digest of the input"), provenance.get("case_sha256", "?")),
        (_("Report made"), datetime.now().strftime("%Y-%m-%d %H:%M")),
    ]
    return [[name, str(value)] for name, value in told if value]


def _prescription(dose_node: Any, provenance: dict[str, Any]) -> str:
    """The dose of every target, the highest first, and the fractions where they were given."""
    inputs = inputs_of(dose_node)
    targets = [one for one in inputs.structures.values() if one.kind == RoleKind.TARGET.value] if inputs is not None else []
    targets.sort(key=lambda one: -(dose_gy_of(one.prescription) or 0.0))
    told = ", ".join(f"{one.name} {one.prescription} Gy" for one in targets) or f"{dose_node.GetAttribute(PRESCRIPTION_ATTRIBUTE) or '?'} Gy"
    return _("{doses} in {count} fractions").format(doses=told, count=provenance["fractions"]) if "fractions" in provenance else told


def _band_note(dose_node: Any) -> str:
    """What the tinted areas of the chart are, where it has any."""
    if not bands_in(chart_of(dose_node)):
        return ""
    return f'<p class="small">{_escaped(_("The tinted areas are where 80 % of the sampled plans lie."))}</p>'


def _metrics(metrics_node: Any) -> Table:
    """Volume and doses of every structure, as the panel lists them."""
    header, *rows = cells_of(metrics_node)
    columns = [("Structure", _("Structure")), ("Volume (cc)", "cc"), *FIGURES]
    places = [header.index(name) for name, _title in columns]
    return [[title for _name, title in columns], *([row[place] for place in places] for row in rows)]


def _goals(goals_node: Any) -> str:
    """The goals without their sources, their outcomes in sign, word and colour."""
    header, *rows = (cells[: COLUMNS.index("Source")] for cells in cells_of(goals_node))
    place = header.index("Outcome")
    lines = ["".join(f"<th>{_escaped(name)}</th>" for name in header)]
    for row in rows:
        sign, (red, green, blue) = OUTCOME_LOOKS.get(row[place], ("", (34, 34, 34)))
        texts = [_escaped(cell) for cell in row]
        texts[place] = f'<span style="color: rgb({red},{green},{blue})">{sign} {_escaped(translated(row[place]))}</span>'
        lines.append("".join(f"<td>{text}</td>" for text in texts))
    return f'<table class="figures">{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'


def _sources(goals_node: Any) -> str:
    """Where the goals come from, each source once."""
    header, *rows = cells_of(goals_node)
    sources = dict.fromkeys(row[header.index("Source")] for row in rows)
    return _("Goals after: {sources}.").format(sources="; ".join(source for source in sources if source))


def _heading(text: str) -> str:
    return f"<h2>{_escaped(text)}</h2>"


def _table(cells: Table) -> str:
    rows = (f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in cells)
    return f'<table class="figures">{"".join(rows)}</table>'


def _in_a_row(parts: list[str]) -> str:
    return f"<table><tr>{''.join(f'<td>{part}</td>' for part in parts)}</tr></table>"


def _image(png: bytes, width: int) -> str:
    return f'<img width="{width}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _escaped(text: str) -> str:
    return html.escape(text)
