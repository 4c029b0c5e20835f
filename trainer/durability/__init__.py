"""What makes a training survive being killed: checkpoints, interruption, guard."""
