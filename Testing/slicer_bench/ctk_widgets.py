"""Stand-ins for the `ctk` widgets that module panels use: real Qt widgets with the originals' properties, slots and signals."""

from __future__ import annotations

import enum
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .widget_properties import forwarded, stored, with_setters


@with_setters
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A section with a header that shows or hides what it holds."""

    contentsCollapsed = Signal(bool)
    HEADER_HEIGHT = 22

    def __init__(self, *args: Any) -> None:
        parent = args[-1] if args and isinstance(args[-1], QtWidgets.QWidget) else None
        super().__init__(parent)
        self._shown_when_open: dict[QtWidgets.QWidget, bool] = {}
        self._folding = False
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(1, self.HEADER_HEIGHT, 1, 1)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.toggled.connect(self._fold)
        if args and isinstance(args[0], str):
            self.setText(args[0])

    collapsed = Property(bool, lambda self: not self.isChecked(), lambda self, value: self.setChecked(not value))
    flat = stored(bool, False)
    collapsedHeight = stored(int, 0)
    contentsFrameShape = stored(int, 0)
    contentsLineWidth = stored(int, 1)

    def _fold(self, is_open: bool) -> None:
        self._folding = True
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if is_open:
                child.setVisible(self._shown_when_open.pop(child, True))
            else:
                self._shown_when_open[child] = not child.isHidden()
                child.hide()
        self._folding = False
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred if is_open else QtWidgets.QSizePolicy.Fixed)
        self.updateGeometry()
        self.contentsCollapsed.emit(not is_open)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        if event.added() and event.child().isWidgetType():
            event.child().installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        # A child shown or hidden by the module while the section is closed stays hidden, and is remembered for when it opens.
        if not self.isChecked() and not self._folding and event.type() in (QtCore.QEvent.ShowToParent, QtCore.QEvent.HideToParent):
            self._shown_when_open[watched] = event.type() == QtCore.QEvent.ShowToParent
            if event.type() == QtCore.QEvent.ShowToParent:
                self._folding = True
                watched.hide()
                self._folding = False
        return False

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self.HEADER_HEIGHT

    def sizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        content = layout.totalSizeHint() if layout is not None and self.isChecked() else QtCore.QSize(120, self.HEADER_HEIGHT)
        return content.expandedTo(QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text()) + 40, self.HEADER_HEIGHT))

    def minimumSizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        minimum = layout.totalMinimumSize() if layout is not None and self.isChecked() else QtCore.QSize(0, self.HEADER_HEIGHT)
        return minimum.expandedTo(QtCore.QSize(0, self.HEADER_HEIGHT))

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        if self.isChecked():
            painter.setPen(self.palette().color(QtGui.QPalette.Mid))
            painter.drawRect(0, self.HEADER_HEIGHT // 2, self.width() - 1, self.height() - self.HEADER_HEIGHT // 2 - 1)
        header = QtWidgets.QStyleOptionButton()
        header.initFrom(self)
        header.rect = QtCore.QRect(0, 0, self.width(), self.HEADER_HEIGHT)
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, header)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(5, 5, 12, 12)
        painter.drawPrimitive(QtWidgets.QStyle.PE_IndicatorArrowDown if self.isChecked() else QtWidgets.QStyle.PE_IndicatorArrowRight, arrow)
        painter.setPen(self.palette().color(QtGui.QPalette.ButtonText))
        painter.drawText(QtCore.QRect(22, 0, self.width() - 24, self.HEADER_HEIGHT), QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, self.text())


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box whose check box folds it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.setCheckable(True)
        self.toggled.connect(self._fold)

    collapsed = Property(bool, lambda self: not self.isChecked(), lambda self, value: self.setChecked(not value))

    def setCollapsed(self, value: bool) -> None:
        self.setChecked(not value)

    def _fold(self, is_open: bool) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            child.setVisible(is_open)


def _row(widget: QtWidgets.QWidget, *parts: QtWidgets.QWidget) -> None:
    layout = QtWidgets.QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)


@with_setters
class ctkDoubleSpinBox(QtWidgets.QWidget):
    """Not a QDoubleSpinBox, as in CTK: it holds one."""

    valueChanged = Signal(float)
    editingFinished = Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._spin_box = QtWidgets.QDoubleSpinBox()
        _row(self, self._spin_box)
        self._spin_box.valueChanged.connect(self.valueChanged)
        self._spin_box.editingFinished.connect(self.editingFinished)
        self.setFocusProxy(self._spin_box)

    value = forwarded(float, "_spin_box", "value")
    minimum = forwarded(float, "_spin_box", "minimum")
    maximum = forwarded(float, "_spin_box", "maximum")
    singleStep = forwarded(float, "_spin_box", "singleStep")
    decimals = forwarded(int, "_spin_box", "decimals")
    prefix = forwarded(str, "_spin_box", "prefix")
    suffix = forwarded(str, "_spin_box", "suffix")
    specialValueText = forwarded(str, "_spin_box", "specialValueText")

    def setRange(self, minimum: float, maximum: float) -> None:
        self._spin_box.setRange(minimum, maximum)


@with_setters
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box that hold one value; without `tracking`, `valueChanged` waits until the slider is let go."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        self._spin_box = QtWidgets.QDoubleSpinBox()
        _row(self, self._slider, self._spin_box)
        self._spin_box.valueChanged.connect(self._spin_box_changed)
        self._slider.valueChanged.connect(self._slider_moved)
        self._slider.sliderReleased.connect(self._released)
        self._spin_box.setRange(0, 100)
        self._place_slider()

    value = forwarded(float, "_spin_box", "value")
    decimals = forwarded(int, "_spin_box", "decimals")
    prefix = forwarded(str, "_spin_box", "prefix")
    suffix = forwarded(str, "_spin_box", "suffix")
    pageStep = stored(float, 1.0)
    tickInterval = stored(float, 0.0)
    tracking = stored(bool, True)

    def _set_limit(self, name: str, value: float) -> None:
        self._spin_box.setProperty(name, value)
        self._place_slider()

    minimum = Property(float, lambda self: self._spin_box.minimum(), lambda self, value: self._set_limit("minimum", value))
    maximum = Property(float, lambda self: self._spin_box.maximum(), lambda self, value: self._set_limit("maximum", value))
    singleStep = Property(float, lambda self: self._spin_box.singleStep(), lambda self, value: self._set_limit("singleStep", value))
    spinBoxVisible = Property(bool, lambda self: not self._spin_box.isHidden(), lambda self, value: self._spin_box.setVisible(value))

    def setRange(self, minimum: float, maximum: float) -> None:
        self._spin_box.setRange(minimum, maximum)
        self._place_slider()

    def _place_slider(self) -> None:
        box = self._spin_box
        blocked = self._slider.blockSignals(True)
        self._slider.setRange(0, max(1, round((box.maximum() - box.minimum()) / (box.singleStep() or 1.0))))
        self._slider.setValue(round((box.value() - box.minimum()) / (box.singleStep() or 1.0)))
        self._slider.blockSignals(blocked)

    def _spin_box_changed(self, value: float) -> None:
        self._place_slider()
        if self._slider.isSliderDown() and not self.tracking:
            self.valueIsChanging.emit(value)
        else:
            self.valueIsChanging.emit(value)
            self.valueChanged.emit(value)

    def _slider_moved(self, step: int) -> None:
        self._spin_box.setValue(self._spin_box.minimum() + step * self._spin_box.singleStep())

    def _released(self) -> None:
        if not self.tracking:
            self.valueChanged.emit(self._spin_box.value())


class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box."""


@with_setters
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for when nothing is selected."""

    defaultText = stored(str, "")
    scrollWheelEnabled = stored(bool, True)


@with_setters
class ctkDoubleRangeSlider(QtWidgets.QWidget):
    """A slider with two handles."""

    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)

    def __init__(self, *args: Any) -> None:
        super().__init__(args[-1] if args and isinstance(args[-1], QtWidgets.QWidget) else None)
        self._limits, self._values = (0.0, 99.0), (0.0, 99.0)
        self.setMinimumSize(60, 18)

    minimum = Property(float, lambda self: self._limits[0], lambda self, value: self.setRange(value, max(value, self._limits[1])))
    maximum = Property(float, lambda self: self._limits[1], lambda self, value: self.setRange(min(value, self._limits[0]), value))
    minimumValue = Property(float, lambda self: self._values[0], lambda self, value: self.setValues(value, max(value, self._values[1])))
    maximumValue = Property(float, lambda self: self._values[1], lambda self, value: self.setValues(min(value, self._values[0]), value))
    singleStep = stored(float, 1.0)
    decimals = stored(int, 2)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._limits = (minimum, maximum)
        self.setValues(*self._values)

    def setValues(self, lower: float, upper: float) -> None:
        minimum, maximum = self._limits
        before = self._values
        self._values = (min(max(lower, minimum), maximum), min(max(upper, minimum), maximum))
        if self._values == before:
            return
        if self._values[0] != before[0]:
            self.minimumValueChanged.emit(self._values[0])
        if self._values[1] != before[1]:
            self.maximumValueChanged.emit(self._values[1])
        self.valuesChanged.emit(*self._values)
        self.update()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        minimum, maximum = self._limits
        lower, upper = (round(6 + (self.width() - 12) * (value - minimum) / ((maximum - minimum) or 1.0)) for value in self._values)
        middle = self.height() // 2
        painter.fillRect(6, middle - 2, self.width() - 12, 4, self.palette().color(QtGui.QPalette.Mid))
        painter.fillRect(lower, middle - 2, upper - lower, 4, self.palette().color(QtGui.QPalette.Highlight))
        for position in (lower, upper):
            painter.fillRect(position - 4, middle - 7, 8, 14, self.palette().color(QtGui.QPalette.Button).darker(120))


@with_setters
class ctkRangeWidget(QtWidgets.QWidget):
    """A range slider between two spin boxes."""

    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = ctkDoubleRangeSlider()
        self._lower, self._upper = QtWidgets.QDoubleSpinBox(), QtWidgets.QDoubleSpinBox()
        _row(self, self._lower, self._slider, self._upper)
        self.setRange(0.0, 99.0)
        self._upper.setValue(99.0)
        self._slider.minimumValueChanged.connect(self._lower.setValue)
        self._slider.maximumValueChanged.connect(self._upper.setValue)
        self._lower.valueChanged.connect(lambda value: self._slider.setValues(value, max(value, self._upper.value())))
        self._upper.valueChanged.connect(lambda value: self._slider.setValues(min(value, self._lower.value()), value))
        for name in ("valuesChanged", "minimumValueChanged", "maximumValueChanged"):
            getattr(self._slider, name).connect(getattr(self, name))

    minimum = Property(float, lambda self: self._slider.minimum, lambda self, value: self.setRange(value, max(value, self._slider.maximum)))
    maximum = Property(float, lambda self: self._slider.maximum, lambda self, value: self.setRange(min(value, self._slider.minimum), value))
    minimumValue = forwarded(float, "_slider", "minimumValue")
    maximumValue = forwarded(float, "_slider", "maximumValue")
    singleStep = forwarded(float, "_lower", "singleStep")
    suffix = forwarded(str, "_upper", "suffix")
    decimals = Property(int, lambda self: self._lower.decimals(), lambda self, value: self._set_decimals(value))

    def _set_decimals(self, decimals: int) -> None:
        self._lower.setDecimals(decimals)
        self._upper.setDecimals(decimals)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._lower.setRange(minimum, maximum)
        self._upper.setRange(minimum, maximum)
        self._slider.setRange(minimum, maximum)

    def setValues(self, lower: float, upper: float) -> None:
        self._slider.setValues(lower, upper)


@with_setters
class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with a browse button."""

    class Filter(enum.IntFlag):
        Dirs = 0x001
        Files = 0x002
        Drives = 0x004
        NoSymLinks = 0x008
        Readable = 0x010
        Writable = 0x020
        Executable = 0x040
        Hidden = 0x100
        System = 0x200

    Dirs, Files, Readable, Writable, Executable = Filter.Dirs, Filter.Files, Filter.Readable, Filter.Writable, Filter.Executable
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._edit, self._browse = QtWidgets.QLineEdit(), QtWidgets.QToolButton()
        self._browse.setText("…")
        _row(self, self._edit, self._browse)
        self._edit.textChanged.connect(self.currentPathChanged)

    currentPath = forwarded(str, "_edit", "text")
    filters = stored(int, 0)
    nameFilters = stored("QStringList", [])
    settingKey = stored(str, "")
    label = stored(str, "")
    showBrowseButton = forwarded(bool, "_browse", "visible")
    showHistoryButton = stored(bool, True)

    def addCurrentPathToHistory(self) -> None:
        """The bench keeps no history."""


@with_setters
class ctkColorPickerButton(QtWidgets.QPushButton):
    """A button that shows its colour."""

    colorChanged = Signal(QtGui.QColor)

    def __init__(self, *args: Any) -> None:
        super().__init__(args[-1] if args and isinstance(args[-1], QtWidgets.QWidget) else None)
        self._color = QtGui.QColor(QtCore.Qt.black)

    def _set_color(self, color: QtGui.QColor) -> None:
        if color != self._color:
            self._color = QtGui.QColor(color)
            self.update()
            self.colorChanged.emit(self._color)

    color = Property(QtGui.QColor, lambda self: self._color, _set_color)
    displayColorName = stored(bool, True)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        super().paintEvent(event)
        QtGui.QPainter(self).fillRect(self.rect().adjusted(5, 5, -5, -5), self._color)


CTK_WIDGETS: dict[str, type[QtWidgets.QWidget]] = {
    cls.__name__: cls
    for cls in (
        ctkCheckBox,
        ctkCollapsibleButton,
        ctkCollapsibleGroupBox,
        ctkColorPickerButton,
        ctkComboBox,
        ctkDoubleRangeSlider,
        ctkDoubleSpinBox,
        ctkPathLineEdit,
        ctkRangeWidget,
        ctkSliderWidget,
    )
}
