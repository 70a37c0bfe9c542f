# SPDX-License-Identifier: Apache-2.0
"""Restoration of pictures: super-resolution."""
