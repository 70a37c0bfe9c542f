# SPDX-License-Identifier: Apache-2.0
"""`ppzoo.media.bicubic`, where those who make data look for it; metrics need it as well."""

from ppzoo.media.bicubic import Border, resize_bicubic, scaled_size

__all__ = ["Border", "resize_bicubic", "scaled_size"]
