"""The training workflow of a tenant and the objects that carry its ranks, one file per runner."""
