"""The command line: thin commands over the Python face. Data on stdout, everything else on stderr."""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Run `nearkin`; exit 0 done, 1 the work failed, 2 a bad recipe or command line, 3 a plugin, 4 damage on disk."""
    speakable()
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while Python still imports; later each command tells what is kept
        print("interrupted.", file=sys.stderr)
        sys.exit(1)


def speakable() -> None:
    """Output goes on where none can be heard, and where a character cannot be said: a closed pipe, a code page."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """One command; its exit code. No traceback for a user's mistake, unless `--debug` asks for it."""
    from nearkin.cli.app import app
    from nearkin.errors import NearkinError, printable

    try:
        app(arguments, prog_name="nearkin")
    except SystemExit as ended:  # typer's own: a bad command line is 2, an interruption is not 0.
        return ended.code if isinstance(ended.code, int) else 0
    except NearkinError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        print(printable(f"error: {error}", but="\n"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        print(printable(f"error: {error.filename or 'disk'}: {error.strerror or error}"), file=sys.stderr)
        return NearkinError.exit_code
    return 0
