# SPDX-License-Identifier: Apache-2.0
"""Losses: pure functions, and thin registered classes over them."""
