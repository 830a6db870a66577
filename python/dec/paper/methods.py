"""The methods of the paper's tables, and the values that are tried of each."""

from dataclasses import dataclass

# Section 3.4.3: the iterations between two updates of the targets, 10 * 2^i.
INTERVALS = tuple(10.0 * 2**i for i in range(9))
# LDMGI's nine, by its authors' lists; SEC's are not known (docs/rivals.md).
DECADES = tuple(10.0**i for i in range(-8, 9, 2))
FEW_INTERVALS = (10.0, 40.0, 160.0)  # QUICK's
FEW_DECADES = (1e-8, 1.0, 1e8)
RUNS = 9  # of methods without a parameter


@dataclass(frozen=True)
class Method:
    """name: as tables say it. kind: "kmeans", "ldmgi", "sec" or "dec".

    on: what is clustered, "rows" or "code". parameter: its symbol. start: of DEC's
    phase 2. encoder: "paper", of the paper's schedule where such a one ships, or
    "default". solver: another than the experiment's. ours: not in the paper.
    """

    name: str
    kind: str
    on: str = "code"
    parameter: str | None = None
    start: str = "plain"
    encoder: str = "paper"
    solver: str | None = None
    ours: bool = False

    def values(self, quick: bool) -> tuple[float | None, ...]:
        if self.kind == "dec":
            return FEW_INTERVALS if quick else INTERVALS
        if self.parameter:
            return FEW_DECADES if quick else DECADES
        return (None,)


METHODS = {
    "kmeans": Method("k-means", "kmeans", "rows"),
    "ldmgi": Method("LDMGI", "ldmgi", "rows", "lambda"),
    "sec": Method("SEC", "sec", "rows", "mu"),
    "dec-frozen": Method(
        "DEC without backprop", "dec", parameter="interval", solver="frozen"
    ),
    "dec": Method("DEC", "dec", parameter="interval"),
    "dec-within": Method(
        "DEC from within", "dec", "code", "interval", "within", "default", ours=True
    ),
    "dec-graph": Method(
        "DEC from the graph", "dec", "code", "interval", "graph", "default", ours=True
    ),
    "ae-kmeans": Method("autoencoder + k-means", "kmeans"),
    "ae-ldmgi": Method("autoencoder + LDMGI", "ldmgi", parameter="lambda"),
    "ae-sec": Method("autoencoder + SEC", "sec", parameter="mu"),
}
TABLE_2 = ("kmeans", "ldmgi", "sec", "dec-frozen", "dec", "dec-within", "dec-graph")
TABLE_3 = ("ae-kmeans", "ae-ldmgi", "ae-sec", "dec")
TABLE_4 = ("kmeans", "ae-kmeans", "dec", "dec-within", "dec-graph")
