# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's import paths, which lead to ppzoo: scripts written for `ppgan` run unchanged.

What stands behind a path is in `ppgan.tables`. A name of PaddleGAN's that ppzoo does not have yet
raises one sentence that says what is missing, and what to use.
"""

from __future__ import annotations

import sys

import ppzoo
from ppgan import compat

# The version whose interface this is.
__version__ = f"2.1.0+ppzoo{ppzoo.__version__}"

compat.refuse_a_mixture()
sys.meta_path.append(compat.Finder())
__getattr__, __dir__ = compat.hooks(__name__)
