"""Entry point of the command line; turns errors into one paragraph and an exit code.

Exit codes: 0 success; 1 a run failed, files are damaged or models differ; 2 invalid usage,
configuration or input; 3 a gate failed; 4 a gate is inconclusive; 130 interrupted.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from types import FrameType
from typing import Any

from snellen.adapters.errors import SnellenError
from snellen.cli.output import print_error
from snellen.cli.table_formats import choose_format, chosen_format

_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit the process with its exit code."""
    # HF_HUB_OFFLINE: no model library may look up anything on the network.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    signal.signal(signal.SIGTERM, _as_interrupt)
    words = sys.argv[1:] if arguments is None else arguments
    code = run(words)
    # Everything that we opened is closed and written at this point. The interpreter's own shutdown
    # takes more than a second with torch, and an interrupted run can leave C++ threads behind that
    # sometimes abort it.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(words: list[str]) -> int:
    """Run one command and return its exit code."""
    import typer

    from snellen.cli.app import app

    command = typer.main.get_command(app)
    # Typer bundles its own click since 0.16: find the base class through a public exception.
    usage_error = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    debug = "--debug" in words
    choose_format(None)
    try:
        result = command.main(args=words, prog_name="snellen", standalone_mode=False)
    except SnellenError as error:
        if debug:
            raise
        print_error(error.code, error.message, as_json=_wants_json(words))
        return error.exit_code
    except typer.Exit as leave:
        result = leave.exit_code
    except (KeyboardInterrupt, typer.Abort):
        result = _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if isinstance(error, usage_error):
            return _usage(error, as_json=_wants_json(words))
        if debug:
            raise
        print_error(
            "INTERNAL",
            f"unexpected error: {type(error).__name__}: {error}. Please report it, with the "
            "output of the same command with --debug.",
            as_json=_wants_json(words),
        )
        return 1
    if result == _INTERRUPTED:  # typer turns an early Ctrl-C into this code and prints nothing
        print_error("INTERRUPTED", "interrupted; nothing was started.", as_json=_wants_json(words))
    return result if isinstance(result, int) else 0


def _wants_json(words: list[str]) -> bool:
    return "--json" in words or chosen_format() == "json"


def _usage(error: Any, *, as_json: bool) -> int:
    message = error.format_message()
    option = getattr(error, "option_name", None)
    if option is not None:
        from snellen.pipelines.config.evaluate import EvaluateConfig
        from snellen.pipelines.config.loader import all_keys
        from snellen.pipelines.config.other_tools import called_here

        found = called_here(option, all_keys(EvaluateConfig))
        if found is not None:
            message = f"{message.rstrip('.')}. {found} Keys are written as KEY=VALUE."
    print_error("USAGE", message, as_json=as_json)
    context = getattr(error, "ctx", None)
    if context is not None and not as_json:
        print(f"For help: {context.command_path} --help", file=sys.stderr)
    return 2


def _as_interrupt(_: int, __: FrameType | None) -> None:
    """Handle SIGTERM like Ctrl-C: stop cleanly, so that the run can be resumed."""
    raise KeyboardInterrupt
