"""DEC: phase 1, where phase 2 starts, its rounds, and what a run is good for."""
