"""What every verb of the command line has without stating it: logs, its schema, help in colours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .help_colours import coloured
from .json_schemas import schema_text
from .logs import LOG_FORMS, LogOptions, logged_verb
from .streams import result_line


class Verb(TyperCommand):
    """A verb."""

    def get_help(self, ctx: Any) -> str:
        """The help, in colours where it is shown on a terminal."""
        return coloured(super().get_help(ctx))


class VerbGroup(TyperGroup):
    """A group of verbs."""

    def get_help(self, ctx: Any) -> str:
        """The help, in colours where it is shown on a terminal."""
        return coloured(super().get_help(ctx))


def share_options(app: typer.Typer) -> None:
    """Give every verb below `app` the options that all have, and its log."""
    app.info.cls = VerbGroup
    for command in app.registered_commands:
        command.cls = Verb
        if command.callback:
            command.callback = _with_shared_options(command.callback)
    for group in app.registered_groups:
        group.cls = VerbGroup
        if group.typer_instance:
            share_options(group.typer_instance)


def _with_shared_options(verb: Callable[..., None]) -> Callable[..., None]:
    """The function of a verb with more options; its own are passed on."""
    signature = inspect.signature(verb, eval_str=True)
    shared = inspect.signature(_shared_options, eval_str=True).parameters

    @wraps(verb)
    def run(**values: Any) -> None:
        own = {name: value for name, value in values.items() if name not in shared}
        options = LogOptions(
            log_file=values["log_file"],
            log_format=values["log_format"],
            quiet=values.get("quiet", False),
        )
        with logged_verb(_verb_name(values["context"]), options):
            verb(**own)

    parameters = [*signature.parameters.values(), *shared.values()]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _verb_name(context: typer.Context) -> str:
    """The words of a verb, e.g. `prepare run`."""
    words: list[str] = []
    at: Any = context
    while at.parent is not None:
        words.insert(0, at.info_name)
        at = at.parent
    return " ".join(words)


def _check_form(value: str | None) -> str | None:
    if value and value not in LOG_FORMS:
        raise typer.BadParameter(f"{value!r} is neither text nor json")
    return value


def _print_schema(context: typer.Context, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    for line in schema_text(_verb_name(context)).splitlines():
        result_line(line)
    raise typer.Exit


def _shared_options(
    *,
    context: typer.Context,
    log_file: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            envvar="HISTOSYNTH_LOG_FILE",
            show_envvar=False,
            help="Append a log of what is done to this file.",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            envvar="HISTOSYNTH_LOG_FORMAT",
            show_envvar=False,
            callback=_check_form,
            help="Lines of the log, and of progress on stderr: text (default) or json.",
        ),
    ] = None,
    json_schema: Annotated[
        bool,
        typer.Option(
            "--json-schema",
            is_eager=True,
            callback=_print_schema,
            help="Print the JSON Schema of what --json prints.",
        ),
    ] = False,
) -> None:
    """The options that every verb has: their names, defaults and help."""
