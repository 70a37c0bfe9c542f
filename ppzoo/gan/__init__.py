# SPDX-License-Identifier: Apache-2.0
"""Unconditional and class-conditional GANs."""
