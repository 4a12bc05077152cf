"""Errors shared by every package: of the run, of the input, of one image.

This module imports nothing heavy, so that every layer can raise them.
"""

from __future__ import annotations

from enum import StrEnum

from snellen.adapters.passwords import hide_passwords


class ErrorStage(StrEnum):
    """Stage at which an image failed."""

    READ = "read"
    DECODE = "decode"
    LABEL = "label"
    PREPROCESS = "preprocess"
    INFER = "infer"
    POSTPROCESS = "postprocess"


class ErrorCode(StrEnum):
    """Reason for which an image failed; the codes of a failed result row."""

    EMPTY = "EMPTY"
    UNSUPPORTED = "UNSUPPORTED"
    TRUNCATED = "TRUNCATED"
    CORRUPT = "CORRUPT"
    PIXEL_LIMIT = "PIXEL_LIMIT"
    BYTE_LIMIT = "BYTE_LIMIT"
    DIMENSION = "DIMENSION"
    PATH_ESCAPE = "PATH_ESCAPE"
    NOT_FOUND = "NOT_FOUND"
    CHANGED = "CHANGED"
    IO = "IO"
    LABEL_MISSING = "LABEL_MISSING"
    LABEL_RANGE = "LABEL_RANGE"
    LABEL_INVALID = "LABEL_INVALID"
    LABEL_SIZE_MISMATCH = "LABEL_SIZE_MISMATCH"
    NONFINITE = "NONFINITE"
    WORKER_DIED = "WORKER_DIED"
    PREDICTION_MISSING = "PREDICTION_MISSING"
    INTERNAL = "INTERNAL"


class SnellenError(Exception):
    """Error that a user can act on: a message, a code and an exit code.

    ``exit_code`` is what the command line returns: 2 for bad usage, configuration or input
    (nothing was started), 1 for a run that was started and failed. Passwords of URLs are hidden
    in the message.
    """

    exit_code = 2

    def __init__(self, code: str, message: str) -> None:
        message = hide_passwords(message)
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[SnellenError], tuple[str, str]]:
        return type(self), (self.code, self.message)


class ConfigError(SnellenError):
    """Error in the configuration or the command; nothing was started."""


class InputError(SnellenError):
    """Error in a checkpoint, dataset or class map; nothing was started."""


class RunError(SnellenError):
    """Failure of a run that was started; committed units stay and the run can be resumed."""

    exit_code = 1


class RunInterrupted(SnellenError):  # noqa: N818 - it is no error
    """Interruption of a run from outside (Ctrl-C, SIGTERM); it can be resumed."""

    exit_code = 130


class RunCancelled(RunInterrupted):
    """A run was stopped by a cancel request; it can be resumed."""


class ImageError(Exception):
    """Failure of one image. It becomes a failed result row, and the run continues."""

    def __init__(self, stage: ErrorStage, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ImageError], tuple[ErrorStage, ErrorCode, str]]:
        return type(self), (self.stage, self.code, self.message)
