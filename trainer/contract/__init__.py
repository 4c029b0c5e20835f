"""What other packages may know of the trainer: the job, the steps, the bucket and the report."""
