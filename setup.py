"""The compiled part of features/; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    ext_modules=cythonize(
        Extension(
            "features._features",
            ["features/_features.pyx"],
            # No fused multiply-adds: the same bits on every processor.
            extra_compile_args=["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
        ),
        build_dir="build/cython",
    )
)
