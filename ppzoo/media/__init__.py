# SPDX-License-Identifier: Apache-2.0
"""Pictures in and out: files, grids, animations, and the tensors that networks make of them."""
