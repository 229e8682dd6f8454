"""Reports: one self-contained HTML page of tables and plots. Matplotlib is imported when one is written."""

from __future__ import annotations

from hogwild.report.history_file import HistoryFile
from hogwild.report.page import write_report
from hogwild.report.parts import Bars, Chapter, Code, Groups, Lines, Table, Text
from hogwild.report.plots import save_plot
from hogwild.report.tensorboard import TensorBoard

__all__ = [
    "Bars",
    "Chapter",
    "Code",
    "Groups",
    "HistoryFile",
    "Lines",
    "Table",
    "TensorBoard",
    "Text",
    "save_plot",
    "write_report",
]
