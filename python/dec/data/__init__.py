"""Data sets on their way from the original files to LevelDBs that Caffe reads.

`registry` knows the data sets, `images` and `texts` read them, `numbers` reads tables
and matrices; `leveldb` writes and reads Caffe's databases; `inputs` makes new rows.
"""
