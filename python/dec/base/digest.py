"""Digests, by which it is known whether something is what it was."""

import hashlib
from pathlib import Path


def digest(*parts: str | bytes | Path) -> str:
    """One digest of texts and of files' contents (Path)."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part
        content = content.encode() if isinstance(content, str) else content
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
