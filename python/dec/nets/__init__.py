"""Caffe nets: the child process, prototxts, weights, forward passes, features."""
