# SPDX-License-Identifier: Apache-2.0
"""Figures that say how good pictures are, collected batch by batch and merged over processes."""
