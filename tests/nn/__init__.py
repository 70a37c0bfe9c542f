# SPDX-License-Identifier: Apache-2.0
"""Tests of layers, initialisation and random draws."""
