"""Functions of tensors alone: masks, losses, windows, steps, sampling."""
