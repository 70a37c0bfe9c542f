# SPDX-License-Identifier: Apache-2.0
"""Lips that move as speech sounds."""
