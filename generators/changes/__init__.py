"""What lies between two rendered trees, for the pull request comment: objects, GPUs and money, rights, removals."""
