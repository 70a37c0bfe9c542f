# SPDX-License-Identifier: Apache-2.0
"""Networks that two or more families use."""
