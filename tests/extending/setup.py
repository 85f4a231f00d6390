"""Build of the examples: cshortfall's .pxd files are found beside the installed package, and nothing is linked."""

from Cython.Build import cythonize
from setuptools import Extension, setup

modules = [Extension(name, [f"{name}.pyx"]) for name in ("blocks", "streams")]
setup(name="extending", ext_modules=cythonize(modules, language_level=3))
