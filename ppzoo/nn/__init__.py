# SPDX-License-Identifier: Apache-2.0
"""Layers, initialisation and random draws that networks share."""
