"""Write docs/cli/*.txt from the command line's own help. Run by `make docs`; a test compares."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from histosynth.cli.main import app

FOLDER = Path(__file__).parent / "cli"


def verbs(command=None, name=""):
    """Every verb and sub-verb, from the command line itself."""
    command = command or typer.main.get_command(app)
    yield name
    for each, below in sorted(getattr(command, "commands", {}).items()):
        yield from verbs(below, f"{name} {each}".strip())


def help_of(verb):
    """What `--help` of a verb prints."""
    return (
        CliRunner()
        .invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "100", "TERM": "dumb"})
        .output
    )


if __name__ == "__main__":
    for verb in verbs():
        (FOLDER / f"{verb.replace(' ', '-') or 'histosynth'}.txt").write_text(help_of(verb))
