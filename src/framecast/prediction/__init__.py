"""From a trained run to predictions and scores, pictures, galleries, submissions and exported networks."""
