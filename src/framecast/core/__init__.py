"""Files written whole, randomness by name, provenance, locks, devices: what every other folder builds on."""
