"""The judges' report: `report.json` for programs, `report.html` for people, one file that opens
offline.
"""

from .model import Material, Report, write_report

__all__ = ["Material", "Report", "write_report"]
