"""The store: the only truth about deployed functions, in SQLite or Postgres.

`endpoint` says what is stored, `database` opens either home, `schema` has the tables, `rows` and
`archives` what is in them, `store` the operations. Nothing here knows HTTP or an event loop: calls
block, and belong on a thread.
"""
