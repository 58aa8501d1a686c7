"""The embedded world: objects, physics, scenes, pictures and words. `framecast.world.generation` is its face."""
