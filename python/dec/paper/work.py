"""Computes one cell."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from dec.clustering import pipeline
from dec.clustering.criteria import silhouette
from dec.clustering.phase2 import Clustering
from dec.clustering.rivals import methods as rivals
from dec.clustering.state import read_sample
from dec.engine.runs import Run, digest
from dec.nets import caffe_process
from dec.paper.cells import Cell
from dec.paper.methods import METHODS
from dec.paper.sources import Source
from dec.scores.clusters import scores

_SIGNS = 2000  # rows that a silhouette is taken of


class Work:
    """Cells of one source; what several of them need is computed once."""

    def __init__(self, source: Source):
        self.source = source
        self._near: dict[tuple, object] = {}

    def key(self, cell: Cell) -> str:
        """The digest of what decides a cell."""
        method, source = METHODS[cell.method], self.source
        facts = [source.digest, cell.name, str(method), str(source.k)]
        facts.append(source.schedule(method.encoder))
        if method.kind == "dec":
            solver, interval = self._solver(cell)
            facts += [solver.read_text(), str(interval)]
        return digest(*facts)

    def run(self, cell: Cell) -> dict:
        """Scores, a silhouette, seconds, and on what encoder.

        silhouette: of the clusters in what was clustered, for DEC in the code before
        phase 2; it looks at no label.
        """
        method, source = METHODS[cell.method], self.source
        weights = None
        if method.on == "code":
            # What is run again and again for want of a parameter has one encoder.
            seed = cell.seed if method.parameter else 1
            weights = source.encoder(method.encoder, seed)
        begun = time.monotonic()
        if method.kind == "dec":
            assigned, facts = self._dec(cell, weights)
        else:
            assigned, facts = self._rival(cell, weights)
        found = scores(source.labels, assigned, source.k)
        facts |= {"n": source.n, "k": source.k}
        if weights is not None:
            facts["encoder"] = source.schedule(method.encoder)
        facts["seconds"] = round(time.monotonic() - begun, 1)
        return found | facts

    def _rival(self, cell: Cell, weights: Path | None) -> tuple[np.ndarray, dict]:
        method, k = METHODS[cell.method], self.source.k
        rival = rivals.find(method.kind)
        rows = self.source.rows() if weights is None else self.source.code(weights)
        near = None
        if rival.neighbours is not None:
            which = method.kind, weights
            if which not in self._near:
                self._near[which] = rival.neighbours(rows, k)
            near = self._near[which]
        noted: list[str] = []
        value = rival.default if cell.value is None else cell.value
        assigned, _ = rivals.with_warnings(
            lambda: rival.cluster(rows, near, k, cell.seed, value), noted
        )
        facts = {"silhouette": silhouette(rows, assigned)}
        return assigned, facts | ({"notes": noted} if noted else {})

    def _dec(self, cell: Cell, weights: Path) -> tuple[np.ndarray, dict]:
        source, folder = self.source, self.source.folder / "cells" / cell.name
        interval = None if cell.value is None else int(cell.value)
        method, run = METHODS[cell.method], Run(folder)
        settings = source.settings(method.start, cell.seed, interval)
        if method.solver is not None:
            settings = replace(
                settings, solver=Path(f"{method.solver}_solver.prototxt")
            )
        stage = pipeline.phase2_stage(source.experiment, run, settings)
        key, file = digest(self.key(cell), weights), folder / "found.npz"

        def work() -> None:
            clustering = Clustering(
                stage, source.n, source.labels, settings.tol, settings.start
            )
            result = clustering.run(weights, cell.seed, settings.max_rounds, key)
            rows, code = read_sample(folder, "round_0", _SIGNS)
            facts = {
                "silhouette": silhouette(code, result.assigned[rows]),
                "rounds": len(result.rounds),
                "converged": result.converged,
                "start": {x: result.kmeans[x] for x in ("acc", "nmi", "ari")},
            }
            np.savez(file, assigned=result.assigned, facts=json.dumps(facts))

        caffe_process.run(work, run.log)
        with np.load(file) as found:
            assigned, facts = found["assigned"], json.loads(str(found["facts"]))
        shutil.rmtree(folder)
        return assigned, facts

    def _solver(self, cell: Cell) -> tuple[Path, int | None]:
        """Phase 2's, and the iterations of a round, where rows are few."""
        name = METHODS[cell.method].solver
        given = Path(f"{name}_solver.prototxt") if name else None
        return pipeline.phase2_solver(self.source.experiment, given)
