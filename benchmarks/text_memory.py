"""The loader of REUTERS on a corpus of RCV1's size: documents/s, memory, disk.

    .venv/bin/python benchmarks/text_memory.py                      all 685,071
    .venv/bin/python benchmarks/text_memory.py --documents 50000    fewer

Writes a synthetic corpus in RCV1-v2's format into a temporary folder: words by Zipf's
law, 124 tokens a document on average, as RCV1-v2 has, and 83 of them different, where
RCV1-v2 has 75.7 (Lewis et al., JMLR 5, 2004). The loader runs in a process of its own,
so that the peak of memory is the loader's. On a busy machine the processor's seconds
are the ones to read.
"""

import argparse
import concurrent.futures
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from dec.data.texts import reuters

VOCABULARY = 300_000
TOKENS = 124
CHUNK = 5000
LINE = 16  # tokens a line


def write_corpus(folder: Path, documents: int) -> tuple[float, int]:
    """Writes the six files; returns different words a document and bytes."""
    generator = np.random.default_rng(0)
    weights = (np.arange(VOCABULARY) + 1.0) ** -1.1
    limits = np.cumsum(weights) / weights.sum()
    words = np.array([_word(number) for number in range(VOCABULARY)], object)
    roots = generator.integers(0, len(reuters.ROOTS), documents)
    with open(folder / reuters.QRELS, "w") as file:
        for number, root in enumerate(roots):
            file.write(f"{reuters.ROOTS[root]} {number} 1\nC15 {number} 1\n")
    shares = np.linspace(0, documents, len(reuters.TOKENS) + 1).astype(int)
    different = 0
    for name, first, last in zip(reuters.TOKENS, shares, shares[1:], strict=False):
        with open(folder / name, "w") as file:
            for at in range(first, last, CHUNK):
                count = min(CHUNK, last - at)
                # Long and short documents: the logarithm of the length is normal.
                lengths = generator.lognormal(np.log(TOKENS) - 0.18, 0.6, count)
                lengths = lengths.astype(int) + 1
                drawn = generator.random(lengths.sum())
                # The most frequent words are spread over the alphabet.
                numbers = np.searchsorted(limits, drawn)
                texts = np.split(words[numbers], np.cumsum(lengths)[:-1])
                for i, text in enumerate(texts):
                    different += len(set(text))
                    lines = (
                        " ".join(text[j : j + LINE]) for j in range(0, len(text), LINE)
                    )
                    file.write(f".I {at + i}\n.W\n" + "\n".join(lines) + "\n\n")
    size = sum(path.stat().st_size for path in folder.iterdir())
    return different / documents, size


def load(folder: Path, data: Path) -> tuple[float, float, float]:
    """Runs the loader: seconds by the clock, of the processor, peak memory in GB."""
    start, worked = time.monotonic(), time.process_time()
    reuters.build_leveldbs(data, folder)
    seconds, worked = time.monotonic() - start, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return seconds, worked, peak


def _word(number: int) -> str:
    """A pronounceable word for a number, another one for each."""
    letters = []
    number += 1000
    while number:
        number, consonant = divmod(number, 20)
        number, vowel = divmod(number, 5)
        letters.append("bcdfghjklmnpqrstvwxz"[consonant] + "aeiou"[vowel])
    return "".join(letters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=reuters.DOCUMENTS)
    parser.add_argument("--folder", type=Path, help="where to make the temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        corpus, data = Path(temporary, "rcv1"), Path(temporary, "data")
        corpus.mkdir()
        different, size = write_corpus(corpus, options.documents)
        print(
            f"{options.documents:,} documents, {different:.1f} different words each, "
            f"{size / 1e9:.2f} GB of text",
            flush=True,
        )
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
            seconds, worked, memory = pool.submit(load, corpus, data).result()
        print(
            f"{seconds:.0f} s, {options.documents / seconds:,.0f} documents/s; "
            f"{worked:.0f} s of the processor, {options.documents / worked:,.0f} "
            f"documents/s; peak memory {memory:.2f} GB"
        )
        for database in sorted(data.iterdir()):
            size = sum(path.stat().st_size for path in database.iterdir())
            print(f"{database.name}: {size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
