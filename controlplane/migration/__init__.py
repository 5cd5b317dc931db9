"""Running a migration: itineraries as data, one small function per phase, builders of target VMs, one adapter per source."""
