"""Where attempts run: one Workflow per attempt, under a name that can be made only once."""
