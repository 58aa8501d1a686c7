"""Networks and tokenizers on disk: safetensors, folders in the hub's formats, checkpoints of OpenSTL."""
