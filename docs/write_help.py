"""Write docs/cli/*.txt from the command line's own help. Run by `make docs`; a test compares."""

from pathlib import Path

from typer.testing import CliRunner

from histosynth.cli.main import app

FOLDER = Path(__file__).parent / "cli"

for verb in ("", "demo", "synthesize", "complete", "train", "doctor"):
    text = CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    (FOLDER / f"{verb or 'histosynth'}.txt").write_text(text)
