"""Documents as rows of tf-idf numbers of the most frequent stems, as in the paper.

A document is its words. Of all documents' stems the most frequent ones (2,000, by
occurrences in total) are the columns, in alphabetical order. With tf occurrences in a
document, df of n documents with the stem, and d columns,

    x = (1 + ln tf) (1 + ln((1 + n) / (1 + df)))    where tf > 0, else 0
    row = sqrt(d) x / ||x||

so the mean square of a row's numbers is 1. Source: J. Xie et al., 2016, section 4.1;
the smoothed idf is scikit-learn's, which the authors used. Stems: M. F. Porter, An
algorithm for suffix stripping, 1980, which is settled and will not change.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import Stemmer
from scipy.sparse import csr_array, vstack
from sklearn.feature_extraction.text import TfidfTransformer

from dec.base.errors import DecError

STEMS = 2000
BLOCK = 1024  # rows that are dense at a time

_DOCUMENTS = 8192  # that are counted before they become one sparse matrix
_LONGEST = 40  # letters of a word; longer ones are encoded data
# Words that say nothing about a topic. Not a library's list: scikit-learn's, for one,
# holds "system", "interest", "fire" and "bill". Without apostrophes, as words come.
_FUNCTION_WORDS = """
a an the this that these those such same other another each every either neither both
all any some none no not nor few many much more most less least several enough own
i me my myself we us our ours ourselves you your yours yourself yourselves
he him his himself she her hers herself it its itself they them their theirs themselves
one ones someone somebody something anyone anybody anything everyone everybody
everything nobody nothing who whom whose which what whatever whoever whichever
am is are was were be been being do does did doing done have has had having
will would shall should can cannot could may might must ought
about above across after against along among around at before behind below beneath
beside besides between beyond by despite down during except for from in inside into
like near of off on onto out outside over past per since through throughout till to
toward towards under until up upon via with within without
and but or so yet if unless although though because while whereas whether than as
how when where why whenever wherever here there then thus hence therefore however
again almost already also always anyway else even ever hardly indeed instead just
maybe merely moreover namely nearly nevertheless never now often only otherwise
perhaps quite rather really seldom sometimes somewhat somewhere soon still too very
together everywhere anywhere nowhere elsewhere
aren couldn didn doesn don hadn hasn haven isn ll mustn re shouldn ve wasn weren won
wouldn
"""


class EnglishStemmer:
    """Calls give the stem of a word, or None for words that say nothing."""

    def __init__(self):
        self._stem = Stemmer.Stemmer("porter").stemWord
        # Stems, not words: so what is no column in training is none later.
        self._left_out = {self._stem(word) for word in _FUNCTION_WORDS.split()}

    def __call__(self, word: str) -> str | None:
        if len(word) > _LONGEST:
            return None
        stem = self._stem(word)
        return None if stem in self._left_out else stem


class Counting:
    """Counts the stems of documents that come one by one, in little memory.

    stem: gives the stem of a word or None; without it words are stems already. Held
    are eight bytes for every different stem of every document.
    """

    def __init__(self, stem: Callable[[str], str | None] | None = None):
        self._numbers: dict[str, int] = {}
        numbers = self._numbers

        def number(word: str) -> int:
            known = word if stem is None else stem(word)
            return -1 if known is None else numbers.setdefault(known, len(numbers))

        self._number = Memo(number).__getitem__
        self._rows = _Rows()
        self._blocks: list[csr_array] = []

    def add(self, document: Iterable[str]) -> None:
        """Counts the words of one more document."""
        self._rows.add(map(self._number, document))
        if self._rows.count == _DOCUMENTS:
            self._blocks.append(self._rows.take(len(self._numbers)))

    def most_frequent(self, stems: int = STEMS) -> tuple[csr_array, list[str]]:
        """Counts (documents x stems, int32) of the most frequent stems, and these.

        Ties are broken by the alphabet. Ends the counting.
        """
        self._blocks.append(self._rows.take(len(self._numbers)))
        totals = np.zeros(len(self._numbers))
        for block in self._blocks:
            seen = np.bincount(block.indices, block.data, block.shape[1])
            totals[: len(seen)] += seen
        ranked = sorted(self._numbers, key=lambda s: (-totals[self._numbers[s]], s))
        chosen = sorted(ranked[:stems])
        columns = np.full(len(self._numbers), -1, np.int32)
        columns[[self._numbers[stem] for stem in chosen]] = np.arange(len(chosen))
        for i, block in enumerate(self._blocks):
            self._blocks[i] = _select(block, columns, len(chosen))
        return vstack(self._blocks, format="csr"), chosen


class Representation:
    """What turns counts of stems into rows; `facts` of it travel with a run.

    stems: of the columns. frequency: of each, how many documents have it. documents:
    how many there were.
    """

    def __init__(self, stems: list[str], frequency: np.ndarray, documents: int):
        self.stems = stems
        self.frequency = np.asarray(frequency, np.int64)
        self.documents = documents
        self._scale = np.sqrt(len(stems))
        self._transformer = TfidfTransformer(sublinear_tf=True, norm="l2")
        self._transformer.idf_ = 1 + np.log((1 + documents) / (1 + self.frequency))

    @classmethod
    def fitted(cls, counts: csr_array, stems: list[str]) -> "Representation":
        """From the counts of all documents (documents x stems)."""
        frequency = np.bincount(counts.indices, minlength=len(stems))
        return cls(stems, frequency, counts.shape[0])

    @classmethod
    def from_facts(cls, facts: dict) -> "Representation":
        """From what `facts` gave. Raises DecError when that is damaged."""
        try:
            stems, frequency = facts["stems"], facts["frequency"]
            if len(stems) != len(frequency) or not stems:
                raise ValueError
            return cls(stems, frequency, int(facts["documents"]))
        except (KeyError, TypeError, ValueError):
            raise DecError(
                "the run's list of stems (its input.json) is damaged"
            ) from None

    def facts(self) -> dict:
        """Whole numbers and texts only: JSON keeps them exactly."""
        return {
            "stems": self.stems,
            "frequency": self.frequency.tolist(),
            "documents": self.documents,
        }

    @property
    def columns(self) -> dict[str, int]:
        """The column of every stem."""
        return {stem: column for column, stem in enumerate(self.stems)}

    def counts(self, documents: Iterable[Iterable[int]]) -> csr_array:
        """Counts (n x d) of documents that are given as columns; -1 counts nothing."""
        rows = _Rows()
        for document in documents:
            rows.add(document)
        return rows.take(len(self.stems))

    def rows(self, counts: csr_array) -> np.ndarray:
        """Counts (n x d) as rows: float32, n x d; no stems, all zeros.

        A row depends on its own counts only, not on the others.
        """
        if not counts.shape[0]:
            return np.empty((0, len(self.stems)), np.float32)
        weights = self._transformer.transform(counts.astype(np.float64))
        weights.data *= self._scale
        return weights.astype(np.float32).toarray()

    def blocks(self, counts: csr_array, order: np.ndarray) -> Iterator[np.ndarray]:
        """The rows `order` of counts, as `rows` gives them, some at a time."""
        for at in range(0, len(order), BLOCK):
            yield self.rows(counts[order[at : at + BLOCK]])


class Memo(dict):
    """The results of a function by its argument."""

    def __init__(self, function: Callable[[str], int]):
        self._function = function

    def __missing__(self, word: str) -> int:
        self[word] = result = self._function(word)
        return result


class _Rows:
    """Sparse counts, document by document; a document is its columns (-1: none)."""

    def __init__(self):
        self._clear()

    @property
    def count(self) -> int:
        return len(self._ends) - 1

    def add(self, document: Iterable[int]) -> None:
        found = Counter(document)
        found.pop(-1, None)
        self._columns.extend(found)
        self._values.extend(found.values())
        self._ends.append(len(self._columns))

    def take(self, width: int) -> csr_array:
        """The documents since the last call, as a matrix of so many columns."""
        parts = (self._values, self._columns, self._ends)
        matrix = csr_array(
            tuple(np.array(part, np.int32) for part in parts),
            shape=(self.count, width),
        )
        self._clear()
        # The sum of squares in the norm shall have one order.
        matrix.sort_indices()
        return matrix

    def _clear(self):
        self._columns, self._values = array("i"), array("i")
        self._ends = array("q", [0])


def _select(block: csr_array, columns: np.ndarray, width: int) -> csr_array:
    """The matrix with only the columns whose new number is not -1."""
    renamed = columns[block.indices]
    kept = renamed >= 0
    ends = np.concatenate([[0], np.cumsum(kept)])[block.indptr]
    selected = csr_array(
        (block.data[kept], renamed[kept], ends.astype(np.int32)),
        shape=(block.shape[0], width),
    )
    selected.sort_indices()
    return selected
