"""What a model version carries beside its adapter."""
