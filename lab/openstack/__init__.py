"""An OpenStack to migrate from: its real services from PyPI, with SQLite and no broker; volumes hold the bytes of the lab's guest."""
