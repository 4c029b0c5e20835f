"""Fixtures of the admission policies: one file per policy, with what it lets through and what it refuses."""
