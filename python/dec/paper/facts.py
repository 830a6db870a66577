"""The numbers that the paper prints: accuracies in percent.

Tables 3.1 to 3.4 of J. Xie's thesis (University of Washington), whose chapter 3 is
J. Xie, R. Girshick, A. Farhadi, Unsupervised Deep Embedding for Clustering Analysis,
ICML 2016.
"""

# Table 3.1: points, classes, numbers a row, share of the largest class.
STATISTICS = {
    "mnist": (70_000, 10, 784, 11),
    "stl": (13_000, 10, 1428, 10),
    "reuters10k": (10_000, 4, 2000, 43),
    "reuters": (685_071, 4, 2000, 43),
}

# Tables 3.2 and 3.3: by method, then data set; the best of nine values.
ACCURACY = {
    "kmeans": {"mnist": 53.49, "stl": 28.39, "reuters10k": 52.42, "reuters": 53.29},
    "ldmgi": {"mnist": 84.09, "stl": 33.08, "reuters10k": 43.84},
    "sec": {"mnist": 80.37, "stl": 30.75, "reuters10k": 60.08},
    "dec-frozen": {"mnist": 79.82, "stl": 34.06, "reuters10k": 70.05, "reuters": 69.62},
    "dec": {"mnist": 84.30, "stl": 35.90, "reuters10k": 72.17, "reuters": 75.63},
    "ae-kmeans": {"mnist": 81.84, "stl": 33.92, "reuters10k": 66.59, "reuters": 71.97},
    "ae-ldmgi": {"mnist": 83.98, "stl": 32.04, "reuters10k": 42.92},
    "ae-sec": {"mnist": 81.56, "stl": 32.29, "reuters10k": 61.86},
}

# Table 3.4: by method, then r_min, of MNIST.
RETENTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
IMBALANCED = {
    "kmeans": {0.1: 47.14, 0.3: 49.93, 0.5: 53.65, 0.7: 54.16, 0.9: 54.39},
    "ae-kmeans": {0.1: 66.82, 0.3: 74.91, 0.5: 77.93, 0.7: 80.04, 0.9: 81.31},
    "dec": {0.1: 70.10, 0.3: 80.92, 0.5: 82.68, 0.7: 84.69, 0.9: 85.41},
}
