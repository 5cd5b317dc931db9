"""Sources to migrate from, on one machine: guests that really boot, and what carries them."""
