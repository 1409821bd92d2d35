"""The one part of the packaging that setup.cfg cannot say: the optional kernel.

Where it cannot be compiled, the package installs without it and numpy makes the same bytes.
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
    extra_compile_args=[] if sys.platform == "win32" else ["-O3"],
)

setup(ext_modules=[KERNEL])
