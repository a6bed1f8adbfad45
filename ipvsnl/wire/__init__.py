"""Values to records and back, and the sans-IO conversation that carries them."""
