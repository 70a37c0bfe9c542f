# SPDX-License-Identifier: Apache-2.0
"""Tests of reading, writing and loading weights."""
