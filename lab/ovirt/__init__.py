"""oVirt to migrate from: a double of the engine's API before the real ovirt-imageio daemon. server.py says what is in it."""
