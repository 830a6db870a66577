"""Fashion-MNIST: clothes, in MNIST's form.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for
Benchmarking Machine Learning Algorithms", https://github.com/zalandoresearch/
fashion-mnist; Debian's package dataset-fashion-mnist has the four files.
"""

from pathlib import Path

from dec.data.images.idx_images import IdxFile, IdxImages

FASHION = IdxImages(
    name="fashion-mnist",
    title="Fashion-MNIST",
    # The paper's rule for every data set, ||x||^2 / d is about 1: here 0.993. MNIST's
    # 0.02 would make it 5.4, as there is more white in these.
    scale=0.0086,
    files={
        "train-images-idx3-ubyte": IdxFile(
            (60000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        "train-labels-idx1-ubyte": IdxFile(
            (60000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        "t10k-images-idx3-ubyte": IdxFile(
            (10000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        "t10k-labels-idx1-ubyte": IdxFile(
            (10000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    },
    mirrors=[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ],
    package="dataset-fashion-mnist",
    installed=Path("/usr/share/datasets/fashion-mnist"),
    classes=[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
)
