"""Build of the example: cshortfall's .pxd files are found beside the installed package, and nothing is linked."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(name="blocks", ext_modules=cythonize([Extension("blocks", ["blocks.pyx"])], language_level=3))
