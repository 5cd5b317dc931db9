"""neutron_tables.py URL: Neutron's tables as its unit tests make them, because its migrations cannot change constraints on SQLite."""

import sys

import sqlalchemy
from neutron.db.migration.models import head

head.get_metadata().create_all(sqlalchemy.create_engine(sys.argv[1]))
