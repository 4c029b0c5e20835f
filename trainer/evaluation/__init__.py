"""What `evaluate` measures of the base model and of the tuned one, and the pages that show it."""
