"""Complete the bill of materials of `make sbom` and check it.

`complete_sbom.py sbom.json licences.csv`

cyclonedx-py leaves out the version of a project that keeps it in its code, and licences of some
packages that pip-licenses finds. Ends with a sentence if a package states no licence, if the two
files differ in their packages, or if the result is no CycloneDX 1.6.
"""

import csv
import json
import re
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

bom_path, table_path = (Path(argument) for argument in sys.argv[1:])
bom = json.loads(bom_path.read_text(encoding="utf-8"))
with table_path.open(encoding="utf-8", newline="") as table:
    rows = {re.sub(r"[-_.]+", "-", row["Name"]).lower(): row for row in csv.DictReader(table)}

unknown = [name for name, row in rows.items() if row["License"] in ("", "UNKNOWN")]
if unknown:
    sys.exit(f"{table_path}: no licence is known of {', '.join(unknown)}.")

project = bom["metadata"]["component"]
project["version"] = rows[project["name"]]["Version"]
project["purl"] = f"pkg:pypi/{project['name']}@{project['version']}"

listed = {re.sub(r"[-_.]+", "-", each["name"]).lower(): each for each in bom["components"]}
differing = (rows.keys() - {project["name"]}) ^ listed.keys()
if differing:
    sys.exit(f"{bom_path} and {table_path} differ in {', '.join(sorted(differing))}.")
for name, component in listed.items():
    if not component.get("licenses"):
        stated = {"name": rows[name]["License"], "acknowledgement": "declared"}
        component["licenses"] = [{"license": stated}]

text = json.dumps(bom, indent=2) + "\n"
fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if fault:
    sys.exit(f"{bom_path} is no CycloneDX 1.6: {fault}")
bom_path.write_text(text, encoding="utf-8")
sys.stdout.write(f"{bom_path}: {len(listed)} packages, each with a licence; valid CycloneDX 1.6\n")
