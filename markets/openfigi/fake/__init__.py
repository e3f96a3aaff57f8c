"""A faithful OpenFIGI to develop and test against: a real HTTP server with the provider's rules, limits and faults.

`manage.py fake_openfigi --port N` starts it. It is fed by recorded answers where they are given and makes up the rest;
what it made up says SYNTHETIC in its name.
"""
