"""The one exception that reaches the user as a message instead of a traceback."""


class DecError(Exception):
    """A mistake that the user can mend.

    ``str(error)`` says what is wrong, where, and what to do about it. The
    command line prints it as its one message and exits with status 1.
    """


class DownloadError(DecError):
    """No source that could be reached has a data set; the exit status is 3."""


class EstimatorError(DecError, ValueError):
    """A DecError of the Python API, where callers look for a ValueError."""
