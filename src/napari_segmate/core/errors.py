"""The errors of napari-segmate: each names the value, what is allowed, and the cure."""

from __future__ import annotations

__all__ = [
    "CacheError",
    "Cancelled",
    "ImageError",
    "LabelsError",
    "MissingExtraError",
    "ModelError",
    "NothingNewError",
    "OfflineError",
    "OutOfMemoryError",
    "ParameterError",
    "PromptError",
    "SegmateError",
    "UnknownNameError",
    "UnsafeFileError",
    "WeightsError",
]


class SegmateError(Exception):
    """Base of every error that a user, a file or the machine can cause."""


class ImageError(SegmateError, ValueError):
    """An image cannot be used: empty, wrong dimensions, unknown axis or channel."""


class PromptError(SegmateError, ValueError):
    """A prompt cannot be used: outside the image, without area, without a positive part."""


class ParameterError(SegmateError, ValueError):
    """A setting of a job that is out of its range, or unknown."""


class LabelsError(SegmateError, ValueError):
    """A label image cannot take the result: wrong shape, wrong type, no id left."""


class NothingNewError(LabelsError):
    """A label image would stay as it is.

    Parameters
    ----------
    message : str
        What is there, and what would help.
    labels : tuple of int
        Objects that are the same as those to be written; none when these lie on others.
    """

    def __init__(self, message: str = "", *, labels: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.labels = labels


class UnknownNameError(SegmateError, KeyError):
    """A name that no registry knows."""

    def __str__(self) -> str:
        # KeyError would show the repr of the message, quotes and escapes included.
        return str(self.args[0]) if self.args else ""


class ModelError(SegmateError, RuntimeError):
    """A model cannot be built or run."""


class WeightsError(ModelError):
    """A weights file is missing, damaged, or belongs to another architecture."""


class UnsafeFileError(WeightsError):
    """A weights file that would run code when it is read."""


class OfflineError(SegmateError, OSError):
    """A file must be downloaded and cannot be.

    Parameters
    ----------
    message : str
        What is wrong, and which files to put where.
    brief : str
        What is wrong alone, for those who show the files in another way.
    """

    def __init__(self, message: str = "", *, brief: str = "") -> None:
        super().__init__(message)
        self.brief = brief or message


class CacheError(SegmateError, OSError):
    """A cache or recovery file cannot be read or written."""


class OutOfMemoryError(SegmateError, MemoryError):
    """The device or the machine has too little memory for the job."""


class MissingExtraError(SegmateError, ImportError):
    """An optional dependency is not installed."""

    @classmethod
    def for_feature(cls, feature: str, extra: str) -> MissingExtraError:
        """Return the error for `feature`, naming the command that installs `extra`."""
        return cls(f"{feature} needs the '{extra}' extra: pip install \"napari-segmate[{extra}]\"")


class Cancelled(SegmateError):  # noqa: N818 - not an error of anyone: the user asked for it
    """The user cancelled the job."""
