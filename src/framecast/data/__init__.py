"""Raw videos and their annotations to an index, samples and frame stores."""
