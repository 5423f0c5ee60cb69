"""The report of `evaluate`: `report.json` for programs, `report.html` for people, which opens
offline.
"""

from .model import Material, Report
from .write import refuse_foreign_reports, write_report

__all__ = ["Material", "Report", "refuse_foreign_reports", "write_report"]
