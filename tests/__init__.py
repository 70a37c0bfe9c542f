# SPDX-License-Identifier: Apache-2.0
"""Tests, in folders that mirror the package."""
