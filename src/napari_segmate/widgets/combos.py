"""Lists to choose one value from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox
from superqt.utils import signals_blocked

__all__ = ["choose", "narrow", "offered", "refill"]


def choose(combo: QComboBox, value: object) -> None:
    """Show which value is chosen, the first one if it is not there; emits nothing."""
    with signals_blocked(combo):
        combo.setCurrentIndex(max(combo.findData(value), 0))


def refill(combo: QComboBox, titles: Mapping[Any, str], tips: Mapping[Any, str]) -> None:
    """Offer other values; the choice stays if it can. Emits nothing."""
    kept = combo.currentData()
    with signals_blocked(combo):
        combo.clear()
        for value, title in titles.items():
            combo.addItem(title, value)
            combo.setItemData(combo.count() - 1, tips.get(value, ""), Qt.ItemDataRole.ToolTipRole)
        combo.setCurrentIndex(max(combo.findData(kept), 0))


def narrow(combo: QComboBox) -> QComboBox:
    """Return a list that may be narrower than its longest title."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo


def offered(combo: QComboBox) -> list[Any]:
    """Return the values on offer."""
    return [combo.itemData(at) for at in range(combo.count())]
