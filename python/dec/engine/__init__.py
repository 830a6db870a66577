"""Caffe: its child process, prototxts, runs and what is up to date, weights."""
