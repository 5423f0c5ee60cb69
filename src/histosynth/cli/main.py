"""The command line. Each verb has a file: it parses, calls one function of `pipeline` and shows.

Torch is loaded by no verb before its options are parsed. Exit codes: 0 finished, 1 refused with the
reason, 2 wrong usage, 3 some inputs refused and the others done, 128 and its number for a signal.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from typing import Annotated

import typer

from ..core.errors import HistosynthError
from ..core.stopping import Stopped, stop_signals
from ..core.version import __version__
from . import bundle, export, layout, prepare, recipe
from .complete import complete
from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .mend import mend
from .output import Output
from .paint import paint
from .streams import visible_streams, write_line
from .synthesize import synthesize
from .train import train
from .verb import share_options

OLD_OPTIONS = {
    "hole": "mask",
    "holes": "masks",
    "judges": "metrics",
    "kinds": "classes",
}
"""Options of earlier versions and their present names: accepted, and not shown in the help."""


def _current_option(name: str) -> str:
    return OLD_OPTIONS.get(name, name)


app = typer.Typer(
    name="histosynth",
    context_settings={"token_normalize_func": _current_option},
    help="Synthesize and complete H&E tissue from structure. For research use; not for diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(show: bool) -> None:
    if show:
        write_line(sys.stdout, f"histosynth {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    pass


for verb in (demo, synthesize, complete, paint, mend, train, evaluate, doctor):
    app.command()(verb)
app.add_typer(prepare.app, name="prepare")
app.add_typer(bundle.app, name="bundle")
app.add_typer(export.app, name="export")
app.add_typer(layout.app, name="layout")
app.add_typer(recipe.app, name="recipe")
share_options(app)


def run() -> None:
    """Entry point: a refusal becomes one line and exit code 1, a signal one line and its code."""
    with stop_signals(), visible_streams():
        try:
            app()
        except Stopped as stop:
            with suppress(OSError):  # the terminal may be gone
                Output(as_json="--json" in sys.argv).stopped(stop)
            raise SystemExit(stop.exit_code) from stop
        except HistosynthError as error:
            Output(as_json="--json" in sys.argv).refuse(error)
            raise SystemExit(1) from error
        except Exception as error:  # shown here, where texts of strangers cannot act
            traceback.print_exc()
            raise SystemExit(1) from error
