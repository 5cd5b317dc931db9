# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMware vSphere as a source: sessions with vCenter or an ESXi host, and what lies in them.

pyvmomi is imported when a session is opened.
"""
