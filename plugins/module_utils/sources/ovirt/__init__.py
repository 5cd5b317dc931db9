# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Red Hat Virtualization and oVirt as a source: sessions with the engine, and what lies in it.

oVirt's SDK is imported when a session is opened.
"""
