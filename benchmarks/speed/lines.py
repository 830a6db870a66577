"""The plan: what is measured, line by line, and by whom."""

from dataclasses import dataclass

LARGE = 4096  # the order of the large matrix product


@dataclass(frozen=True)
class Line:
    """One line of the table.

    name: as printed; net: of nets.py; mode: "train" (forward, backward, SGD update)
    or "forward"; batches: both sides have the choice of them; target: the speed in
    PyTorch's that is wanted; rows: "memory" (one batch that stays where it is: the
    net alone) or "leveldb" (data/mnist_total, as a run reads it; PyTorch's rows lie
    in memory all the same).
    """

    name: str
    net: str
    mode: str
    batches: tuple[int, ...]
    target: float
    rows: str = "memory"

    @property
    def key(self) -> str:
        """Its folder below runs/bench-speed."""
        size = f"-{self.batches[0]}" if len(self.batches) == 1 else ""
        source = "-leveldb" if self.rows == "leveldb" else ""
        return f"{self.net}-{self.mode}{size}{source}"

    @property
    def convolutional(self) -> bool:
        return not self.net.startswith("dec-")

    def sides(self) -> list[str]:
        """Who computes it, in turns."""
        sides = ["stock", "ours", "torch"]
        if self.convolutional:
            sides.append("torch-channels-last")
        if self.mode == "train" and self.rows == "memory":
            sides.append("bfloat16")
        return sides


_SIZES = (256, 1000, 4000)

LINES = (
    Line("CaffeNet training, batch 32", "caffenet", "train", (32,), 1.10),
    Line("CaffeNet training, batch 64", "caffenet", "train", (64,), 1.10),
    Line("CaffeNet forward, batch 32", "caffenet", "forward", (32,), 1.25),
    Line("CaffeNet forward, batch 64", "caffenet", "forward", (64,), 1.25),
    Line("CaffeNet forward, batch 1", "caffenet", "forward", (1,), 1.25),
    Line("caffenet-small training", "caffenet-small", "train", (32,), 1.10),
    Line("AlexNet with BN, training", "alexnet-bn", "train", (32,), 1.10),
    Line("DeepCluster training", "deepcluster-cifar10", "train", (50,), 1.50),
    Line("DeepCluster features", "deepcluster-cifar10", "forward", (250,), 1.50),
    Line("DEC autoencoder step", "dec-stack", "train", (256,), 1.20),
    Line("DEC denoising layer 1", "dec-layer1", "train", (256,), 1.20),
    Line("DEC denoising layer 2", "dec-layer2", "train", (256,), 1.20),
    Line("DEC denoising layer 3", "dec-layer3", "train", (256,), 1.20),
    Line("DEC denoising layer 4", "dec-layer4", "train", (256,), 1.20),
    Line("DEC phase-2 step", "dec-phase2", "train", (256,), 1.20),
    Line("  with rows from LevelDB", "dec-phase2", "train", (256,), 1.20, "leveldb"),
    Line("DEC embedding pass", "dec-encoder", "forward", _SIZES, 1.05),
    Line("  with rows from LevelDB", "dec-encoder", "forward", _SIZES, 1.05, "leveldb"),
)
