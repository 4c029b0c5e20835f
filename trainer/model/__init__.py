"""The base model, its adapter and the loss."""
