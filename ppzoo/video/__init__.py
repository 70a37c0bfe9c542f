# SPDX-License-Identifier: Apache-2.0
"""Restoration of video: networks that look at several frames at once."""
