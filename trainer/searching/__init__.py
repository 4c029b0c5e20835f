"""The search for hyperparameters: what is tried, what it may cost, when a trial ends early, what is left at the end."""
