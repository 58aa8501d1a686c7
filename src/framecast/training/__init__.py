"""The only training loop and what it uses: batches, schedules, checkpoints, evaluation, run identity."""
