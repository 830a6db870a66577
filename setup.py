"""The compiled part of features/; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    ext_modules=cythonize(
        Extension(
            "features._features",
            ["features/_features.pyx"],
            extra_compile_args=[
                "-O3",
                "-ffp-contract=off",  # the same bits on every processor
                # What no one here asks for, and what keeps GCC from vectorising:
                "-fno-math-errno",
                "-fno-trapping-math",
            ],
        ),
        build_dir="build/cython",
    )
)
