# SPDX-License-Identifier: Apache-2.0
"""`python -m ppzoo`: the command `ppzoo`, where its script is not on the PATH."""

from __future__ import annotations

import sys

from ppzoo.cli import main

if __name__ == "__main__":
    sys.exit(main())
