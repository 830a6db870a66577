"""Times the same training step in PyTorch; prints milliseconds a step.

Called by phase2_step.py with the Python of .venv-bench: torch_step.py STEPS.
"""

import sys
import time

import torch
from torch import nn

BATCH, CLUSTERS = 256, 10


def main() -> None:
    steps = int(sys.argv[1])
    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Linear(784, 500),
        nn.ReLU(),
        nn.Linear(500, 500),
        nn.ReLU(),
        nn.Linear(500, 2000),
        nn.ReLU(),
        nn.Linear(2000, 10),
    )
    centres = nn.Parameter(torch.randn(CLUSTERS, 10))
    optimizer = torch.optim.SGD([*encoder.parameters(), centres], lr=0.01, momentum=0.9)
    rows = torch.rand(70000, 784)
    targets = torch.distributions.Dirichlet(torch.ones(CLUSTERS)).sample((70000,))

    def step(i: int) -> None:
        at = i * BATCH % (len(rows) - BATCH)
        z = encoder(rows[at : at + BATCH])
        t = 1 / (1 + torch.cdist(z, centres) ** 2)
        q = t / t.sum(dim=1, keepdim=True)
        p = targets[at : at + BATCH]
        loss = (p * torch.log(p / q)).sum() / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for i in range(10):
        step(i)
    start = time.perf_counter()
    for i in range(steps):
        step(i)
    print((time.perf_counter() - start) / steps * 1000)


if __name__ == "__main__":
    main()
