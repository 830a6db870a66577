"""What is trained with Caffe: experiments, runs and what is up to date, the loop."""
