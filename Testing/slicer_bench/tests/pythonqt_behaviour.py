"""How the real PythonQt (Qt 5.15) behaves, fact by fact, as it was observed; `test_pythonqt.py` holds the bench against it.

In each group the codes run one after the other in one namespace; an outcome is the value of the last expression or the exception's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Raises:
    """The name of the exception that the code raises."""

    name: str


@dataclass(frozen=True)
class Group:
    """Facts that share a namespace."""

    name: str
    setup: str
    facts: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Deviation:
    """What the bench does otherwise, and why."""

    outcome: Any
    reason: str


GROUPS = (
    Group(
        "properties of a button",
        "b = qt.QPushButton('hello'); b.objectName = 'btn'",
        (
            ("b.text", "hello"),
            ("b.text()", Raises("TypeError")),
            ("b.setText('x'); b.text", "x"),
            ("b.name", Raises("AttributeError")),
            ("b.objectName", "btn"),
            ("b.enabled", True),
            ("b.isEnabled()", True),
            ("b.visible", False),
            ("b.isVisible()", False),
            ("b.checked", False),
            ("b.isChecked()", False),
            ("b.checkable = True; b.checkable", True),
            ("b.nonexistent", Raises("AttributeError")),
            ("b.nonexistent = 1", Raises("AttributeError")),
            ("type(b.sizeHint).__name__", "QSize"),
            ("type(b.width).__name__", "int"),
            ("type(b.size).__name__", "QSize"),
            ("b.parent()", None),
            ("callable(b.parent)", True),
            ("b.layout()", None),
            ("b.className()", "QPushButton"),
            ("b.inherits('QWidget')", True),
            ("isinstance(b, qt.QWidget)", False),
        ),
    ),
    Group(
        "connections of a button",
        "b = qt.QPushButton(); b.checkable = True; got = []",
        (
            ("b.connect('clicked(bool)', lambda c: got.append(('bool', c)))", True),
            ("b.connect('clicked()', lambda: got.append('0'))", True),
            ("b.clicked.connect(lambda c: got.append(('n1', c)))", True),
            ("b.clicked.connect(lambda: got.append('n0'))", True),
            ("b.clicked.connect(lambda *a: got.append(('na', a)))", True),
            ("b.connect('clicked(bool)', lambda: got.append('b0'))", True),
            ("b.connect('nosuch()', lambda: 0)", False),
            ("b.connect('clicked', lambda: 0)", False),
            ("b.click(); got", [("bool", True), "0", ("n1", True), "n0", ("na", (True,)), "b0"]),
        ),
    ),
    Group(
        "bound methods as slots",
        """
class C:
    def m0(self): got.append('m0')
    def m1(self, c): got.append(('m1', c))
    def m1d(self, c=None): got.append(('m1d', c))
def raising(): raise ValueError('in slot')
got = []; c = C(); b = qt.QPushButton()
b.connect('clicked()', c.m1d); b.connect('clicked(bool)', c.m0); b.clicked.connect(c.m1d); b.clicked.connect(raising)
""",
        (
            ("b.click(); got", [("m1d", None), "m0", ("m1d", False)]),
            ("b.disconnect('clicked(bool)', c.m0)", True),
            ("b.clicked.disconnect(c.m1d)", True),
            ("b.clicked.disconnect(c.m1)", False),
            ("b.clicked.disconnect()", True),
        ),
    ),
    Group(
        "combo box",
        "cb = qt.QComboBox(); idx = []",
        (
            ("cb.addItem('a')", None),
            ("cb.addItems(['b', 'c'])", None),
            ("cb.currentIndex", 0),
            ("cb.currentText", "a"),
            ("cb.count", 3),
            ("cb.count()", Raises("TypeError")),
            ("cb.currentIndex = 2; cb.currentText", "c"),
            ("cb.setCurrentText('b'); cb.currentIndex", 1),
            ("cb.currentData", None),
            ("cb.currentData()", Raises("TypeError")),
            ("cb.itemText(0)", "a"),
            ("cb.connect('currentIndexChanged(int)', lambda i: idx.append(i))", True),
            ("cb.connect('currentIndexChanged(QString)', lambda s: idx.append(s))", True),
            ("cb.connect('currentTextChanged(QString)', lambda s: idx.append(('ct', s)))", True),
            ("cb.currentIndexChanged.connect(lambda i: idx.append(('n', i)))", True),
            ("cb.setCurrentIndex(0); idx", [0, ("n", 0), "a", ("ct", "a")]),
            ("cb.blockSignals(True)", False),
            ("cb.setCurrentIndex(None)", Raises("ValueError")),
        ),
    ),
    Group(
        "numbers and texts are converted",
        "sp = qt.QSpinBox(); ds = qt.QDoubleSpinBox(); le = qt.QLineEdit(); lab = qt.QLabel(); pb = qt.QProgressBar()",
        (
            ("sp.value", 0),
            ("sp.value = 5.0; sp.value", 5),
            ("sp.setValue(5.7); sp.value", 5),
            ("sp.maximum = 7; sp.maximum", 7),
            ("sp.setRange(0, 9)", None),
            ("sp.connect('valueChanged(int)', lambda v: None)", True),
            ("ds.value = 3; ds.value", 3.0),
            ("ds.setRange(0, 1e3)", None),
            ("ds.setValue(True); ds.value", 1.0),
            ("le.text = 'x'; le.text", "x"),
            ("le.setText(None); le.text", "None"),
            ("le.readOnly", False),
            ("le.placeholderText = 'p'; le.placeholderText", "p"),
            ("lab.setText(5); lab.text", "5"),
            ("lab.text = 5; lab.text", "5"),
            ("lab.alignment = qt.Qt.AlignRight; int(lab.alignment)", 2),
            ("lab.styleSheet = 'color: red'; lab.styleSheet", "color: red"),
            ("lab.setPixmap(qt.QPixmap(4, 4))", None),
            ("type(lab.pixmap).__name__", "QPixmap"),
            ("pb.value = 3; pb.value", 3),
            ("pb.maximum = 0; pb.maximum", 0),
        ),
    ),
    Group(
        "layouts, children and dynamic properties",
        "w = qt.QWidget(); f = qt.QFormLayout(w); le = qt.QLineEdit(); b = qt.QPushButton(); b.objectName = 'btn'",
        (
            ("f.addRow('lab:', le)", None),
            ("f.addRow(b)", None),
            ("type(w.layout()).__name__", "QFormLayout"),
            ("callable(w.layout)", True),
            ("[x.className() for x in w.children()]", ["QFormLayout", "QLabel", "QLineEdit", "QPushButton"]),
            ("len(w.findChildren(qt.QLineEdit))", 1),
            ("w.findChild(qt.QPushButton, 'btn') == b", True),
            ("w.btn == b", True),
            ("w.setLayout(qt.QVBoxLayout())", None),
            ("f.setContentsMargins(1, 2, 3, 4)", None),
            ("w.setProperty('SlicerParameterName', 'abc'); w.property('SlicerParameterName')", "abc"),
            ("w.SlicerParameterName", "abc"),
            ("w.show(), w.hide()", (None, None)),
            ("w.visible = False; w.visible", False),
            ("w.enabled = 0; w.enabled", False),
            ("w.enabled = None; w.enabled", False),
            ("w.windowTitle = 'z'; w.windowTitle", "z"),
            ("bool(w)", True),
            ("w == w", True),
            ("isinstance(hash(w), int)", True),
            ("b.toolTip = 'tt'; b.toolTip", "tt"),
            ("qt.QGroupBox('T').title", "T"),
            ("qt.QTabWidget().addTab(qt.QWidget(), 'x')", 0),
        ),
    ),
    Group(
        "enumerators are integers",
        "w = qt.QWidget()",
        (
            ("int(qt.Qt.Horizontal)", 1),
            ("int(qt.Qt.Orientation.Horizontal)", 1),
            ("int(qt.QMessageBox.Ok)", 1024),
            ("int(qt.QMessageBox.StandardButton.Ok)", 1024),
            ("int(qt.Qt.AlignLeft | qt.Qt.AlignTop)", 33),
            ("int(qt.QSizePolicy.Expanding)", 7),
            ("w.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)", None),
        ),
    ),
    Group(
        "timers",
        "tm = qt.QTimer()",
        (
            ("qt.QTimer.singleShot(0, lambda: None)", None),
            ("tm.interval = 5; tm.interval", 5),
            ("callable(tm.singleShot)", True),
            ("tm.setSingleShot(True)", None),
            ("tm.timeout.connect(lambda: 0)", True),
            ("tm.connect('timeout()', lambda: 0)", True),
            ("tm.isActive()", False),
            ("tm.active", False),
        ),
    ),
    Group(
        "values and the application",
        "",
        (
            ("qt.QSettings('probe.ini', qt.QSettings.IniFormat).value('a', 'dflt')", "dflt"),
            ("callable(qt.QFileDialog.getOpenFileName)", True),
            ("qt.QColor(255, 0, 0).name()", "#ff0000"),
            ("qt.QColor(255, 0, 0).red()", 255),
            ("qt.QSize(3, 4).width()", 3),
            ("type(qt.QIcon()).__name__", "QIcon"),
            ("type(qt.QApplication.instance()).__name__", "QApplication"),
            ("qt.QApplication.processEvents()", None),
            ("qt.Signal.__name__", "Signal"),
            ("type('T', (qt.QThread,), {'run': lambda s: None})().className()", "QThread"),
            ("type('S', (qt.QObject,), {})().className()", "QObject"),
            ("hasattr(qt.QDialog(), 'exec_')", True),
            ("hasattr(qt.QDialog(), 'exec')", True),
        ),
    ),
    Group(
        "tables: items are no QObjects and keep their methods",
        "tw = qt.QTableWidget(2, 2)",
        (
            ("tw.rowCount", 2),
            ("tw.rowCount()", Raises("TypeError")),
            ("tw.setItem(0, 0, qt.QTableWidgetItem('v'))", None),
            ("tw.item(0, 0).text()", "v"),
            ("callable(tw.item(0, 0).text)", True),
            ("tw.setHorizontalHeaderLabels(['a', 'b'])", None),
            ("type(tw.horizontalHeader()).__name__", "QHeaderView"),
            ("tw.item(0, 0).setFlags(qt.Qt.ItemIsEnabled)", None),
            ("tw.item(0, 0).checkState()", 0),
        ),
    ),
    Group(
        "constructors take no keyword arguments",
        "",
        (
            ("qt.QLabel(text='k').text", Raises("ValueError")),
            ("qt.QPushButton('a', enabled=False).enabled", Raises("ValueError")),
        ),
    ),
)

DEVIATIONS = {
    "b.name": Deviation("btn", "Slicer's own PythonQt has it: slicer.util.childWidgetVariables finds widgets by it"),
    "b.connect('nosuch()', lambda: 0)": Deviation(Raises("ValueError"), "a connection that is silently not made is a mistake the bench should show"),
    "b.connect('clicked', lambda: 0)": Deviation(Raises("ValueError"), "as above: a signal is named with its arguments"),
    "cb.connect('currentIndexChanged(QString)', lambda s: idx.append(s))": Deviation(Raises("ValueError"), "gone in Qt 6, so not to be used"),
    "cb.setCurrentIndex(0); idx": Deviation([0, ("n", 0), ("ct", "a")], "without the signal that Qt 6 has not"),
    "type(qt.QApplication.instance()).__name__": Deviation("SlicerApplication", "the application of the bench is a subclass"),
    "qt.Signal.__name__": Deviation(Raises("AttributeError"), "unsafe in PythonQt, so not to be used"),
    "type('T', (qt.QThread,), {'run': lambda s: None})().className()": Deviation("T", "PySide gives a Python subclass a meta-object of its own"),
    "type('S', (qt.QObject,), {})().className()": Deviation("S", "as above"),
}
