"""Rules about jobs, all pure: no SQL, no clock, no random value."""
