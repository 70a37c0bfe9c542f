# SPDX-License-Identifier: Apache-2.0
"""Image translation: paired (pix2pix) and unpaired (CycleGAN, U-GAT-IT)."""
