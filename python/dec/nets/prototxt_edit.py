"""Changes numbers and words in the text of a prototxt, and leaves the rest as it is.

protobuf's own writer would lose the comments, and with them what the file is for.
"""

import io
import re
from collections.abc import Iterator

from google.protobuf import text_format
from google.protobuf.message import Message

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<space>[\s,;]+)|(?P<string>"(?:\\.|[^"\\])*")
    |(?P<mark>[{}\[\]<>:])|(?P<word>[^\s,;{}\[\]<>:"\#]+)""",
    re.VERBOSE,
)
Path = tuple[tuple[str, int], ...]


def edited(text: str, before: Message, after: Message) -> str:
    """`text`, which says `before`, so changed that it says `after`.

    The two differ in values of fields only, not in which fields there are. Raises
    ValueError for others.
    """
    spans = _spans(text)
    changes = []
    for path, field, value in _differences(before, after):
        if path not in spans:
            raise ValueError(f"{'.'.join(name for name, _ in path)} is not in the text")
        words = io.StringIO()
        text_format.PrintFieldValue(field, value, words)
        changes.append((spans[path], words.getvalue()))
    for (start, end), words in sorted(changes, reverse=True):
        text = text[:start] + words + text[end:]
    return text


def in_comments(text: str, pattern: str, words: str) -> str:
    """`text` with what a pattern finds in its comments replaced."""

    def change(match: re.Match) -> str:
        return re.sub(pattern, words, match[0]) if match["comment"] else match[0]

    return _TOKEN.sub(change, text)


def _differences(before: Message, after: Message, above: Path = ()) -> Iterator:
    """Path, field and new value of every scalar that differs."""
    fields = [field for field, _ in before.ListFields()]
    if fields != [field for field, _ in after.ListFields()]:
        raise ValueError("the two have other fields")
    for field in fields:
        old, new = (getattr(message, field.name) for message in (before, after))
        if field.label != field.LABEL_REPEATED:
            old, new = [old], [new]
        if len(old) != len(new):
            raise ValueError(f"the two have other numbers of {field.name}")
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            path = (*above, (field.name, i))
            if field.message_type:
                yield from _differences(a, b, path)
            elif a != b:
                yield path, field, b


def _spans(text: str) -> dict[Path, tuple[int, int]]:
    """Where in the text the value of every scalar stands."""
    tokens = [m for m in _TOKEN.finditer(text) if not (m["comment"] or m["space"])]
    spans: dict[Path, tuple[int, int]] = {}
    _message(tokens, 0, (), spans)
    return spans


def _message(tokens: list[re.Match], at: int, above: Path, spans: dict) -> int:
    """Reads fields up to the end of a message; returns the place after it."""
    seen: dict[str, int] = {}
    while at < len(tokens) and tokens[at][0] not in "}>":
        name = tokens[at][0]
        at += 1
        if tokens[at][0] == ":":
            at += 1
        many = tokens[at][0] == "["
        at += many
        while True:
            path = (*above, (name, seen.get(name, 0)))
            seen[name] = seen.get(name, 0) + 1
            if tokens[at][0] in ("{", "<"):
                at = _message(tokens, at + 1, path, spans) + 1
            else:
                spans[path] = tokens[at].span()
                at += 1
            if not many or tokens[at][0] == "]":
                break
        at += many
    return at
