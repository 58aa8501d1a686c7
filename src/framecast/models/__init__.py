"""One file a model; trivial baselines are models too."""
