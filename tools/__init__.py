# SPDX-License-Identifier: Apache-2.0
"""Scripts of the checkout; a package, lest another one called `tools` is found instead."""
