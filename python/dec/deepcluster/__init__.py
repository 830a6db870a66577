"""DeepCluster: a net that learns from images by the clusters of its own features.

Source: M. Caron, P. Bojanowski, A. Joulin, M. Douze, "Deep Clustering for Unsupervised
Learning of Visual Features", ECCV 2018.
"""
