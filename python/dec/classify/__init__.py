"""CaffeNets on labelled photos: data, training, evaluation, new photos, the loop.

Data flows one way: `labelled` (class folders to LevelDBs) → `train` → `evaluate` →
`report`, `classify`; `experiments` and `loop` are lists of these.
"""
