"""Pure portfolio computation: arrays in, arrays out; no Django, no database, no clock."""
