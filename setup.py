"""The one part of the packaging that setup.cfg cannot say: what is compiled, if it can be.

Where it cannot, the package installs without: numpy makes the same bytes as the codecs' kernel,
and a loop in Python says the same as the scan's.
"""

import sys
from pathlib import Path

from setuptools import Extension, setup

KERNEL = Extension(
    "mvc.codecs._kernel",
    ["mvc/codecs/_kernel.c"],
    depends=[str(path) for path in Path("mvc/codecs/csrc").glob("*.h")],
    optional=True,
    py_limited_api=True,
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    libraries=[] if sys.platform == "win32" else ["m"],
    extra_compile_args=[] if sys.platform == "win32" else ["-O3"],
)

# One stat a staged file; Windows has no fstatat.
STATPASS = Extension(
    "mvc.repo._statpass",
    ["mvc/repo/_statpass.c"],
    optional=True,
    py_limited_api=True,
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
)

setup(ext_modules=[KERNEL] if sys.platform == "win32" else [KERNEL, STATPASS])
