"""Data sets on their way from the original files to LevelDBs that Caffe reads.

`download` gets files, `idx` and the data sets (`mnist`) read them, `leveldb`
writes and reads Caffe's databases, `atomic` keeps what was there before safe.
"""
