"""Names of the files of effects in a data folder."""

#: The database, where it is SQLite.
FILE_NAME = "effects.db"
#: Random id of the data folder, and the kind of its database. In no backup, since a restored folder numbers
#: its lines anew.
LIFE_FILE = "effects.life"
