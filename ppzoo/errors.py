# SPDX-License-Identifier: Apache-2.0
"""Errors that are for people: one sentence that names what is wrong and what to do about it."""


class UserError(Exception):
    """A mistake that the user can mend.

    The command line prints it without a traceback and exits with code 2. The message is one
    sentence (or a list of them) that names the file, line, key, shape or option at fault.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: IPython asks exceptions for this name."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(UserError):
    """A config file, or an override of it, that cannot be used."""


class UnknownNameError(ConfigError):
    """A name that no registry holds."""


class NotHereYetError(UnknownNameError):
    """A name of PaddleGAN's that ppzoo does not have yet.

    Args:
        message: the sentence.
        names: the names.
    """

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.names = names


class DataError(UserError):
    """A dataset, folder or file of samples that is missing, empty or damaged."""


class WeightsError(UserError):
    """A weights or checkpoint file that is missing, damaged, foreign or unsafe to read."""


class MissingExtraError(UserError):
    """An optional dependency that is not installed.

    Args:
        package: the name to import, such as `onnxruntime`.
        extra: the extra of ppzoo that installs it, such as `export`.
        purpose: what needs it, as in "exporting to ONNX".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: "
            f"pip install 'ppzoo[{extra}]'"
        )


class TrainingError(UserError):
    """A run that cannot go on, such as one whose losses are no longer finite."""
