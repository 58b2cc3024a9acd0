"""Lists to choose one name from."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox
from superqt.utils import signals_blocked

__all__ = ["choose", "narrow", "refill"]


def choose(combo: QComboBox, name: str) -> None:
    """Show which name is chosen, the first one if it is not there; emits nothing."""
    with signals_blocked(combo):
        combo.setCurrentIndex(max(combo.findData(name), 0))


def refill(combo: QComboBox, titles: Mapping[str, str], tips: Mapping[str, str]) -> None:
    """Offer other names; the choice stays if it can. Emits nothing."""
    kept = combo.currentData()
    with signals_blocked(combo):
        combo.clear()
        for name, title in titles.items():
            combo.addItem(title, name)
            combo.setItemData(combo.count() - 1, tips.get(name, ""), Qt.ItemDataRole.ToolTipRole)
        combo.setCurrentIndex(max(combo.findData(kept), 0))


def narrow(combo: QComboBox) -> QComboBox:
    """Return a list that may be narrower than its longest name."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo
