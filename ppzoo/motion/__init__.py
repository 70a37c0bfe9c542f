# SPDX-License-Identifier: Apache-2.0
"""Motion transfer; its first building blocks, the family itself follows."""
