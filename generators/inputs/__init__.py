"""What people write: tenant files, model records, the platform file."""
