"""Reconcilers: one per kind."""
