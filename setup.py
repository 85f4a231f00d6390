"""Build of cshortfall: the C kernels are compiled once per instruction set and linked into one extension.

Environment: CSHORTFALL_CHECKED=1 turns Cython's bounds checks on, CSHORTFALL_OPENMP=0 leaves OpenMP out.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from glob import glob
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError
from setuptools.modified import newer_group

CHECKED = os.environ.get("CSHORTFALL_CHECKED", "0") != "0"
OPENMP = os.environ.get("CSHORTFALL_OPENMP", "1") != "0"

CYTHON_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": CHECKED,
    "freethreading_compatible": True,
}

UNIX_FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
MSVC_FLAGS = ["/std:c11", "/O2", "/fp:precise"]

X86_64 = "(defined(__x86_64__) || defined(_M_X64))"
AVX2_FLAGS = ["-mavx2", "-mfma", "-mbmi", "-mbmi2", "-mlzcnt", "-mpopcnt"]
AVX512_FLAGS = [*AVX2_FLAGS, "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mprefer-vector-width=512"]

# src/kernels_NAME.c is compiled where the condition holds under the flags: NAME -> condition, unix flags, MSVC flags.
INSTRUCTION_SETS = {
    "baseline": ("1", [], []),
    "avx2": (f"{X86_64} && defined(__AVX2__)", AVX2_FLAGS, ["/arch:AVX2"]),
    "avx512": (f"{X86_64} && defined(__AVX512VL__)", AVX512_FLAGS, ["/arch:AVX512"]),
    "neon": ("defined(__aarch64__) || defined(_M_ARM64)", [], []),
}

# Links the library and owns the dispatch table. Others cimport it, or name stateless files in "distutils: sources".
LINKING_EXTENSION = "cshortfall._core.tail"


@contextlib.contextmanager
def silenced():
    """Hide what a compiler prints about a probe that is meant to fail on some machines."""
    null, saved = os.open(os.devnull, os.O_WRONLY), [os.dup(1), os.dup(2)]
    os.dup2(null, 1), os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved[0], 1), os.dup2(saved[1], 2)
        for descriptor in null, *saved:
            os.close(descriptor)


class BuildKernels(build_ext):
    """Compile src/ with the flags of each instruction set, link it once, and archive it for C users."""

    def run(self):
        super().run()
        package = Path("." if self.inplace else self.build_lib, "cshortfall")
        for source, folder in (self.library, "lib"), ("src/cshortfall.h", "include"):
            (package / folder).mkdir(exist_ok=True)
            shutil.copy(source, package / folder)

    def build_extensions(self):
        self.msvc = self.compiler.compiler_type == "msvc"
        self.flags = MSVC_FLAGS if self.msvc else UNIX_FLAGS
        openmp, openmp_link = self.find_openmp()
        self.library = self.build_library()
        for extension in self.extensions:
            options = {"compiler_directives": CYTHON_DIRECTIVES, "build_dir": self.build_temp, "quiet": True}
            generated = cythonize(extension, force=self.force, **options)[0]
            extension.sources, own = generated.sources[:1], generated.sources[1:]
            extension.depends = [*generated.depends, *glob("src/*.h"), "setup.py"]
            extension.include_dirs = ["src", numpy.get_include()]
            extension.define_macros = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]
            extension.extra_compile_args = [*self.flags, *openmp]
            extension.extra_link_args = openmp_link
            extension.extra_objects = self.compiler.object_filenames(own, output_dir=self.build_temp)
            if extension.name == LINKING_EXTENSION:
                extension.extra_objects = [self.library]
            extension.depends += extension.extra_objects
        super().build_extensions()

    def build_library(self):
        """Compile what changed in src/ and return the static library of it all."""
        headers, objects, present = [*glob("src/*.h"), "setup.py"], [], []

        def compile_source(source, flags=(), macros=None):
            target = self.compiler.object_filenames([source], output_dir=self.build_temp)[0]
            if self.force or newer_group([source, *headers], target):
                self.compiler.compile([source], self.build_temp, macros, ["src"], extra_postargs=[*self.flags, *flags])
            objects.append(target)

        for name, (condition, unix_flags, msvc_flags) in INSTRUCTION_SETS.items():
            flags = msvc_flags if self.msvc else unix_flags
            if self.builds(f"#if !({condition})\n#error\n#endif\nint main(void) {{ return 0; }}", flags):
                present.append(name)
                compile_source(f"src/kernels_{name}.c", flags)
        print("cshortfall: kernels for", *present, file=sys.stderr)
        macros = [(f"CS_HAVE_{name.upper()}", "1") for name in present]
        for source in sorted(set(glob("src/*.c")) - set(glob("src/kernels_*.c"))):
            compile_source(source, macros=macros)
        library = self.compiler.library_filename("cshortfall", output_dir=self.build_temp)
        if newer_group(objects, library):
            Path(library).unlink(missing_ok=True)
            self.compiler.create_static_lib(objects, "cshortfall", self.build_temp)
        return library

    def find_openmp(self):
        """Return the compile and link flags of OpenMP: those of gcc and clang, MSVC, or Apple clang with libomp."""
        candidates = [(["/openmp"], [])] if self.msvc else [(["-fopenmp"], ["-fopenmp"])]
        for prefix in ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp") if sys.platform == "darwin" else ():
            compile_flags = ["-Xpreprocessor", "-fopenmp", f"-I{prefix}/include"]
            candidates.append((compile_flags, [f"-L{prefix}/lib", "-lomp"]))
        for flags, link_flags in candidates if OPENMP else []:
            if self.builds("#include <omp.h>\nint main(void) { return !omp_get_max_threads(); }", flags, link_flags):
                return flags, link_flags
        reason = "was not found (on macOS: brew install libomp)" if OPENMP else "is left out by CSHORTFALL_OPENMP=0"
        print(f"cshortfall: OpenMP {reason}; every call will run on one thread", file=sys.stderr)
        return [], []

    def builds(self, program, flags, link_flags=()):
        """Whether a C program compiles and links with these flags."""
        with tempfile.TemporaryDirectory() as folder, silenced():
            Path(folder, "probe.c").write_text(program + "\n")
            try:
                objects = self.compiler.compile([f"{folder}/probe.c"], folder, extra_postargs=[*self.flags, *flags])
                self.compiler.link_executable(objects, "probe", folder, extra_postargs=list(link_flags))
            except (CompileError, LinkError):
                return False
        return True


modules = sorted(Path("cshortfall", "_core").glob("*.pyx"))
setup(
    ext_modules=[Extension(f"cshortfall._core.{path.stem}", [path.as_posix()]) for path in modules],
    cmdclass={"build_ext": BuildKernels},
)
