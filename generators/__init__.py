"""tenants/ + platform.yaml -> rendered/. Pure: no cluster, no network, no clock, no randomness."""
