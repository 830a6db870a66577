"""Deep Embedded Clustering (Xie, Girshick, Farhadi, ICML 2016) on Caffe."""

import os

# Caffe's log goes to standard error, which caffe_process turns into the run's log;
# glog reads this when it is loaded, so it is set before anything imports caffe.
os.environ.setdefault("GLOG_logtostderr", "1")
