# SPDX-License-Identifier: Apache-2.0
"""Faces in pictures: detection, alignment, parsing, portrait masks."""
