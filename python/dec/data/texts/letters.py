"""Words in texts of any script, and texts in which none can be told apart."""

import functools
import re
import unicodedata

_PLAIN = re.compile(r"[^\W\d_]{2,}")
_LETTER = r"[^\W\d_]"
_MARKS = (0x300, 0x20000)  # where Unicode has combining marks
# They choose a glyph, mostly an emoji's, and are no part of a word's spelling.
_SELECTORS = range(0xFE00, 0xFE10)
_JOINERS = "\u200c\u200d"  # of zero width, inside words of Persian, Hindi and others
# Scripts that do not part words: Thai, Lao, Burmese, Khmer, kana, Chinese characters.
_UNPARTED = re.compile(
    "[\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff"
    "\u3040-\u30ff\u31f0-\u31ff\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def words(text: str) -> list[str]:
    """The words of a text: runs of two or more letters, lower-cased.

    Marks that belong to a letter, such as the vowels of Hindi, count as letters behind
    the first; joiners of no width are left out.
    """
    if text.isascii():
        return _PLAIN.findall(text.lower())
    # A letter and its accent as one, ligatures as letters.
    text = unicodedata.normalize("NFKC", text).lower()
    return [_without_joiners(word) for word in _any_script().findall(text)]


def unparted(text: str) -> bool:
    """Whether most letters are of scripts that are written without gaps for words."""
    if text.isascii():
        return False
    many = len(_UNPARTED.findall(text))
    return many > 0 and 2 * many > sum(map(str.isalpha, text))


@functools.cache
def _any_script() -> re.Pattern:
    r"""Words with marks, which Python's \w does not hold and no class of `re` is of."""
    marks = "".join(
        letter
        for letter in map(chr, range(*_MARKS))
        if unicodedata.category(letter) in ("Mn", "Mc")
        and ord(letter) not in _SELECTORS
    )
    return re.compile(f"{_LETTER}(?:[{_JOINERS}]*(?:{_LETTER}|[{marks}]))+")


def _without_joiners(word: str) -> str:
    return word.replace("\u200c", "").replace("\u200d", "")
