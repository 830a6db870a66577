"""A report's files in a run folder: the page and the folder of its figures."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from dec.base import progress
from dec.base.atomic import partial_path, replace_dir, write_text_atomic
from dec.base.errors import DecError
from dec.base.files import refuse_to_replace
from dec.page.plotting import Figures

_WHAT = "the report's figures"


def write_report(
    folder: Path, names: re.Pattern, make: Callable[[Figures], str]
) -> None:
    """Writes report.html, whose text `make` returns, and figures/ into a run folder.

    names: of all figures that such a report can have. Raises DecError, with both as
    they were, where figures/ holds other things or they cannot be written.
    """
    target = folder / "figures"
    refuse_to_replace(target, _WHAT, names)
    partial = partial_path(target)
    try:
        partial.mkdir()
        text = make(Figures(partial))
        refuse_to_replace(target, _WHAT, names)
        replace_dir(partial, target)
    except OSError as error:
        raise DecError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_text_atomic(folder / "report.html", text)
    progress.say(f"report: {folder / 'report.html'}")
