"""A size of objects, in pixels or, where the image says how large a pixel is, in micrometres."""

from __future__ import annotations

from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

from napari_segmate.core.numbers.lengths import LARGEST_PX, MICROMETRES, PIXELS, leading_length

__all__ = ["DiameterBox"]

UNITS = (*PIXELS, *MICROMETRES)


class DiameterBox(QDoubleSpinBox):
    """Spin box for a diameter; 0 has it estimated.

    Its value is in pixels. ``8 um`` can be typed once `show_pixel_size` has told how large a pixel
    is; both are then shown.
    """

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._micrometres = 0.0
        self._estimate = 0.0
        self.setToolTip(tip)
        self.setRange(0, LARGEST_PX)
        self.setDecimals(2)
        self.show_estimate(0)

    def show_estimate(self, diameter: float) -> None:
        """Say how large objects were estimated to be, in pixels; 0 is not known."""
        self._estimate = diameter
        # Shown in place of 0.
        found = f"estimated: {self._said(round(diameter))}" if diameter else "estimated"
        self.setSpecialValueText(found)

    def show_pixel_size(self, micrometres: float) -> None:
        """Tell how many micrometres a pixel is wide; 0 is not known."""
        if micrometres == self._micrometres:
            return
        self._micrometres = micrometres
        self.show_estimate(self._estimate)
        field = self.lineEdit()
        if field is not None and self.value():
            field.setText(self.textFromValue(self.value()))

    def _said(self, pixels: float) -> str:
        size = f"{pixels:.4g} px"
        return f"{size} ({pixels * self._micrometres:.3g} µm)" if self._micrometres else size

    # Qt asks for these.

    def textFromValue(self, v: float) -> str:
        """Return what is shown for a value."""
        return self._said(v)

    def valueFromText(self, text: str | None) -> float:
        """Return the pixels that a text means."""
        number, unit = leading_length(text or "") or (0.0, "")
        factor = MICROMETRES.get(unit)
        if factor is None or not self._micrometres:
            return number
        return number * factor / self._micrometres

    def validate(self, input: str | None, pos: int) -> tuple[QValidator.State, str, int]:  # noqa: A002 - as Qt has it
        """Tell whether a text means a size, or may become one."""
        text = input or ""
        found = leading_length(text)
        if found is None:
            blank = not text.strip() or text == self.specialValueText()
            state = QValidator.State.Intermediate if blank else QValidator.State.Invalid
            return state, text, pos
        unit = found[1]
        begun = any(one.startswith(unit) for one in UNITS)
        if not begun or (unit in MICROMETRES and not self._micrometres):
            return QValidator.State.Invalid, text, pos
        whole = unit in UNITS
        fits = self.valueFromText(text) <= self.maximum()
        state = QValidator.State.Acceptable if whole and fits else QValidator.State.Intermediate
        return state, text, pos
