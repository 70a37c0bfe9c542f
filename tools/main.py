# SPDX-License-Identifier: Apache-2.0
"""Train or evaluate: python tools/main.py -c configs/dcgan_mnist.yaml, with PaddleGAN's flags."""

import sys
from pathlib import Path

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from ppzoo.cli import main_tool
except KeyboardInterrupt:
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main_tool())
