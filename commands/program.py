"""What all commands have in common: how they are listed, how loud they are, and how errors end them."""

import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import click

from commands.interrupt import exit_status, signals_as_exceptions
from commands.terminal import give_up_lost_streams, guarded, open_closed_streams
from data.errors import InputError, is_out_of_memory, system_advice, system_cause, with_cure
from data.loudness import speaking

QUIET = click.Option(["-q", "--quiet"], is_flag=True, help="Errors and the last lines only.")
VERBOSE = click.Option(["-v", "--verbose"], is_flag=True, help="Lines as for a log, with Dask's and libraries' own.")
UNREAD = 128 + signal.SIGPIPE
MEMORY_CURE = "take smaller images, scales or layers, fewer images, loaders or workers at a time, or end other programs"


class Command(click.Command):
    """A command with -q and -v."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and those two before --help."""
        *own, last = super().get_params(ctx)
        return [*own, QUIET, VERBOSE, last]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Where KEY=VALUE is taken, an unknown option may be meant as a key of the configuration."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if all(param.name != "overrides" for param in self.params):
                raise
            key = f"{error.option_name.lstrip('-')}=VALUE"
            told = f"{error.message} Keys of the configuration are written without dashes: {key}."
            raise click.NoSuchOption(error.option_name, told, error.possibilities, ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run it as loud as is wanted."""
        quiet, verbose = ctx.params.pop(str(QUIET.name)), ctx.params.pop(str(VERBOSE.name))
        if quiet and verbose:
            raise click.UsageError("-q and -v exclude each other; give one of them")
        with speaking("quiet" if quiet else "verbose" if verbose else "usual"):
            return super().invoke(ctx)


class Probability(click.FloatRange):
    """A number from 0 to 1; NaN, which compares with nothing, is none."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if number != number:
            self.fail(f"{value} is not in the range 0<=x<=1.", param, ctx)
        return number


class Workers(click.ParamType):
    """A number from 0, or MIN:MAX of workers that come and go, 1 <= MIN <= MAX."""

    name = "N|MIN:MAX"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | tuple[int, int] | None:
        least, separator, most = str(value).partition(":")
        numbers = [int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else -1 for text in (least, most)]
        if not separator and numbers[0] >= 0:
            return numbers[0]
        if not separator or not 1 <= numbers[0] <= numbers[1]:
            self.fail(f"{value} is neither a number from 0 nor MIN:MAX with 1 <= MIN <= MAX.", param, ctx)
        return numbers[0], numbers[1]


class Program(click.Group):
    """Turns errors into one line and an honest exit status: 2 wrong input, 130 or 143 a signal, 141 nobody reads any
    more, 1 a fault of ours."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every command with its first sentence whole, over several lines where it is long."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, c.get_short_help_str(limit=1000)) for name, c in commands if c is not None])

    def main(self, *args: Any, **options: Any) -> Any:
        """As click's, also where what is to be said has no place: output that is closed, or on a full disk."""
        open_closed_streams()
        try:
            return super().main(*args, **options)
        except OSError as error:  # of --help and usage; those of commands are told by `_invoke`
            self._say("error", f"standard output: {system_advice(error) or error}")
            sys.exit(2)
        finally:
            give_up_lost_streams()

    def invoke(self, ctx: click.Context) -> Any:
        with guarded():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            with signals_as_exceptions():
                try:
                    return super().invoke(ctx)
                finally:
                    for stream in filter(None, (sys.stdout, sys.stderr)):
                        stream.flush()  # here, where it can be told if a disk is full
        except InputError as error:
            self._end(ctx, error, "error", with_cure(error), 2)
        except KeyboardInterrupt as ended:
            self._say("interrupted", "nothing is left half written, run the same command again")
            ctx.exit(exit_status(ended))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (BrokenPipeError, SystemExit):  # the latter is how rich ends then
            ctx.exit(UNREAD)
        except Exception as error:
            if cause := system_cause(error):
                place = f"{os.fsdecode(cause.filename)}: " if cause.filename else ""
                self._end(ctx, error, "error", f"{place}{system_advice(cause)}", 2)
            if not is_out_of_memory(error):
                self._unexpected(ctx, error)
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            self._end(ctx, error, "error", f"memory does not suffice ({reason}); {MEMORY_CURE}", 2)

    def _unexpected(self, ctx: click.Context, error: Exception) -> NoReturn:
        """A fault of ours."""
        self._end(ctx, error, "unexpected error", f"{type(error).__name__}: {error} (pdsl --debug ... shows where)", 1)

    def _end(self, ctx: click.Context, error: Exception, kind: str, message: str, status: int) -> NoReturn:
        """Say what went wrong and exit; with --debug raise it."""
        if ctx.params.get("debug"):
            raise error
        self._say(kind, message)
        ctx.exit(status)

    def _say(self, kind: str, message: str) -> None:
        """On stderr; where that takes nothing either, the status alone has to tell."""
        with suppress(OSError):
            click.secho(f"{kind}: ", fg="red", bold=True, nl=False, err=True)
            click.echo(message, err=True)


def finish(status: int) -> None:
    """Leave with the command's exit status: 0 all done, 2 wrong input, 3 some images failed."""
    click.get_current_context().exit(status)
