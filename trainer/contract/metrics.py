"""Names of what a step shows as `/metrics`, or pushes: alerts and dashboards are made from them.

Labels of each: `tenant`, `job`, `version`. A scraping Prometheus that keeps `job` for itself shows ours as
`exported_job`. Counters end in `_total` and begin anew with a process; those of usage count the whole attempt.
"""

# of the newest optimizer step, or the newest measurement of the held-out rows
GAUGES = {
    "step": ("tenon_training_step", "optimizer steps done"),
    "loss": ("tenon_training_loss", "training loss per assistant token of the newest step"),
    "evalLoss": ("tenon_training_held_out_loss", "held-out loss per assistant token, when last measured"),
    "perplexity": ("tenon_training_held_out_perplexity", "its exponential"),
    "learningRate": ("tenon_training_learning_rate", "learning rate of the newest step"),
    "gradNorm": ("tenon_training_gradient_norm", "norm of all gradients before clipping"),
    "tokensPerSecond": ("tenon_training_tokens_per_second", "real tokens per second of this run"),
    "rowsPerSecond": ("tenon_training_rows_per_second", "rows of the data set (or pairs) per second of this run"),
    "gpuMemoryBytes": ("tenon_training_gpu_memory_bytes", "most GPU memory so far, of the first rank"),
}
COUNTERS = {
    "tokens": ("tenon_training_tokens_total", "real tokens that went through the model"),
    "skipped": ("tenon_training_skipped_steps_total", "updates left out because a loss or gradient was no number"),
    "gpuSeconds": ("ft_gpu_seconds_total", "GPU seconds of the attempt"),
    "cpuSeconds": ("ft_cpu_seconds_total", "processor seconds of the attempt"),
    "wastedGpuSeconds": ("ft_wasted_gpu_seconds_total", "GPU seconds lost to kills and repeated steps"),
    "wastedCpuSeconds": ("ft_wasted_cpu_seconds_total", "processor seconds lost to kills and repeated steps"),
    "energyWattHours": ("ft_energy_watt_hours_total", "energy of the attempt, measured or estimated"),
    "co2Grams": ("ft_co2_grams_total", "energy times the configured factor"),
}
STEP_SECONDS = ("tenon_training_step_seconds", "wall seconds of an optimizer step")
STEP_SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
SCORE = ("tenon_evaluation_score", "a score of the tuned model over held-out rows, by `score`")
SCORES = ("exactMatch", "rougeL", "bleu", "chrf")
