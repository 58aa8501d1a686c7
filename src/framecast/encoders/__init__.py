"""One file a frozen network; frames and texts to cached embeddings, and a linear probe of them."""
