"""A stand-in for SendGrid on this machine: takes mail under SendGrid's rules, keeps it, shows it.

Nothing leaves the machine. What an account would do over the network (accept, merge, deliver,
report events by signed webhook) happens here, over loopback only.

Addresses at `sandbox.test`, or below it, stand for people whose mail goes wrong, so that an
author can see what then happens: `bounce@`, `blocked@`, `deferred@`, `dropped@` and `spam@`, each
also with a suffix (`bounce+anna@sandbox.test`). All other mail is delivered at once.
"""
