"""The embedded world: objects, physics, scenes, pictures and words. `framecast.shapes` is its face."""
